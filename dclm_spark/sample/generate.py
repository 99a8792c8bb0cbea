"""Write the sample crawl: WARC files in the Common Crawl layout, URL lists, ground truth."""

import gzip
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from dclm_spark.sample.chatter import FACTS_PER_PAGE, KINDS, chatter
from dclm_spark.sample.facts import Fact, make_facts
from dclm_spark.sample.failures import FAILURES
from dclm_spark.sample.kinds import (
    BANNED_DOMAINS,
    FACTS_PER_ARTICLE,
    PAGES_PER_RULE,
    PageMaker,
)
from dclm_spark.sample.prose import article, library_paragraphs
from dclm_spark.sample.warc_records import Page, write_warc

CRAWL = "SAMPLE-2026-01"
NUM_FILES = 6
NUM_TRAINING_TEXTS = 500
_FOLDER = f"crawl-data/{CRAWL}/segments/1767225600000.01/warc"
# Shares of the pages that are not made to fail a rule; low-quality pages first.
CHATTER_SHARE = 0.16
_SHARES = {
    "foreign": 0.12,
    "accented": 0.02,
    "exact_duplicates": 0.04,
    "near_duplicates": 0.05,
    "thin": 0.05,
    "not_found": 0.03,
    "other_media": 0.02,
}
_NUM_BROKEN = 7
_NUM_HTTP_GARBAGE = 4
_LISTS = {
    "banned_domains": BANNED_DOMAINS,
    "strict": ("quibblefen", "snorkwaddle"),
    "hard": ("blatherskite", "grumblefish"),
    "soft": ("doodle", "fizzy", "jumbo", "turnip", "wobbly"),
    "tlds": ("biz", "co", "com", "de", "edu", "fr", "gov", "info", "io", "net", "org", "uk"),
}


@dataclass(frozen=True, kw_only=True)
class SampleCrawl:
    """Where the sample lies: paths in `listing` are relative to `base`.

    `truth` has one JSON object per response record (`Truth.as_row`), `counts` the records by type,
    `facts` the made-up facts as prompts with answers; `positives` and `negatives` are texts for
    the quality classifier; `lists` is the folder of the URL lists.
    """

    base: Path
    listing: Path
    truth: Path
    counts: Path
    facts: Path
    positives: Path
    negatives: Path
    lists: Path


def generate_crawl(
    directory: Path, *, seed: int = 1, num_pages: int = 2000, chatter_share: float = CHATTER_SHARE
) -> SampleCrawl:
    """Write the sample crawl of about `num_pages` pages below `directory`, and say where it lies.

    `chatter_share` of the pages that are not made to fail a rule are low-quality English. The same
    arguments and Python version give the same bytes; a finished sample is left as it is. Raises
    ValueError where `num_pages` leaves no room for the pages that must fail a rule.
    """
    minimum = len(FAILURES) * PAGES_PER_RULE + 100
    if num_pages < minimum:
        raise ValueError(f"num_pages={num_pages}: the sample needs at least {minimum} pages")
    sample = _layout(Path(directory))
    made = {"seed": seed, "num_pages": num_pages, "chatter_share": chatter_share}
    if sample.counts.is_file() and json.loads(sample.counts.read_text())["made_with"] == made:
        return sample
    facts = make_facts(Random(f"{seed}:facts"))
    files = _assign(_pages(seed, num_pages, chatter_share, facts), Random(f"{seed}:order"))
    _write_lists(sample.lists)
    _write_training_texts(sample, seed, facts)
    _write_rows(sample.facts, map(asdict, facts))
    counts = _write_files(sample, files, seed)
    # Written last: it says that the sample is whole.
    sample.counts.write_text(json.dumps({"made_with": made, "records": counts}, indent=2))
    return sample


def _layout(base: Path) -> SampleCrawl:
    return SampleCrawl(
        base=base,
        listing=base / "crawl-data" / CRAWL / "warc.paths.gz",
        truth=base / "truth.jsonl",
        counts=base / "counts.json",
        facts=base / "facts.jsonl",
        positives=base / "positives.jsonl",
        negatives=base / "negatives.jsonl",
        lists=base / "lists",
    )


def _sizes(count: int, chatter_share: float) -> dict[str, int]:
    """Divide `count` pages; the other kinds and the articles shrink alike where chatter grows."""
    room = (1 - chatter_share) / (1 - CHATTER_SHARE)
    sizes = {kind: round(share * room * count) for kind, share in _SHARES.items()}
    sizes["chatter"] = round(chatter_share * count)
    sizes["articles"] = count - sum(sizes.values())
    return sizes


def _pages(seed: int, num_pages: int, chatter_share: float, facts: list[Fact]) -> list[Page]:
    """Return all pages, the whole ones first and then those that must end a file."""
    quotations = library_paragraphs()
    Random(f"{seed}:quotations").shuffle(quotations)
    maker = PageMaker(seed, facts, quotations)
    failing = list(maker.failing(PAGES_PER_RULE))
    sizes = _sizes(num_pages - len(failing), chatter_share)
    articles = list(maker.articles(sizes["articles"]))
    copied = articles[: sizes["exact_duplicates"]]
    edited = articles[len(copied) :][: sizes["near_duplicates"]]
    return [
        *failing,
        *(page for page, _ in articles),
        *maker.exact_duplicates(copied),
        *maker.near_duplicates(edited),
        *maker.chatter(sizes["chatter"]),
        *maker.foreign(sizes["foreign"]),
        *maker.accented(sizes["accented"]),
        *maker.thin(sizes["thin"]),
        *maker.not_found(sizes["not_found"]),
        *maker.other_media(sizes["other_media"]),
        *maker.http_garbage(_NUM_HTTP_GARBAGE),
        maker.oversize(),
        *maker.broken(_NUM_BROKEN),
    ]


def _assign(pages: list[Page], rng: Random) -> list[list[Page]]:
    """Mix the pages over the files; the cut-off record ends the last one."""
    *mixed, tail = pages
    rng.shuffle(mixed)
    size = -(-len(mixed) // NUM_FILES)
    files = [mixed[start : start + size] for start in range(0, len(mixed), size)]
    files[-1].append(tail)
    return _with_survivors(files)


def _with_survivors(files: list[list[Page]]) -> list[list[Page]]:
    """Of two equal texts the first in crawl order stays; say so in the truth of both."""
    order = [page for pages in files for page in pages]
    twins = {page.truth.duplicate_of for page in order if page.truth.kind in _EXACT}
    seen: set[str | None] = set()
    return [[_settled(page, twins, seen) for page in pages] for pages in files]


_EXACT = ("exact_duplicate", "same_url")


def _settled(page: Page, twins: set[str | None], seen: set[str | None]) -> Page:
    exact = page.truth.kind in _EXACT
    original = page.truth.duplicate_of if exact else page.url
    if original not in twins or not (exact or page.truth.kind == "article"):
        return page
    if original not in seen:
        seen.add(original)
        return page
    return replace(page, truth=replace(page.truth, stage="deduplicate", fate="dropped"))


def _write_files(sample: SampleCrawl, files: list[list[Page]], seed: int) -> dict[str, int]:
    total: dict[str, int] = {}
    names, truths = [], []
    for number, pages in enumerate(files):
        stamp = f"20260101{number:02d}0000-20260101{number + 1:02d}0000"
        name = f"{_FOLDER}/SAMPLE-{stamp}-{number:05d}.warc.gz"
        counts = write_warc(sample.base / name, pages, Random(f"{seed}:file:{number}"))
        total = {kind: total.get(kind, 0) + count for kind, count in counts.items()}
        truths += [page.truth.as_row(name, position) for position, page in enumerate(pages)]
        names.append(name)
    _write_rows(sample.truth, truths)
    listing = "".join(f"{name}\n" for name in names)
    sample.listing.write_bytes(gzip.compress(listing.encode(), mtime=0))
    return total


def _write_lists(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, entries in _LISTS.items():
        (folder / f"{name}.txt").write_text("".join(f"{entry}\n" for entry in entries))


def _write_training_texts(sample: SampleCrawl, seed: int, planted: list[Fact]) -> None:
    """Write texts that are not in the crawl: articles, and a mixture like random pages.

    They are about other facts, so that what is learned from them is how pages are written, and
    no answer to a planted fact comes from here.
    """
    known = {fact.prompt for fact in planted}
    facts = make_facts(Random(f"{seed}:training facts"))
    facts = [fact for fact in facts if fact.prompt not in known]
    numbers = range(NUM_TRAINING_TEXTS)
    _write_rows(
        sample.positives, ({"text": _stating(Random(f"{seed}:+{n}"), facts)} for n in numbers)
    )
    _write_rows(
        sample.negatives, ({"text": _negative(Random(f"{seed}:-{n}"), n, facts)} for n in numbers)
    )


def _stating(rng: Random, facts: list[Fact]) -> str:
    stated = [fact.state(rng) for fact in rng.sample(facts, FACTS_PER_ARTICLE)]
    return article(rng, statements=stated).text


def _negative(rng: Random, number: int, facts: list[Fact]) -> str:
    if number % 20 == 0:
        return _stating(rng, facts)
    kind = sorted(KINDS)[number % len(KINDS)]
    return chatter(rng, kind, rng.sample(facts, FACTS_PER_PAGE)).text


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as output:
        output.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
