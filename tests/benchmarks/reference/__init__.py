"""The reference's pipeline in plain Python, from the specification; runs in another interpreter.

Imports nothing of ours but its own files, by relative names: the folder alone is enough.
"""
