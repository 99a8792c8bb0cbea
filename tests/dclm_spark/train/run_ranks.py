"""One rank of a training run, for tests that start several; kills itself if told to."""

import os
import signal
import sys

from dclm_spark.settings import override
from dclm_spark.train import trainer
from dclm_spark.train import trainer as stepping
from dclm_spark.train.scales import scale
from dclm_spark.train.state import Run

KILLED_AT_STEP = int(os.environ.get("KILLED_AT_STEP", "-1"))
backward = stepping.backward


def backward_or_die(run: Run, batch: object) -> object:
    """Die without a word after the gradients of one step, as rank 1."""
    losses = backward(run, batch)  # type: ignore[arg-type]
    if run.step == KILLED_AT_STEP and run.ranks.rank == 1:
        run.checkpointer.poll()
        os.kill(os.getpid(), signal.SIGKILL)
    return losses


if __name__ == "__main__":
    stepping.backward = backward_or_die  # type: ignore[assignment]
    shards, output, *assignments = sys.argv[1:]
    trainer.train(override(scale("test"), assignments), shards=shards, output=output, resume=True)
