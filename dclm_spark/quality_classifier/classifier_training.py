"""Training the DCLM-style fastText classifier from texts that are good and texts that are not."""

import ctypes
import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dclm_spark.errors import InputError
from dclm_spark.quality_classifier.classifier_texts import read_labelled, read_texts
from udfs import storage
from udfs.checks import above, at_least, check
from udfs.fasttext.quality import QualityModel

_GLIBC_M_PERTURB = -6
POSITIVE, NEGATIVE = "hq", "cc"
_REPORTED_THRESHOLDS = (0.001, 0.018112, 0.1, 0.5, 0.9)
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class QualityTrainingSettings:
    """fastText's training parameters; the defaults are DCLM's (spec 4.1).

    `heldout` is the fraction of texts, chosen by a hash of the text, that only the report sees.
    One thread makes the model repeatable; more are faster and are not.
    """

    learning_rate: float = 0.1
    dim: int = 100
    window: int = 5
    epochs: int = 5
    min_count: int = 1
    word_ngrams: int = 2
    bucket: int = 2_000_000
    seed: int = 1
    threads: int = 1
    heldout: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.heldout < 1:
            raise ValueError(f"heldout = {self.heldout}: expected a fraction from 0 to below 1")
        whole = at_least(1)
        check(self, learning_rate=above(0.0), dim=whole, window=whole, epochs=whole, bucket=whole)
        check(self, word_ngrams=whole, threads=whole)


def train_quality(
    *,
    output: str,
    settings: QualityTrainingSettings,
    positives: str = "",
    negatives: str = "",
    labelled: str = "",
    positive_from: float = 1.0,
) -> dict[str, Any]:
    """Train a classifier, write it to `output`, and write and return its report.

    `positives` and `negatives` name files (comma-separated URIs, of any input format) with a
    `text` in each record; `labelled` ones have a number `label` too, and count as positive from
    `positive_from` on. The classifier's labels are "hq" and "cc". The report,
    `<output>.report.json`, has counts, AUC, and precision and recall on the held-out texts at
    several thresholds. Raises InputError for a class without texts.
    """
    given = {POSITIVE: set(read_texts(positives)), NEGATIVE: set(read_texts(negatives))}
    for text, label in read_labelled(labelled):
        given[POSITIVE if label >= positive_from else NEGATIVE].add(text)
    texts = {label: sorted(known) for label, known in given.items()}
    heldout: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "train.txt"
        counts = _write_training_file(lines, texts, settings, heldout)
        model = Path(folder) / "model.bin"
        _train(lines, model, settings)
        report = _report(model, heldout, counts, settings)
        storage.upload(model, output)
    text = json.dumps(report, indent=1, sort_keys=True)
    storage.write_bytes(f"{output}.report.json", text.encode())
    return report


def _normalized(text: str) -> str:
    """Return the text as the scorer reads it: stripped, lines joined by one space."""
    return " ".join(text.strip().splitlines())


def _write_training_file(
    path: Path,
    texts: dict[str, list[str]],
    settings: QualityTrainingSettings,
    heldout: list[tuple[str, str]],
) -> dict[str, int]:
    """Write labelled lines in an order fixed by hashes; put held-out texts into `heldout`."""
    rows: list[tuple[bytes, str]] = []
    counts = {POSITIVE: 0, NEGATIVE: 0}
    for label, known in texts.items():
        for text in known:
            digest = hashlib.blake2b(f"{settings.seed}\0{text}".encode(), digest_size=8).digest()
            if int.from_bytes(digest[:4], "big") / 2**32 < settings.heldout:
                heldout.append((label, text))
            else:
                rows.append((digest, f"__label__{label} {_normalized(text)}"))
                counts[label] += 1
        if not counts[label]:
            raise InputError(
                f"the class {label!r} has no texts to train on: check the "
                f"{'positive' if label == POSITIVE else 'negative'} files, or the labels"
            )
    path.write_text("\n".join(line for _, line in sorted(rows)) + "\n")
    return counts


def _train(lines: Path, model: Path, settings: QualityTrainingSettings) -> None:
    import fasttext

    with _zeroed_memory():
        trained = fasttext.train_supervised(
            input=str(lines),
            lr=settings.learning_rate,
            dim=settings.dim,
            ws=settings.window,
            epoch=settings.epochs,
            minCount=settings.min_count,
            wordNgrams=settings.word_ngrams,
            bucket=settings.bucket,
            seed=settings.seed,
            thread=settings.threads,
            verbose=0,
        )
    trained.save_model(str(model))


@contextmanager
def _zeroed_memory() -> Iterator[None]:
    """Let glibc hand out zeroed memory.

    With one thread fastText sets the first tenth of its input matrix and takes the rest as the
    allocator gives it; without this a model depends on what the process did before.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    # The allocator fills new memory with the complement of the byte.
    mallopt(_GLIBC_M_PERTURB, 0xFF)
    try:
        yield
    finally:
        mallopt(_GLIBC_M_PERTURB, 0)


def _report(
    model: Path,
    heldout: list[tuple[str, str]],
    counts: dict[str, int],
    settings: QualityTrainingSettings,
) -> dict[str, Any]:
    labels = np.array([label == POSITIVE for label, _ in heldout], np.bool_)
    scores = QualityModel(model).score(pa.array([text for _, text in heldout], pa.large_string()))
    return {
        "labels": {"positive": POSITIVE, "negative": NEGATIVE},
        "settings": asdict(settings),
        "training_texts": counts,
        "heldout_texts": {POSITIVE: int(labels.sum()), NEGATIVE: int((~labels).sum())},
        "heldout_auc": _auc(labels, scores),
        "heldout_at_threshold": [_at(labels, scores, value) for value in _REPORTED_THRESHOLDS],
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
    }


def _auc(labels: npt.NDArray[np.bool_], scores: Scores) -> float | None:
    """Return the share of (positive, negative) pairs in the right order; ties count half."""
    positive, negative = scores[labels], np.sort(scores[~labels])
    if not len(positive) or not len(negative):
        return None
    below = np.searchsorted(negative, positive, "left")
    not_above = np.searchsorted(negative, positive, "right")
    return float((below + not_above).mean() / 2 / len(negative))


def _at(labels: npt.NDArray[np.bool_], scores: Scores, threshold: float) -> dict[str, float | None]:
    kept = scores >= threshold
    right = float((kept & labels).sum())
    return {
        "threshold": threshold,
        "precision": right / float(kept.sum()) if kept.any() else None,
        "recall": right / float(labels.sum()) if labels.any() else None,
        "kept_fraction": float(kept.mean()) if len(kept) else None,
    }
