"""The reference's pipeline in another interpreter, on the same pages and texts as ours."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dclm_spark.crawl.listing import InputFile
from dclm_spark.measure import kernels
from dclm_spark.measure.chain import ChainCounts, decode_pages, extract_pages, read_pages
from dclm_spark.measure.clock import Timing, timed
from dclm_spark.measure.inputs import Models
from tests.benchmarks.peers import last_json, run_python, timings
from udfs.storage.cache import fetch


@dataclass(frozen=True, kw_only=True)
class ReferenceResult:
    """`ours` is the whole chain on the same pages; `steps` are the reference's, in order."""

    # By package.
    versions: dict[str, str]
    ours: Timing
    steps: list[Timing]
    # Documents that its 26 steps kept, and ours.
    kept: int
    our_kept: int
    # Steps that its interpreter has no package for.
    left_out: list[str]
    # The 26 steps without language identification on the pages' English texts, theirs and ours.
    texts: Timing
    our_texts: Timing

    @property
    def seconds(self) -> float:
        """CPU seconds of all of the reference's steps."""
        return sum(step.cpu_seconds for step in self.steps)

    @property
    def ratio(self) -> float:
        """How many times the CPU of our chain the reference takes."""
        return self.seconds / self.ours.cpu_seconds

    @property
    def texts_ratio(self) -> float:
        """How many times the CPU of our 26 steps those of the reference take."""
        return self.texts.cpu_seconds / self.our_texts.cpu_seconds


def compare_with_reference(
    python: str,
    files: Sequence[InputFile],
    folder: Path,
    models: Models,
    ours: tuple[Timing, ChainCounts],
) -> ReferenceResult | None:
    """Run the reference on the WARCs of `folder`, which are `files`; None without English ones."""
    sample = english_texts(files, models)
    if not len(sample.texts):
        return None
    timing, counts = ours
    result = run_reference(python, folder, sample, models)
    work = partial(kernels.judge_english, sample, models)
    documents, size_bytes = len(sample.texts), sample.size_bytes
    return ReferenceResult(
        versions=result["versions"],
        ours=timing,
        steps=timings(result["steps"], timing.documents),
        kept=result["kept"],
        our_kept=counts.kept,
        left_out=result["left_out"],
        texts=Timing(name=kernels.HEURISTICS, **result["texts"]),
        our_texts=timed(kernels.HEURISTICS, work, documents=documents, size_bytes=size_bytes),
    )


def english_texts(files: Sequence[InputFile], models: Models) -> kernels.Texts:
    """Return the English ones among the pages' main texts."""
    policy = models.curation.extraction.effective_charset_policy
    pages = decode_pages(read_pages(files), policy)
    return kernels.english(extract_pages(pages), [url for url, _ in pages], models)


def run_reference(
    python: str, folder: Path, sample: kernels.Texts, models: Models
) -> dict[str, Any]:
    """Return what the peer prints: see `tests.benchmarks.reference.peer`."""
    texts = folder / "english.jsonl"
    pairs = zip(sample.urls.to_pylist(), sample.texts.to_pylist(), strict=True)
    texts.write_text("".join(json.dumps({"url": url, "text": text}) + "\n" for url, text in pairs))
    job = {
        "folder": str(folder),
        "texts": str(texts),
        "lists": {name: _local(uri) for name, uri, _ in models.curation.url_lists},
        "language_model": str(models.language_model.absolute()),
        "quality_model": _local(models.quality_model),
        "tokenizer": _local(models.tokenizer),
    }
    here = Path(__file__).parent
    return last_json(run_python(python, "-m", "reference.peer", json.dumps(job), search=here))


def _local(uri: str | None) -> str | None:
    return str(fetch(uri).absolute()) if uri else None
