"""datatrove's own steps on one folder of WARCs; run by the interpreter that has datatrove.

Prints one JSON object: CPU seconds per step, and how many documents came out of each. Imports
nothing of ours, so that it runs where only datatrove is installed.
"""

import importlib
import importlib.metadata
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

# The order of FineWeb's published script; the extractor's time limit is its default, 1 s a page.
_FILTERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("gopher_repetition_filter", "GopherRepetitionFilter", {}),
    ("gopher_quality_filter", "GopherQualityFilter", {}),
    ("c4_filters", "C4QualityFilter", {"filter_no_terminal_punct": False}),
    ("fineweb_quality_filter", "FineWebQualityFilter", {}),
)
_WORDS_BUDGET_SECONDS = 1.5


def cpu_seconds() -> float:
    """Return the CPU time of this process and of children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _load(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"datatrove.pipeline.{module}"), name)


def steps(folder: str, language_model: str, output: str) -> list[tuple[str, Any]]:
    """Return (name, datatrove step) in the order in which a document passes them."""
    found = [
        ("read", _load("readers.warc", "WarcReader")(folder, glob_pattern="*.warc.gz")),
        ("extract", _load("extractors.trafilatura", "Trafilatura")()),
    ]
    if language_model:
        importlib.import_module("datatrove.utils.lid").FT176LID.MODEL_URL = language_model
        found.append(("language", _load("filters.language_filter", "LanguageFilter")("en")))
    for module, name, arguments in _FILTERS:
        found.append((name, _load(f"filters.{module}", name)(**arguments)))
    found.append(("MinHash", _load("dedup.minhash", "MinhashDedupSignature")(output)))
    return found


def warm_up(found: list[tuple[str, Any]]) -> None:
    """Load the libraries and models that the first document would otherwise pay for."""
    document = importlib.import_module("datatrove.data").Document
    text = "The quick brown fox jumps over the lazy dog, and that is all there is to it. " * 20
    importlib.import_module("trafilatura").extract(f"<html><body><p>{text}</p></body></html>")
    for name, step in found:
        if name not in ("read", "extract", "MinHash"):
            step.filter(document(text=text, id="0"))
        elif name == "MinHash":
            step.get_signature(step.get_shingles(text))


def run(found: list[tuple[str, Any]]) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Run step after step over all documents; return what each took, and the extracted texts."""
    documents: list[Any] | None = None
    taken: dict[str, dict[str, float]] = {}
    texts: list[str] = []
    for name, step in found:
        start = cpu_seconds()
        passed = list(step.run(documents) or ())
        taken[name] = {"cpu_seconds": cpu_seconds() - start, "documents": len(passed)}
        documents = passed
        if name == "extract":
            texts = [str(document.text) for document in passed]
    return taken, texts


def time_words(texts: list[str]) -> dict[str, float | str]:
    """Time word segmentation by this interpreter's `uniseg`, where it has one."""
    try:
        words: Callable[[str], Any] = importlib.import_module("uniseg.wordbreak").words
    except ImportError:
        return {}
    start = cpu_seconds()
    size_bytes = 0
    for text in texts:
        list(words(text))
        size_bytes += len(text.encode())
        if cpu_seconds() - start > _WORDS_BUDGET_SECONDS:
            break
    return {
        "version": importlib.metadata.version("uniseg"),
        "cpu_seconds": cpu_seconds() - start,
        "size_bytes": size_bytes,
    }


def main() -> None:
    """Run on the folder and the language model (or "") of the command line."""
    folder, language_model = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as output:
        found = steps(folder, language_model, output)
        warm_up(found)
        taken, texts = run(found)
    result = {
        "version": importlib.metadata.version("datatrove"),
        "steps": taken,
        "uniseg": time_words(texts),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
