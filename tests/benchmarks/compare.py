"""Our own measurement with libraries, datatrove and the reference beside it, in one run.

The module of `make compare`: `tests.benchmarks.report` parses the command line and prints.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from dclm_spark.measure.clock import Timing
from dclm_spark.measure.inputs import first_pages
from dclm_spark.measure.throughput import Measured, MeasuredInput, MeasureSettings, measure
from tests.benchmarks.against_reference import ReferenceResult, compare_with_reference
from tests.benchmarks.extraction import (
    ExtractorQuality,
    Survival,
    compare_extractors,
    compare_survival,
    gold_pages,
)
from tests.benchmarks.libraries import measure_libraries
from tests.benchmarks.peers import (
    DATATROVE,
    REFERENCE,
    PeerResult,
    compare_with_datatrove,
    missing_packages,
    time_ours,
)

PEER_PAGES = 250


@dataclass(kw_only=True)
class Compared:
    """A measurement of ours and, from the same run, that of others."""

    measured: Measured
    # (name of our kernel, timing of a library).
    libraries: list[tuple[str, Timing]] = field(default_factory=list)
    peers: PeerResult | None = None
    reference: ReferenceResult | None = None
    extractors: list[ExtractorQuality] = field(default_factory=list)
    survival: list[Survival] = field(default_factory=list)
    # By peer, the packages that its interpreter lacks to run it.
    missing: dict[str, list[str]] = field(default_factory=dict)


def compare(
    settings: MeasureSettings, python: str | None = None, gold: Path | None = None
) -> Compared:
    """Measure ours, the libraries of this interpreter, and the peers that `python` can run.

    `gold` is the folder of pages whose text is known, for the extractors.
    """
    missing = {} if python is None else missing_packages(python)
    found: list[Compared] = []

    def beside(measured: Measured, given: MeasuredInput) -> None:
        compared = Compared(measured=measured, missing=missing)
        compared.libraries = measure_libraries(given.english.texts.to_pylist(), given.models)
        if gold is not None:
            compared.extractors = compare_extractors(list(gold_pages(gold)))
            compared.survival = compare_survival(given.files)
        if python is not None:
            _measure_peers(compared, python, given, min(settings.limit or PEER_PAGES, PEER_PAGES))
        found.append(compared)

    measure(settings, beside)
    return found[0]


def _measure_peers(compared: Compared, python: str, given: MeasuredInput, num_pages: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, models = Path(name), given.models
        files = first_pages(given.files, num_pages, folder)
        ours, counts = time_ours(files, models)
        if DATATROVE not in compared.missing:
            compared.peers = compare_with_datatrove(python, folder, ours, models)
        if REFERENCE not in compared.missing:
            compared.reference = compare_with_reference(
                python, files, folder, models, (ours, counts)
            )
