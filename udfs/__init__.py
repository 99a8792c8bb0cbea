"""Columnar kernels that run on executors: Arrow in, Arrow out; no pyspark, no torch."""

# `dclm_spark.session` knows by it that no other package of this name was imported.
DISTRIBUTION = "dclm-spark"
