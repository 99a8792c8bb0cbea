"""How well every extractor finds the text of pages whose text people have marked, and its cost.

The pages are WARC files of a folder with `gold.jsonl.gz` (an object a page, by `record_id`: the
whole `main_text`, or strings `with` and `without`) and `manifest.tsv`, which says where they lie.
"""

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.compute as pc

from dclm_spark.crawl.listing import InputFile
from dclm_spark.measure.clock import seconds_of
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings
from udfs.documents.extract import RecordCounts
from udfs.documents.schema import KEPT
from udfs.documents.views import VIEW_CHOICES
from udfs.html.charset import decode
from udfs.html.extractor import Page, View
from udfs.html.extractors import EXTRACTORS, label_of, missing_package
from udfs.html.parser import kept_parser
from udfs.storage.files import open_stream
from udfs.units.curate import InputUnit, curated
from udfs.warc.reader import WarcRecord, read_records

# The extractors that docs/extraction.md recommends together.
VIEWS = "extraction.views=[resiliparse, resiliparse_recall, resiliparse_paragraphs]"
# A text given as it stands is no extraction.
_NOT_COMPARED = ("none",)
# Every character of an unspaced script is a word, as are runs of letters and digits elsewhere.
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|\w+")


@dataclass(kw_only=True)
class ExtractorQuality:
    """What one extractor found; F1 of words is a mean over pages, by source of the pages."""

    label: str
    word_f1: dict[str, float] = field(default_factory=dict)
    pages: dict[str, int] = field(default_factory=dict)
    # Shares of the strings that must be in a text and are, that must not and are not.
    found: float = 0.0
    left_out: float = 0.0
    milliseconds_per_page: float = 0.0

    @property
    def mean_f1(self) -> float:
        """Return the mean over all pages with a whole text."""
        total = sum(self.pages.values())
        return sum(f1 * self.pages[source] for source, f1 in self.word_f1.items()) / total


@dataclass(kw_only=True)
class Survival:
    """What the rules of a recipe leave of a crawl's pages, by extraction settings."""

    settings: str
    documents: int
    words: int
    cpu_seconds: float


GoldPage = tuple[Page, dict[str, Any]]


def gold_pages(folder: Path) -> Iterator[GoldPage]:
    """Yield every page with a marked text or with marked strings, and its gold."""
    with gzip.open(folder / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        gold = {one["record_id"]: one for one in map(json.loads, lines)}
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as rows:
        table = list(csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE))
    files = {path.name: str(path) for path in folder.rglob("*.warc.gz")}
    for row in table:
        marked = gold.get(row["record_id"])
        if marked is None or not (_whole_text(marked) or marked.get("with")):
            continue
        with open_stream(files[Path(row["warc_file"]).name], int(row["offset"])) as stream:
            record = next(read_records(stream))
        if isinstance(record, WarcRecord):
            page = decode(record.payload, http_content_type=record.http_content_type)
            if page is not None:
                yield Page(page.utf8.decode()), marked


def _whole_text(marked: dict[str, Any]) -> str | None:
    is_whole = marked["gold_kind"] in ("main_text", "main_html")
    return marked.get("main_text") if is_whole else None


def compare_extractors(pages: Sequence[GoldPage]) -> list[ExtractorQuality]:
    """Return the quality of every extractor whose package is installed."""
    names = [name for name in EXTRACTORS if name not in _NOT_COMPARED]
    return [quality_of(name, pages) for name in names if missing_package(name) is None]


def quality_of(name: str, pages: Sequence[GoldPage]) -> ExtractorQuality:
    """Extract every page anew, and compare with its gold; a page that raises has no text."""
    quality = ExtractorQuality(label=label_of(name))
    view, texts = EXTRACTORS[name].load(), []
    seconds = seconds_of(lambda: texts.extend(_texts(view, pages)))
    quality.milliseconds_per_page = seconds / len(pages) * 1000
    by_source: dict[str, list[float]] = defaultdict(list)
    found: list[bool] = []
    left_out: list[bool] = []
    for text, (_, marked) in zip(texts, pages, strict=True):
        if whole := _whole_text(marked):
            by_source[marked["source"]].append(word_f1(text, whole))
        plain = _plain(text)
        found += [_plain(one) in plain for one in marked.get("with") or ()]
        left_out += [_plain(one) not in plain for one in marked.get("without") or ()]
    quality.word_f1 = {source: fmean(values) for source, values in sorted(by_source.items())}
    quality.pages = {source: len(values) for source, values in sorted(by_source.items())}
    quality.found, quality.left_out = fmean(found or [0]), fmean(left_out or [0])
    return quality


def _texts(view: View, pages: Sequence[GoldPage]) -> Iterator[str]:
    for page, _ in pages:
        try:
            # A page of its own, which nobody has parsed yet.
            yield view(Page(page))
        except Exception:
            yield ""


def word_f1(text: str, gold: str) -> float:
    """Return the harmonic mean of precision and recall of the words, each as often as it occurs."""
    found, wanted = Counter(_WORD.findall(text.lower())), Counter(_WORD.findall(gold.lower()))
    shared = (found & wanted).total()
    return 2 * shared / (found.total() + wanted.total()) if shared else 0.0


def _plain(text: str) -> str:
    return " ".join(text.split())


def survival(files: Sequence[InputFile], *assignments: str) -> Survival:
    """Return what DCLM-BASELINE's rules leave of pages, and the CPU of reading to judging."""
    settings = curation_settings(load_recipe("dclm_baseline", assignments))
    extraction = settings.extraction
    outcome = Survival(
        settings=" ".join(assignments) or "as it is", documents=0, words=0, cpu_seconds=0.0
    )

    def run() -> None:
        for file in files:
            source = InputUnit(crawl=file.crawl, path=file.path, uri=file.uri, kind=file.kind)
            for batch in curated(source, settings, RecordCounts()):
                kept = batch.filter(pc.equal(batch.column("fate"), KEPT)).column("text")
                outcome.documents += len(kept)
                outcome.words += sum(len(text.split()) for text in kept.to_pylist())

    parser = extraction.timeout_seconds, extraction.max_parser_memory_bytes, extraction.extractors
    kept_parser(*parser).close()
    outcome.cpu_seconds = seconds_of(run)
    kept_parser(*parser).close()
    return outcome


def compare_survival(files: Sequence[InputFile]) -> list[Survival]:
    """Return what survives with each extractor and with several; the second pass counts."""
    names = [name for name in EXTRACTORS if name not in _NOT_COMPARED]
    names = [name for name in names if missing_package(name) is None]
    survival(files)
    one = [survival(files, f"extraction.extractor={name}") for name in names]
    return [
        *one,
        *(survival(files, VIEWS, f"extraction.view_choice={how}") for how in VIEW_CHOICES),
    ]
