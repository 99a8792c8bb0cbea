"""One run over one input: the floor, every kernel, the whole chain, libraries, peers, Spark."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dclm_spark.crawl.listing import InputFile, list_inputs
from dclm_spark.errors import InputError
from dclm_spark.measure.chain import (
    ChainCounts,
    decode_pages,
    extract_pages,
    read_pages,
    time_chain,
)
from dclm_spark.measure.clock import Timing, seconds_of
from dclm_spark.measure.inputs import Models, first_pages, load_models
from dclm_spark.measure.kernels import english, measure_kernels
from dclm_spark.measure.libraries import measure_libraries
from dclm_spark.measure.peers import PeerResult, check_peer, compare
from dclm_spark.run.identity import RunIdentity, run_identity

CURATED = "chain: pages to judged texts"
REFINED = "chain: dedup, quality, tokens"
PEER_PAGES = 250
# Passes over all pages, floor and chain in turn, so that both see the same moods of the machine.
PAGE_PASSES = 2
_WARM_UP_PAGES = 30

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """What to measure; see jobs/measure_throughput.py for each."""

    input: str
    base: str | None = None
    lists: str | None = None
    tokenizer: str | None = None
    quality_model: str | None = None
    # Pages to take from the beginning of the input; None: all.
    limit: int | None = None
    peers: str | None = None
    # A Spark master such as local[2]; None: without Spark.
    spark: str | None = None


@dataclass(kw_only=True)
class Measured:
    """All timings of a run; `floor` is read, decode, extract, `chain` its two halves."""

    identity: RunIdentity
    floor: list[Timing]
    chain: list[Timing]
    counts: ChainCounts
    english_documents: int = 0
    english_size_bytes: int = 0
    kernels: list[Timing] = field(default_factory=list)
    libraries: list[tuple[str, Timing]] = field(default_factory=list)
    peers: PeerResult | None = None
    spark: list[Timing] = field(default_factory=list)

    @property
    def num_pages(self) -> int:
        """Pages read."""
        return self.floor[0].documents

    @property
    def html_size_bytes(self) -> int:
        """Size of all pages, content encodings undone."""
        return self.floor[0].size_bytes


def measure(settings: MeasureSettings) -> Measured:
    """Measure everything that `settings` gives the files and models for."""
    files = [file for file in list_inputs(settings.input, settings.base) if file.kind == "warc"]
    if not files:
        raise InputError(f"--input {settings.input}: it names no WARC file")
    if settings.peers is not None:
        check_peer(settings.peers)
    models = load_models(settings.lists, settings.tokenizer, settings.quality_model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if settings.limit is not None:
            files = first_pages(files, settings.limit, folder / "pages")
        measured, texts = _measure_pages(files, models)
        _measure_texts(measured, texts, models)
        if settings.peers is not None:
            pages = min(settings.limit or PEER_PAGES, PEER_PAGES)
            some = first_pages(files, pages, folder / "peers")
            measured.peers = compare(settings.peers, some, folder / "peers", models)
        if settings.spark is not None:
            from dclm_spark.measure.around import measure_spark

            measured.spark = measure_spark(
                files, models, folder / "spark", settings.spark, measured.num_pages
            )
    return measured


@dataclass(kw_only=True)
class _Pass:
    """One pass over all pages, first step by step and then by the chain."""

    timings: list[Timing]
    counts: ChainCounts
    pages: list[tuple[str, str]]


def _measure_pages(
    files: Sequence[InputFile], models: Models
) -> tuple[Measured, list[tuple[str, str]]]:
    """Return the floor and the chain, and (URL, text) of every extracted page."""
    with tempfile.TemporaryDirectory() as name:
        # Compile and load before the first pass counts.
        few = first_pages(files, _WARM_UP_PAGES, Path(name))
        time_chain(few, models, ngrams=1)
    passes = [_pass(files, models, seed) for seed in range(PAGE_PASSES)]
    best = [
        min(step, key=lambda timing: timing.cpu_seconds)
        for step in zip(*(one.timings for one in passes), strict=True)
    ]
    measured = Measured(
        identity=run_identity(models.recipe, files),
        floor=best[:3],
        chain=best[3:],
        counts=passes[0].counts,
    )
    return measured, passes[0].pages


def _pass(files: Sequence[InputFile], models: Models, seed: int) -> _Pass:
    policy = models.curation.extraction.effective_charset_policy
    records, read = _timed_result(lambda: read_pages(files))
    size_bytes, num_pages = sum(len(record.payload) for record in records), len(records)
    pages, decoded = _timed_result(lambda: decode_pages(records, policy))
    records = []
    texts, extracted = _timed_result(lambda: extract_pages(pages))
    urls = [url for url, _ in pages]
    pages = []
    counts, curated, refined = time_chain(files, models, seed)
    taken = {
        "read": read, "decode": decoded, "extract": extracted,
        CURATED: curated, REFINED: refined,
    }  # fmt: skip
    return _Pass(
        timings=[
            Timing(name=name, cpu_seconds=seconds, documents=num_pages, size_bytes=size_bytes)
            for name, seconds in taken.items()
        ],
        counts=counts,
        pages=list(zip(urls, texts, strict=True)),
    )


def _timed_result(work: Callable[[], Result]) -> tuple[Result, float]:
    results: list[Result] = []
    seconds = seconds_of(lambda: results.append(work()))
    return results[0], seconds


def _measure_texts(measured: Measured, pages: Sequence[tuple[str, str]], models: Models) -> None:
    sample = english([text for _, text in pages], [url for url, _ in pages], models)
    if len(sample.texts) == 0:
        raise InputError("--input: no page of it has English text, and the kernels need some")
    measured.english_documents = len(sample.texts)
    measured.english_size_bytes = sample.size_bytes
    measured.kernels = measure_kernels(sample, models)
    measured.libraries = measure_libraries(sample.texts.to_pylist(), models)
