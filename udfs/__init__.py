"""Columnar kernels that run on executors: Arrow in, Arrow out; no pyspark, no torch."""

from pathlib import Path

from udfs.home_folder import give_numba_a_folder

# `dclm_spark.session` knows by it that no other package of this name was imported.
DISTRIBUTION = "dclm-spark"

# Numba reads its settings when it is imported, which every kernel does.
give_numba_a_folder(Path(__file__).parent)
