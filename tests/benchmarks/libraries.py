"""The same work by the named libraries, where this interpreter has them, on a part of the texts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dclm_spark.measure import kernels
from dclm_spark.measure.clock import Timing, timed
from dclm_spark.measure.inputs import Models, library
from udfs.cpu_clock import cpu_seconds

# CPU seconds of a pass of each library; the slow ones see fewer texts.
BUDGET_SECONDS = 0.8
_NGRAM = 5
_PERMUTATIONS = 128

Work = Callable[[str], object]


def measure_libraries(texts: Sequence[str], models: Models) -> list[tuple[str, Timing]]:
    """Return (name of our kernel, timing of a library) for every library that is installed."""
    works: list[tuple[str, str, Work | None]] = [
        (kernels.SEGMENTS, "uniseg", _uniseg()),
        (kernels.LANGUAGE, "fasttext predict", _fasttext(models.language_model)),
        (kernels.QUALITY, "fasttext predict", _fasttext(models.quality_model)),
        (kernels.MINHASH_128, "rensa", _rensa()),
        (kernels.MINHASH_128, "datasketch", _datasketch()),
        (kernels.TOKENS, "tokenizers", _tokenizers(models.tokenizer)),
    ]
    return [
        (kernel, within_budget(name, work, _spread(texts), BUDGET_SECONDS))
        for kernel, name, work in works
        if work is not None
    ]


def _spread(texts: Sequence[str]) -> list[str]:
    """Return the texts in an order in which any beginning is a sample of all."""
    return [text for start in range(17) for text in texts[start::17]]


def within_budget(name: str, work: Work, texts: Sequence[str], budget_seconds: float) -> Timing:
    """Do `work` on as many texts as the budget of CPU seconds allows, at least one, and repeat.

    The best of PASSES passes counts, as for our kernels.
    """
    work("A first call may load tables.")
    start = cpu_seconds()
    chosen: list[str] = []
    for text in texts:
        work(text)
        chosen.append(text)
        if cpu_seconds() - start > budget_seconds:
            break
    return timed(
        name,
        lambda: [work(text) for text in chosen],
        documents=len(chosen),
        size_bytes=sum(len(text.encode()) for text in chosen),
        warm_up=False,
    )


def _uniseg() -> Work | None:
    module = library("uniseg.wordbreak")
    return None if module is None else lambda text: list(module.words(text))


def _fasttext(model: str | Path | None) -> Work | None:
    module = library("fasttext")
    if module is None or model is None:
        return None
    predictor: Any = module.load_model(str(model))
    return lambda text: predictor.predict(" ".join(text.split("\n")))


def _shingles(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[index : index + _NGRAM]) for index in range(len(words) - _NGRAM + 1)]


def _rensa() -> Work | None:
    module = library("rensa")
    if module is None:
        return None

    def sign(text: str) -> object:
        signature = module.RMinHash(num_perm=_PERMUTATIONS, seed=1)
        signature.update(_shingles(text))
        return signature.digest()

    return sign


def _datasketch() -> Work | None:
    module = library("datasketch")
    if module is None:
        return None

    def sign(text: str) -> object:
        signature = module.MinHash(num_perm=_PERMUTATIONS)
        signature.update_batch([shingle.encode() for shingle in _shingles(text)])
        return signature.hashvalues

    return sign


def _tokenizers(path: str | None) -> Work | None:
    module = library("tokenizers")
    if module is None or path is None:
        return None
    tokenizer: Any = module.Tokenizer.from_file(path)
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids
