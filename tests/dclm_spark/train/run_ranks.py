"""One rank of a training run, for tests that start several; kills itself if told to."""

import os
import signal
import sys

from torch import Tensor

from dclm_spark.settings import override
from dclm_spark.train import trainer
from dclm_spark.train.data.batches import Batch
from dclm_spark.train.scales import scale

KILLED_AT_STEP = int(os.environ.get("KILLED_AT_STEP", "-1"))


class MortalTrainer(trainer.Trainer):
    """Dies without a word after the gradients of one step, as rank 1."""

    def backward(self, batch: Batch) -> Tensor:
        losses = super().backward(batch)
        if self.state.step == KILLED_AT_STEP and self.state.ranks.rank == 1:
            self.state.checkpointer.poll()
            os.kill(os.getpid(), signal.SIGKILL)
        return losses


if __name__ == "__main__":
    trainer.Trainer = MortalTrainer  # type: ignore[misc]
    shards, output, *assignments = sys.argv[1:]
    trainer.train(override(scale("test"), assignments), shards=shards, output=output, resume=True)
