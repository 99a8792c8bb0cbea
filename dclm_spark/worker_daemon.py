"""The parent of a local session's Python workers: it has the kernels loaded before it forks them.

A worker that loads them itself takes 2 to 3 s of CPU, and a local session starts several: one for
each core and each Python step of a query. Spark runs this module in place of `pyspark.daemon`.
Executors of a cluster keep Spark's own, for theirs may start before they have our package.
"""

import gc
from collections.abc import Callable

import pyspark.daemon
import pyspark.worker

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

# What a worker returns that is not to be used again.
ENDED = 1


def ending_quietly(work: Callable[..., int]) -> Callable[..., int]:
    """Return what a worker does, without a traceback where the session ended before its answer."""

    def run(*given: object) -> int:
        try:
            return work(*given)
        except BrokenPipeError:
            return ENDED

    return run


def serve() -> None:
    """Fork a worker for each that Spark asks for, until Spark ends."""
    character_properties()
    pyspark.daemon.worker = ending_quietly(pyspark.daemon.worker)
    # What is loaded by now is never collected, so that its pages stay shared.
    gc.freeze()
    pyspark.daemon.manager()


if __name__ == "__main__":
    serve()
