"""Trains small fastText models for tests, the same ones every time."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

fasttext = pytest.importorskip("fasttext")
_GLIBC_M_PERTURB = -6


def train(folder: Path, lines: list[str], **arguments: object) -> tuple[Any, Path]:
    """Return (the library's model, its .bin file) trained on labelled lines.

    With one thread the library sets only the first tenth of its input matrix and leaves the rest
    as the allocator gives it: noise, or NaN. glibc is told to hand out zeroed memory meanwhile.
    """
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    options = {"dim": 10, "bucket": 5000, "epoch": 3, "seed": 1, "thread": 1, "verbose": 0}
    allocator = ctypes.CDLL(None)
    allocator.mallopt(_GLIBC_M_PERTURB, 0xFF)
    try:
        model = fasttext.train_supervised(str(folder / "train.txt"), **{**options, **arguments})
    finally:
        allocator.mallopt(_GLIBC_M_PERTURB, 0)
    model.save_model(str(folder / "model.bin"))
    return model, folder / "model.bin"
