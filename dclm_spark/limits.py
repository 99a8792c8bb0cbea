"""Declared limits of what may get lost in a run: crossing one warns, or ends the run."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dclm_spark.engine.manifests import StageOutput, file_of_unit
from dclm_spark.engine.monitoring.lost_files import ReadFile, lost_files, suspect_files
from dclm_spark.engine.stage_output import unit_statistics
from dclm_spark.errors import InputError, LimitError
from udfs.checks import FRACTION, at_least, check, check_order, one_of
from udfs.documents.schema import EMPTY_FILE, KEPT, QUARANTINED

LOGGER = logging.getLogger("dclm_spark")
ACTIONS = ("fail", "warn")
MISSING_TEXT = "missing_text"
# What stands in a file where no record does.
WITHOUT_RECORD = frozenset({"empty_line", EMPTY_FILE})


@dataclass(frozen=True, kw_only=True)
class YieldRange:
    """The shares of a stage's documents that it is expected to keep."""

    # Smallest share of a stage's documents that is kept.
    min: float = 0.0
    # Largest share.
    max: float = 1.0

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, min=FRACTION, max=FRACTION)
        check_order(self, "min", "max")


@dataclass(frozen=True, kw_only=True)
class StageYields:
    """The expected yield of each stage that decides on documents; None: any."""

    documents: YieldRange | None = None
    quality: YieldRange | None = None
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
    # Input files that cannot be read: a run goes on without so many, with each of them in the books
    # as one quarantined document, and tries them again when it is run again.
    max_failed_inputs: int = 0
    yields: StageYields = field(default_factory=StageYields)

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, action=one_of(ACTIONS))
        check(self, max_quarantined_fraction=FRACTION, max_files_without_documents=FRACTION)
        check(self, max_failed_inputs=at_least(0))


def check_documents(documents: StageOutput, limits: LimitSettings) -> None:
    """Name the files that were lost in the log, and compare what was read with the limits.

    Raises InputError for a file in which no record has a text, LimitError as `limits` say.
    """
    counts = documents.documents()
    total, quarantined = sum(counts.values()), counts[QUARANTINED]
    suspects = suspect_files(documents)
    for line in lost_files(documents, suspects):
        LOGGER.warning("input: %s", line)
    lost = [file for file in suspects if not file.readable]
    num_files = len(set(map(file_of_unit, documents.units["unit"].to_pylist())))
    _check_texts(documents, lost)
    rules = _largest(documents.totals, QUARANTINED)
    if total and quarantined / total > limits.max_quarantined_fraction:
        _act(
            limits, "max_quarantined_fraction", quarantined / total,
            f"{quarantined} of {total} records were quarantined ({rules})",
            partial(_reason, documents),
        )  # fmt: skip
    if num_files and len(lost) / num_files > limits.max_files_without_documents:
        _act(
            limits, "max_files_without_documents", len(lost) / num_files,
            f"{len(lost)} of {num_files} files gave no document, such as "
            + lost[0].uri
            + (f" ({rules})" if rules else ""),
            partial(_reason, documents),
        )  # fmt: skip


def check_yield(stage: str, output: StageOutput, limits: LimitSettings) -> None:
    """Compare the share of documents that a stage kept with its declared range."""
    expected: YieldRange | None = getattr(limits.yields, stage)
    fates = output.documents()
    total, kept = sum(fates.values()), fates[KEPT]
    if expected is None or not total or expected.min <= kept / total <= expected.max:
        return
    side = "min" if kept / total < expected.min else "max"
    _act(limits, f"yields.{stage}.{side}", kept / total, f"{stage}: {kept} of {total} were kept")


def _act(
    limits: LimitSettings, key: str, share: float, what: str, reason: Callable[[], str] = str
) -> None:
    """Warn or raise LimitError; `reason` says what is to be mended first, if that is known."""
    limit: Any = limits
    for name in key.split("."):
        limit = getattr(limit, name)
    message = f"{what}: a share of {share:.3}, and limits.{key} = {limit:g}"
    if limits.action == "warn":
        LOGGER.warning("%s", message)
        return
    mend = reason()
    first = f"{mend}, or" if mend else "look at the report, then"
    raise LimitError(
        f"{message}; {first} set limits.{key}, "
        "or limits.action=warn: with another limit the same command goes on from what is committed"
    )


def _reason(documents: StageOutput) -> str:
    """Return what is wrong with the records where most of the lost had no text, "" otherwise."""
    largest = _entries(documents.totals, QUARANTINED)[:1]
    if not largest or largest[0]["rule"] != MISSING_TEXT:
        return ""
    names = documents.units["unit"].to_pylist()
    return next(
        filter(None, (_missing_text(unit_statistics(documents, name)) for name in names)), ""
    )


def _missing_text(statistics: Mapping[str, Any]) -> str:
    """Return what a record without a text says of its keys, "" where there is none."""
    samples = statistics.get("samples", ())
    errors = (one["error"] for one in samples if one["rule"] == MISSING_TEXT)
    return next(filter(None, errors), "")


def _check_texts(documents: StageOutput, lost: Sequence[ReadFile]) -> None:
    """Raise InputError for a file whose records were all read and all had no text."""
    if not any(entry["rule"] == MISSING_TEXT for entry in documents.totals.get("counts", ())):
        return
    for file in lost:
        statistics = [unit_statistics(documents, name) for name in file.units]
        entries = (entry for one in statistics for entry in one.get("counts", ()))
        counts = [entry for entry in entries if entry["rule"] not in WITHOUT_RECORD]
        if counts and all(entry["rule"] == MISSING_TEXT for entry in counts):
            reason = next(filter(None, map(_missing_text, statistics)), "")
            raise InputError(
                f"{file.uri}: none of its "
                f"{sum(e['documents'] for e in counts)} records has a text: {reason}"
            )


def _largest(totals: Mapping[str, Any], fate: str) -> str:
    entries = _entries(totals, fate)[:3]
    return ", ".join(f"{entry['rule']} {entry['documents']}" for entry in entries)


def _entries(totals: Mapping[str, Any], fate: str) -> list[dict[str, Any]]:
    """Return the counts of a fate, the largest first."""
    entries = [entry for entry in totals.get("counts", ()) if entry["fate"] == fate]
    return sorted(entries, key=lambda entry: (-entry["documents"], entry["rule"]))
