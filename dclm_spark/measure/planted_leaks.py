"""Pages with evaluation items planted in them, by kind, and pages that only look like it."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from udfs.dedup.evaluation_index import Item

_MARKS = ("**", "<br>", " | ", "\n- ", "<b>", "\n\n")
_PUNCTUATION = str.maketrans({".": ";", ",": " -", "?": " ...", "'": "\u2019", '"': "\u201c"})
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# Share of a text that is left where it is cut.
KEPT_WHERE_TRUNCATED = 0.7
# Share of the pool that has a popular quotation.
POPULAR = 0.1


@dataclass(frozen=True, kw_only=True)
class PlantedPage:
    """A page of a `kind`; `leaks` says whether it holds the question of `item` (None: any)."""

    kind: str
    text: str
    leaks: bool
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
    words = f"{item.question} {item.answer}".split()
    return " ".join(words[: max(1, round(KEPT_WHERE_TRUNCATED * len(words)))])


def _with_markup(item: Item, rng: random.Random) -> str:
    words = _printed(item, rng).split()
    parts = [words[place : place + 9] for place in range(0, len(words), 9)]
    return "".join(f"{' '.join(part)}{rng.choice(_MARKS)}" for part in parts)


def _other_numbers(item: Item, rng: random.Random) -> str:
    return re.sub(r"\d", lambda found: f" {_NUMBERS[int(found[0])]} ", _printed(item, rng))


LEAKS: dict[str, Callable[[Item, random.Random], str]] = {
    "verbatim": _printed,
    "truncated": _truncated,
    "other punctuation": lambda item, rng: _printed(item, rng).translate(_PUNCTUATION),
    "other case": lambda item, rng: _printed(item, rng).upper(),
    "options shuffled": _shuffled,
    "markup between": _with_markup,
    "numbers in words": _other_numbers,
}


def leaked_pages(
    items: Sequence[Item], pages: Sequence[str], rng: random.Random
) -> list[PlantedPage]:
    """Return pages that hold one of `items` each, of every kind of LEAKS and in a long page."""
    found = []
    for item in items:
        for kind, make in LEAKS.items():
            found.append(_planted(kind, item, make(item, rng), rng.choice(pages)))
        long_page = "\n".join(rng.choices(pages, k=20))
        found.append(_planted("inside a long page", item, _printed(item, rng), long_page))
    return found


def _planted(kind: str, item: Item, text: str, page: str) -> PlantedPage:
    middle = page.find("\n", len(page) // 2)
    middle = len(page) if middle < 0 else middle
    return PlantedPage(
        kind=kind, text=f"{page[:middle]}\n{text}\n{page[middle:]}", leaks=True, item=item
    )


def near_misses(
    indexed: Sequence[Item], held_out: Sequence[Item], pages: Sequence[str], rng: random.Random
) -> list[PlantedPage]:
    """Return pages that hold no question of `indexed`, though words of them.

    Passages of indexed items alone, the same with a question that is not indexed (`held_out`), and
    quotations that many pages have, of which an item begins.
    """
    passages = {item.passage for item in indexed if item.passage}
    found = [
        PlantedPage(kind="source of a passage", text=f"{rng.choice(pages)}\n{passage}", leaks=False)
        for passage in sorted(passages)[: len(held_out)]
    ]
    found += [
        PlantedPage(kind="other question on the passage", text=_printed(item, rng), leaks=False)
        for item in held_out
        if item.passage in passages
    ]
    long_items = [item for item in indexed if len(item.question.split()) > 25]
    count = max(1, round(POPULAR * len(pages)))
    for item in rng.sample(long_items, min(3, len(long_items))):
        words = item.question.split()
        quotation = " ".join(words[: round(0.6 * len(words))])
        found += [
            PlantedPage(kind="popular quotation", text=f"{page}\n{quotation}\n", leaks=False)
            for page in rng.sample(list(pages), count)
        ]
    return found


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
