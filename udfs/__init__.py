"""Columnar kernels that run on executors: Arrow in, Arrow out; no pyspark, no torch."""
