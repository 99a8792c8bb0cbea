"""One of two ranks of a run that says its peak memory and what was planned, in bytes, as JSON."""

import json
import os
import re
import sys
from pathlib import Path

from dclm_spark.planning.training import plan
from dclm_spark.settings import override
from dclm_spark.train import trainer
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import Trainer, TrainResult


def resident(which: str) -> int:
    """Return VmHWM (the peak) or VmRSS of this process in bytes."""
    found = re.search(rf"{which}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


class Measured(Trainer):
    """Takes two steps and ends the process."""

    def train(self) -> TrainResult:
        Path("/proc/self/clear_refs").write_text("5")
        state = self.state
        for batch in state.loader.batches(0, 2):
            self.step(batch)
        if state.ranks.is_first:
            planned = plan(state.settings, num_devices=state.ranks.num_ranks).total_bytes
            print(json.dumps({"peak": resident("VmHWM") - BEFORE, "planned": planned}), flush=True)
        os._exit(0)


if __name__ == "__main__":
    BEFORE = resident("VmRSS")
    trainer.Trainer = Measured  # type: ignore[misc]
    shards, output, *assignments = sys.argv[1:]
    trainer.train(override(scale("test"), assignments), shards=shards, output=output)
