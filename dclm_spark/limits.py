"""Declared limits of what may get lost in a run: crossing one warns, or ends the run."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dclm_spark.engine.manifests import StageOutput
from dclm_spark.errors import InputError, LimitError
from udfs.checks import FRACTION, check, check_order, one_of
from udfs.documents.schema import KEPT, QUARANTINED
from udfs.units.statistics import documents_by_fate, merge

LOGGER = logging.getLogger("dclm_spark")
ACTIONS = ("fail", "warn")
MISSING_TEXT = "missing_text"


@dataclass(frozen=True, kw_only=True)
class YieldRange:
    """The shares of a stage's documents that it is expected to keep."""

    min: float = 0.0
    max: float = 1.0

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, min=FRACTION, max=FRACTION)
        check_order(self, "min", "max")


@dataclass(frozen=True, kw_only=True)
class StageYields:
    """The expected yield of each stage that decides on documents; None: any."""

    documents: YieldRange | None = None
    deduplicate: YieldRange | None = None
    decontaminate: YieldRange | None = None
    select: YieldRange | None = None


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """What a run may lose; the text and ids of a corpus do not depend on it."""

    # "fail": end the run, exit 1; the same command with another limit goes on. "warn": say so.
    action: str = "fail"
    # Records that could not be read or extracted, of all.
    max_quarantined_fraction: float = 0.5
    # Files of which no record could be read and extracted, of all.
    max_files_without_documents: float = 0.5
    yields: StageYields = field(default_factory=StageYields)

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, action=one_of(ACTIONS))
        check(self, max_quarantined_fraction=FRACTION, max_files_without_documents=FRACTION)


def check_documents(documents: StageOutput, limits: LimitSettings) -> None:
    """Compare what was read with the limits.

    Raises InputError for a file in which no record has a text, LimitError as `limits` say.
    """
    _check_texts(documents)
    files = [documents_by_fate(facts) for facts in documents.facts()]
    total = sum(sum(file.values()) for file in files)
    quarantined = sum(file.get(QUARANTINED, 0) for file in files)
    lost = [
        facts["input"]["uri"]
        for facts, file in zip(documents.facts(), files, strict=True)
        if not sum(count for fate, count in file.items() if fate != QUARANTINED)
    ]
    rules = _largest(documents.facts(), QUARANTINED)
    if total and quarantined / total > limits.max_quarantined_fraction:
        _act(
            limits, "max_quarantined_fraction", quarantined / total,
            f"{quarantined} of {total} records were quarantined ({rules})",
        )  # fmt: skip
    if files and len(lost) / len(files) > limits.max_files_without_documents:
        _act(
            limits, "max_files_without_documents", len(lost) / len(files),
            f"{len(lost)} of {len(files)} files gave no document, such as {lost[0]}"
            + (f" ({rules})" if rules else ""),
        )  # fmt: skip


def check_yield(stage: str, output: StageOutput, limits: LimitSettings) -> None:
    """Compare the share of documents that a stage kept with its declared range."""
    expected: YieldRange | None = getattr(limits.yields, stage)
    fates = documents_by_fate(merge(output.facts()))
    total, kept = sum(fates.values()), fates.get(KEPT, 0)
    if expected is None or not total or expected.min <= kept / total <= expected.max:
        return
    side = "min" if kept / total < expected.min else "max"
    _act(limits, f"yields.{stage}.{side}", kept / total, f"{stage}: {kept} of {total} were kept")


def _act(limits: LimitSettings, key: str, value: float, what: str) -> None:
    limit: Any = limits
    for name in key.split("."):
        limit = getattr(limit, name)
    message = f"{what}: {value:.3g}, and limits.{key} = {limit:g}"
    if limits.action == "warn":
        LOGGER.warning("%s", message)
        return
    raise LimitError(
        f"{message}; look at the report, then set limits.{key}, or limits.action=warn: the same "
        "command goes on from what is committed"
    )


def _check_texts(documents: StageOutput) -> None:
    """Raise InputError for a file whose records were all read and all had no text."""
    for facts in documents.facts():
        counts = facts.get("counts", ())
        if counts and all(entry["rule"] == MISSING_TEXT for entry in counts):
            reason = next((one["error"] for one in facts["samples"] if one["error"]), "")
            raise InputError(
                f"{facts['input']['uri']}: none of its {sum(e['documents'] for e in counts)} "
                f"records has a text: {reason}"
            )


def _largest(facts: Iterable[Mapping[str, Any]], fate: str) -> str:
    entries = [entry for entry in merge(facts)["counts"] if entry["fate"] == fate]
    entries.sort(key=lambda entry: (-entry["documents"], entry["rule"]))
    return ", ".join(f"{entry['rule']} {entry['documents']}" for entry in entries[:3])
