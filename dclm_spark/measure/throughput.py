"""One run over one input: the floor, the whole chain, every kernel, Spark around them."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from dclm_spark.crawl.listing import InputFile, list_inputs
from dclm_spark.engine.run_record import RunIdentity, run_identity
from dclm_spark.errors import InputError
from dclm_spark.measure.chain import (
    ChainCounts,
    curate_pages,
    decode_pages,
    extract_pages,
    new_filter,
    read_pages,
    refine_texts,
    time_chain,
)
from dclm_spark.measure.clock import Timing, on_one_core, seconds_of
from dclm_spark.measure.inputs import Models, first_pages, load_models
from dclm_spark.measure.kernels import Texts, english, measure_kernels
from dclm_spark.recipes.recipe import recipe_hash
from udfs.documents.formats import FORMATS
from udfs.html.parser import kept_parser

CURATED = "chain: pages to judged texts"
REFINED = "chain: dedup, quality, tokens"
# Passes over each file, floor and chain in turn, so that both see the same moods of the machine.
PAGE_PASSES = 3
_WARM_UP_PAGES = 30

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class MeasuredInput:
    """The files, models and English texts that a measurement used."""

    files: Sequence[InputFile]
    models: Models
    english: Texts


# Work to be measured in the same minutes, on the same core, such as libraries and peers.
Beside = Callable[["Measured", MeasuredInput], None]


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """What to measure; see jobs/measure_throughput.py for each."""

    input: str
    base: str | None = None
    lists: str | None = None
    tokenizer: str | None = None
    quality_model: str | None = None
    # A fastText model in place of the recipe's lid.176.ftz.
    language_model: str | None = None
    # Pages to take from the beginning of the input; None: all.
    limit: int | None = None
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
    # (copies of the input, bare, in Spark).
    spark: list[tuple[int, Timing, Timing]] = field(default_factory=list)

    @property
    def num_pages(self) -> int:
        """Pages read."""
        return self.floor[0].documents

    @property
    def html_size_bytes(self) -> int:
        """Size of all pages, content encodings undone."""
        return self.floor[0].size_bytes


def measure(settings: MeasureSettings, beside: Beside | None = None) -> Measured:
    """Measure everything that `settings` gives the files and models for, and what is `beside`."""
    files = [
        file for file in list_inputs(settings.input, settings.base) if FORMATS[file.kind].has_pages
    ]
    if not files:
        raise InputError(f"--input {settings.input}: it names no WARC file")
    models = load_models(
        settings.lists, settings.tokenizer, settings.quality_model, settings.language_model
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if settings.limit is not None:
            files = first_pages(files, settings.limit, folder / "pages")
        with on_one_core():
            measured, texts = _measure_pages(files, models)
            sample = _measure_texts(measured, texts, models)
            if beside is not None:
                beside(measured, MeasuredInput(files=files, models=models, english=sample))
        # The parser's child was born on that one core.
        parser = models.curation.extraction
        kept_parser(parser.timeout_seconds, parser.max_parser_memory_bytes).close()
        if settings.spark is not None:
            from dclm_spark.measure.spark_overhead import measure_spark

            measured.spark = measure_spark(
                files, models, folder / "spark", settings.spark, measured.num_pages
            )
    return measured


@dataclass(kw_only=True)
class _Pass:
    """One pass over a file, first step by step and then by the chain's first half."""

    seconds: list[float]
    num_pages: int
    size_bytes: int
    counts: ChainCounts
    kept: list[pa.LargeStringArray]
    pages: list[tuple[str, str]]


def _measure_pages(
    files: Sequence[InputFile], models: Models
) -> tuple[Measured, list[tuple[str, str]]]:
    """Return the floor and the chain, and (URL, text) of every extracted page."""
    with tempfile.TemporaryDirectory() as name:
        # Compile and load before the first pass counts.
        time_chain(first_pages(files, _WARM_UP_PAGES, Path(name)), models, ngrams=1)
    seconds, passes = [0.0] * 4, []
    for file in files:
        runs = [_pass(file, models) for _ in range(PAGE_PASSES)]
        best = [min(step) for step in zip(*(run.seconds for run in runs), strict=True)]
        seconds = [sum(pair) for pair in zip(seconds, best, strict=True)]
        passes.append(runs[0])
    counts = ChainCounts(
        documents=sum(run.counts.documents for run in passes),
        kept=sum(run.counts.kept for run in passes),
    )
    kept = [texts for run in passes for texts in run.kept]
    steps = zip(
        ("read", "decode", "extract", CURATED, REFINED),
        [*seconds, _seconds_of_refining(kept, models, counts)],
        strict=True,
    )
    timings = [
        Timing(
            name=name,
            cpu_seconds=spent,
            documents=sum(run.num_pages for run in passes),
            size_bytes=sum(run.size_bytes for run in passes),
        )
        for name, spent in steps
    ]
    identity = run_identity(models.recipe.name, recipe_hash(models.recipe), files)
    measured = Measured(identity=identity, floor=timings[:3], chain=timings[3:], counts=counts)
    return measured, [page for run in passes for page in run.pages]


def _pass(file: InputFile, models: Models) -> _Pass:
    policy = models.curation.extraction.effective_charset_policy
    records, read = _timed_result(lambda: read_pages([file]))
    size_bytes, num_pages = sum(len(record.payload) for record in records), len(records)
    pages, decoded = _timed_result(lambda: decode_pages(records, policy))
    texts, extracted = _timed_result(lambda: extract_pages(pages))
    urls = [url for url, _ in pages]
    # The parser's process would inherit what this one holds.
    records, pages = [], []
    counts = ChainCounts()
    kept, curated = _timed_result(lambda: curate_pages([file], models, counts))
    return _Pass(
        seconds=[read, decoded, extracted, curated],
        num_pages=num_pages,
        size_bytes=size_bytes,
        counts=counts,
        kept=kept,
        pages=list(zip(urls, texts, strict=True)),
    )


def _seconds_of_refining(
    kept: Sequence[pa.LargeStringArray], models: Models, counts: ChainCounts
) -> float:
    """Return the CPU seconds of the chain's second half, and complete `counts`."""
    best = float("inf")
    for seed in range(PAGE_PASSES):
        grams, found = new_filter(seed), ChainCounts()
        best = min(best, seconds_of(partial(refine_texts, kept, models, grams, found)))
        counts.deduplicated, counts.tokens = found.deduplicated, found.tokens
    return best


def _timed_result(work: Callable[[], Result]) -> tuple[Result, float]:
    results: list[Result] = []
    seconds = seconds_of(lambda: results.append(work()))
    return results[0], seconds


def _measure_texts(measured: Measured, pages: Sequence[tuple[str, str]], models: Models) -> Texts:
    sample = english([text for _, text in pages], [url for url, _ in pages], models)
    if len(sample.texts) == 0:
        raise InputError("--input: no page of it has English text, and the kernels need some")
    measured.english_documents = len(sample.texts)
    measured.english_size_bytes = sample.size_bytes
    measured.kernels = measure_kernels(sample, models)
    return sample
