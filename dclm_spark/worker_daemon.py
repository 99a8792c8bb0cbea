"""The parent of a local session's Python workers: it has the kernels loaded before it forks them.

A worker that loads them itself takes 2 to 3 s of CPU, and a local session starts several: one for
each core and each Python step of a query. Spark runs this module in place of `pyspark.daemon`.
Executors of a cluster keep Spark's own, for theirs may start before they have our package.
"""

import gc

import pyspark.worker
from pyspark.daemon import manager

import udfs.dedup.minhash
import udfs.dedup.passages
import udfs.tokens.tokenizer
import udfs.units.curate
from udfs.text.unicode import character_properties

LOADED = (
    pyspark.worker,
    udfs.dedup.minhash,
    udfs.dedup.passages,
    udfs.tokens.tokenizer,
    udfs.units.curate,
)

if __name__ == "__main__":
    character_properties()
    # What is loaded by now is never collected, so that its pages stay shared.
    gc.freeze()
    manager()
