"""Columnar kernels that run on executors: Arrow in, Arrow out; no pyspark, no torch, no dclm_spark."""
