"""The reference's chain on a folder of WARCs, and its steps on given texts; run where uniseg is.

`python -m reference.peer JOB`, with the folder above this one on the path; JOB is a JSON object of
paths: `folder`, `texts` (JSON lines of `url` and `text`), `lists` by name, `language_model`,
`quality_model` and `tokenizer` (both may be null). Prints one JSON object: CPU seconds per step.
"""

import importlib
import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import fasttext
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text

from .addresses import load_lists
from .page import Page, Step
from .steps import LANGUAGE_STEPS, all_steps, passes

_PASSES = 3
# No further pass over the texts after so many seconds.
_TEXTS_BUDGET_SECONDS = 10.0
_POSITIVE = "__label__hq"
_SAMPLE = "The quick brown fox jumps over the lazy dog, and that is all there is to it. " * 20

Result = TypeVar("Result")


class Clock:
    """CPU seconds of this process and the documents that came out, by the name of the step."""

    def __init__(self) -> None:
        self.taken: dict[str, dict[str, float]] = {}

    def timed(self, name: str, work: Callable[[], list[Result]]) -> list[Result]:
        """Return the result of `work`, its time added to the step's."""
        start = time.process_time()
        result = work()
        seconds = time.process_time() - start
        before = self.taken.get(name, {"cpu_seconds": 0.0})["cpu_seconds"]
        self.taken[name] = {"cpu_seconds": before + seconds, "documents": len(result)}
        return result


def read(folder: str) -> list[tuple[str, str]]:
    """Return (URL, HTML) of the pages that are strict UTF-8 (spec 1.1)."""
    kinds = WarcRecordType.response | WarcRecordType.warcinfo
    pages = []
    for path in sorted(Path(folder).glob("*.warc.gz")):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, record_types=kinds):
                body = record.reader.read()
                if record.record_type == WarcRecordType.warcinfo:
                    continue
                metadata = dict(record.headers)
                try:
                    pages.append((metadata["WARC-Target-URI"], body.decode()))
                except (KeyError, UnicodeDecodeError):
                    continue
    return pages


def extract(pages: list[tuple[str, str]]) -> list[Page]:
    """Return the main text of each page (spec 1.2), without those that the parser fails on."""
    found = []
    for url, html in pages:
        try:
            found.append(Page(url, extract_plain_text(html, main_content=True)))
        except Exception:
            continue
    return found


def judge(pages: list[Page], steps: dict[int, Step], clock: Clock) -> list[Page]:
    """Run step after step over all pages (spec 2.8); return those that stay."""
    for number, step in steps.items():
        name = "language id" if number in LANGUAGE_STEPS else "26 steps"
        pages = clock.timed(name, partial(_staying, pages, step))
    return pages


def _staying(pages: list[Page], step: Step) -> list[Page]:
    return [page for page in pages if passes(page, step)]


def score(pages: list[Page], model: Any) -> list[float]:
    """Return the probability of the positive label for each page (spec 4.1)."""
    scores = []
    for page in pages:
        labels, probabilities = model.predict(" ".join(page.text.strip().splitlines()))
        probability = float(probabilities[0])
        scores.append(probability if labels[0] == _POSITIVE else 1 - probability)
    return scores


def tokenize(pages: list[Page], tokenizer: Any) -> list[list[int]]:
    """Return the token ids of each page."""
    return [tokenizer.encode(page.text, add_special_tokens=False).ids for page in pages]


def load_tokenizer(path: str | None) -> Any:
    """Return the tokenizer of a tokenizer.json; None without one or without `tokenizers`."""
    try:
        library = importlib.import_module("tokenizers")
    except ImportError:
        return None
    return library.Tokenizer.from_file(path) if path else None


def time_texts(path: str, steps: dict[int, Step]) -> dict[str, float]:
    """Return the best CPU seconds of the steps but language identification on English texts."""
    documents = [json.loads(line) for line in Path(path).read_text().splitlines()]
    chosen = {number: step for number, step in steps.items() if number not in LANGUAGE_STEPS}
    seconds: list[float] = []
    while len(seconds) < _PASSES and sum(seconds) < _TEXTS_BUDGET_SECONDS:
        clock = Clock()
        judge([Page(found["url"], found["text"]) for found in documents], chosen, clock)
        seconds.append(clock.taken["26 steps"]["cpu_seconds"])
    size_bytes = sum(len(found["text"].encode()) for found in documents)
    return {"cpu_seconds": min(seconds), "documents": len(documents), "size_bytes": size_bytes}


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Measure everything that `job` gives the files and models for."""
    steps = all_steps(load_lists(job["lists"]), fasttext.load_model(job["language_model"]))
    quality = fasttext.load_model(job["quality_model"]) if job["quality_model"] else None
    tokenizer = load_tokenizer(job["tokenizer"])
    # Load the tables that the first document would otherwise pay for.
    judge(extract([("http://a.example/", f"<main><p>{_SAMPLE}</p></main>")]), steps, Clock())
    judge([Page("http://a.example/", " ".join(_SAMPLE.split()[:60]))], steps, Clock())
    clock = Clock()
    html = clock.timed("read", lambda: read(job["folder"]))
    pages = clock.timed("extract", lambda: extract(html))
    kept = judge(pages, steps, clock)
    if quality is not None:
        clock.timed("quality", lambda: score(kept, quality))
    if tokenizer is not None:
        clock.timed("tokens", lambda: tokenize(kept, tokenizer))
    return {
        "versions": {name: importlib.metadata.version(name) for name in ("uniseg", "resiliparse")},
        "steps": clock.taken,
        "kept": len(kept),
        "left_out": ["tokens"] if job["tokenizer"] and tokenizer is None else [],
        "texts": time_texts(job["texts"], steps),
    }


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
