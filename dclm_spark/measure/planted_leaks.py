"""Pages with evaluation items planted in them, by kind, and pages that only look like it."""

import random
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from udfs.dedup.evaluation_index import Item

_MARKS = ("**", "<br>", " | ", "\n- ", '<a href="/x1">', "&nbsp;", "\n\n")
_PUNCTUATION = str.maketrans({".": ";", ",": " -", "?": " ...", "'": "\u2019", '"': "\u201c"})
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# Share of a text that is left where it is cut.
KEPT_WHERE_TRUNCATED = 0.7
# From so many words on, that begin no other item, a text that was cut tells which item it was.
TELLING_WORDS = 10
# Share of the pool that has a popular quotation.
POPULAR = 0.1
# Share of words in order that two questions have in common from which they are nearly the same.
NEARLY_THE_SAME = 0.6


@dataclass(frozen=True, kw_only=True)
class PlantedPage:
    """A page of a `kind`; `leaks` says whether it holds the question of `item` (None: any).

    It is None where the page has nearly such a question.
    """

    kind: str
    text: str
    leaks: bool | None
    item: Item | None = None


def _printed(item: Item, rng: random.Random) -> str:
    """Return an item as a page of questions prints it."""
    options = item.choices.split("\n") if item.choices else []
    lines = [f"{letter}. {option}" for letter, option in zip("ABCDE", options, strict=False)]
    return "\n".join([item.passage, item.question, *lines, f"Answer: {item.answer}"]).strip()


def _shuffled(item: Item, rng: random.Random) -> str:
    options = item.choices.split("\n") if item.choices else []
    rng.shuffle(options)
    return "\n".join([item.question, *options, item.answer])


def _truncated(item: Item, rng: random.Random) -> str:
    words = _said(item).split()
    return " ".join(words[: max(1, round(KEPT_WHERE_TRUNCATED * len(words)))])


def _with_markup(item: Item, rng: random.Random) -> str:
    words = _printed(item, rng).split()
    parts = [words[place : place + 9] for place in range(0, len(words), 9)]
    return "".join(f"{' '.join(part)}{rng.choice(_MARKS)}" for part in parts)


def _other_numbers(item: Item, rng: random.Random) -> str:
    return re.sub(r"\d", lambda found: f" {_NUMBERS[int(found[0])]} ", _printed(item, rng))


PARAPHRASED = "numbers in words"
LEAKS: dict[str, Callable[[Item, random.Random], str]] = {
    "verbatim": _printed,
    "truncated": _truncated,
    "other punctuation": lambda item, rng: _printed(item, rng).translate(_PUNCTUATION),
    "other case": lambda item, rng: _printed(item, rng).upper(),
    "options shuffled": _shuffled,
    "markup between": _with_markup,
    PARAPHRASED: _other_numbers,
}


def leaked_pages(
    items: Sequence[Item], indexed: Sequence[Item], pages: Sequence[str], rng: random.Random
) -> list[PlantedPage]:
    """Return pages that hold one of `items` each, of every kind of LEAKS and in a long page.

    What is cut to few words, or to words that begin other ones of `indexed` too, is a kind apart.
    """
    beginnings = sorted(_said(item) for item in indexed)
    found = []
    for item in items:
        for kind, make in LEAKS.items():
            text = make(item, rng)
            if kind == "truncated" and not _tells_item(text, beginnings):
                kind = "truncated to what tells no item"
            found.append(_planted(kind, item, text, rng.choice(pages)))
        long_page = "\n".join(rng.choices(pages, k=20))
        found.append(_planted("inside a long page", item, _printed(item, rng), long_page))
    return found


def _said(item: Item) -> str:
    return " ".join(f"{item.question} {item.answer}".split())


def _tells_item(text: str, beginnings: Sequence[str]) -> bool:
    begun = bisect_right(beginnings, text + "\uffff") - bisect_left(beginnings, text)
    return len(text.split()) >= TELLING_WORDS and begun <= 1


def _planted(kind: str, item: Item, text: str, page: str) -> PlantedPage:
    middle = page.find("\n", len(page) // 2)
    middle = len(page) if middle < 0 else middle
    return PlantedPage(
        kind=kind, text=f"{page[:middle]}\n{text}\n{page[middle:]}", leaks=True, item=item
    )


def near_misses(
    indexed: Sequence[Item],
    held_out: Sequence[Item],
    pages: Sequence[str],
    rng: random.Random,
    count: int,
) -> list[PlantedPage]:
    """Return pages that hold no question of `indexed`, though words of them.

    Up to `count` passages of indexed items alone; questions that are not indexed (`held_out`), with
    their passage where one is; and quotations that many pages have, of which an item begins.
    """
    passages = sorted({item.passage for item in indexed if item.passage})
    found = [
        PlantedPage(kind="source of a passage", text=f"{rng.choice(pages)}\n{passage}", leaks=False)
        for passage in rng.sample(passages, min(count, len(passages)))
    ]
    nearly = _nearly_indexed(held_out, indexed)
    for item, is_nearly in zip(held_out, nearly, strict=True):
        kind = "other question on the passage" if item.passage else "question of another set"
        if is_nearly:
            kind = "nearly an indexed question"
        before = "" if item.passage else f"{rng.choice(pages)}\n"
        text = before + _printed(item, rng)
        found.append(PlantedPage(kind=kind, text=text, leaks=None if is_nearly else False))
    return [*found, *_popular(indexed, pages, rng)]


def _popular(
    indexed: Sequence[Item], pages: Sequence[str], rng: random.Random
) -> Iterator[PlantedPage]:
    long_items = [item for item in indexed if len(item.question.split()) > 25]
    count = max(1, round(POPULAR * len(pages)))
    for item in rng.sample(long_items, min(3, len(long_items))):
        words = item.question.split()
        quotation = " ".join(words[: round(0.6 * len(words))])
        for page in rng.sample(list(pages), count):
            yield PlantedPage(kind="popular quotation", text=f"{page}\n{quotation}\n", leaks=False)


def _nearly_indexed(items: Sequence[Item], indexed: Sequence[Item]) -> Iterator[bool]:
    """Yield of each item whether an indexed question has most of its words in the same order."""
    questions = [re.findall(r"\w+", item.question.lower()) for item in indexed]
    by_run: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, words in enumerate(questions):
        for run in zip(words, words[1:], words[2:], words[3:], strict=False):
            by_run[run].append(number)
    for item in items:
        words = re.findall(r"\w+", item.question.lower())
        runs = zip(words, words[1:], words[2:], words[3:], strict=False)
        alike = {number for run in runs for number in by_run.get(run, ())}
        matcher = SequenceMatcher(b=words, autojunk=False)
        yield any(_is_nearly(matcher, questions[number]) for number in alike)


def _is_nearly(matcher: "SequenceMatcher[str]", words: list[str]) -> bool:
    matcher.set_seq1(words)
    return matcher.quick_ratio() >= NEARLY_THE_SAME and matcher.ratio() >= NEARLY_THE_SAME


def split_by_passage(items: Sequence[Item], rng: random.Random) -> tuple[list[Item], list[Item]]:
    """Return (indexed, held out): of the items of a passage with several, one is not indexed."""
    by_passage: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_passage[item.passage].append(item)
    held_out = [
        rng.choice(group) for passage, group in by_passage.items() if passage and len(group) > 1
    ]
    out = {(item.task, item.number) for item in held_out}
    return [item for item in items if (item.task, item.number) not in out], held_out
