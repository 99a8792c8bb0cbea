import os

import pytest
import torch

from dclm_spark.evaluate.scorers import DEVICE_SHARE
from dclm_spark.evaluate.speed.several_devices import one_device


@pytest.mark.parametrize(
    ("num_processes", "expected"), [(1, "1.0"), (2, "1.0"), (3, "0.5"), (8, "0.25")]
)
def test_processes_that_share_a_device_share_its_memory(
    num_processes: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two devices, as a machine with GPUs tells them.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.delenv(DEVICE_SHARE, raising=False)
    for number in range(num_processes):
        with one_device(number, num_processes):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "46"[number % 2]
            assert os.environ[DEVICE_SHARE] == expected
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,6"
    assert DEVICE_SHARE not in os.environ
