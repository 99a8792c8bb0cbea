"""Checkpoints: written in the background, found, copied to an object store, gone on from."""
