"""Every kernel alone on the English texts, in megabytes of text per second of one core."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dclm_spark.measure.chain import new_filter
from dclm_spark.measure.clock import Timing, timed
from dclm_spark.measure.inputs import Models
from udfs.dedup.minhash import PRESETS, MinHashSettings, signatures
from udfs.dedup.ngrams import ShardDeduplicator
from udfs.rules import families
from udfs.rules.batch import JudgedTexts
from udfs.text.columns import utf8_buffers
from udfs.text.segments import segments
from udfs.tokens.tokenizer import encode

# Names that the comparison with libraries refers to.
HEURISTICS = "26 heuristic steps"
SEGMENTS = "UAX-29 segmentation"
LANGUAGE = "language id"
QUALITY = "quality score"
DEDUP = "13-gram dedup (old-both), 1 GB filter"
MINHASH_128 = "MinHash, 128 permutations"
MINHASH_1395 = "MinHash, 1,395 permutations"
TOKENS = "tokenization"


@dataclass(frozen=True, kw_only=True)
class Texts:
    """English texts as the extractor gave them, with the addresses of their pages."""

    texts: pa.LargeStringArray
    urls: pa.Array

    @property
    def size_bytes(self) -> int:
        """Size of all texts in UTF-8."""
        _, offsets = utf8_buffers(self.texts)
        return int(offsets[-1] - offsets[0])


def english(texts: list[str], urls: list[str], models: Models) -> Texts:
    """Return the texts that the language rule of the recipe keeps."""
    column = pa.array(texts, pa.large_string())
    labels, scores = models.identify(column)
    settings = models.curation.heuristics
    wanted = np.array([label == settings.language for label in labels.to_pylist()], bool)
    kept = pa.array(wanted & (scores > settings.min_language_score))
    return Texts(texts=column.filter(kept), urls=pa.array(urls, pa.string()).filter(kept))


def measure_kernels(sample: Texts, models: Models) -> list[Timing]:
    """Time each kernel; those without a model at hand are left out."""
    kernels: dict[str, Callable[[], object]] = {
        HEURISTICS: lambda: judge_english(sample, models),
        f"{HEURISTICS}, all signals of all documents": lambda: judge_english(sample, models, "all"),
        SEGMENTS: lambda: segments(*utf8_buffers(sample.texts)),
        LANGUAGE: lambda: models.identify(sample.texts),
    }
    if models.quality is not None:
        quality = models.quality
        kernels[QUALITY] = lambda: quality.score(sample.texts)
    settings_128 = MinHashSettings(bands=16, rows=8)
    kernels[MINHASH_128] = lambda: signatures(sample.texts, settings_128)
    kernels[MINHASH_1395] = lambda: signatures(sample.texts, PRESETS["dclm"])
    if models.encoder is not None:
        encoder = models.encoder
        kernels[TOKENS] = lambda: encode(sample.texts, encoder)
    timings = [_timed(name, work, sample) for name, work in kernels.items()]
    return [*timings, _measure_dedup(sample)]


def _timed(name: str, work: Callable[[], object], sample: Texts) -> Timing:
    return timed(name, work, documents=len(sample.texts), size_bytes=sample.size_bytes)


def judge_english(sample: Texts, models: Models, annotate: str = "first_failure") -> JudgedTexts:
    """Run all steps but language identification, which is timed alone."""
    from dataclasses import replace

    settings = replace(models.curation.heuristics, annotate=annotate)
    return families.apply(sample.texts, sample.urls, settings, models.lists, _all_english)


def _all_english(texts: pa.Array) -> tuple[pa.Array, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return pa.array(["en"] * len(texts), pa.string()), np.ones(len(texts))


def _measure_dedup(sample: Texts) -> Timing:
    """Time old-both on an empty filter each time, so that every n-gram is tested and inserted."""
    filters: list[ShardDeduplicator] = []
    seeds = iter(range(100))

    def prepare() -> None:
        filters.clear()
        filters.append(new_filter(next(seeds)))

    return timed(
        DEDUP,
        lambda: filters[0].deduplicate(sample.texts),
        documents=len(sample.texts),
        size_bytes=sample.size_bytes,
        prepare=prepare,
    )
