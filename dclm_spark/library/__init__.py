"""The parts of the pipeline as functions from DataFrame to DataFrame, on any Spark session.

`from dclm_spark import extract_text, judge` gives the same functions; see docs/library.md.
"""
