"""Steps 19 to 25: lines that go, and phrases that go from lines (spec 2.7)."""

import re
from collections.abc import Callable

from .page import Page, Step

_COUNTER = re.compile(
    r"^\W*\d[,.\d]*[kmb]?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes"
    r"|downvotes|downloads|views|followers)\W*$"
)
_MAX_PHRASE_WORDS = 10
# The dots match anything, as in the reference.
_PHRASES = (r"\s?items in cart", r"\s?Read more...$", r"^Sign-in\s?")


def line_steps() -> list[Step]:
    """Return steps 19 to 25."""
    return [
        _without_lines(_is_uppercase),
        _without_lines(_is_numeric),
        _without_lines(_is_counter),
        _without_lines(_is_short, strip=False),
        *(_without_phrase(re.compile(phrase, re.IGNORECASE)) for phrase in _PHRASES),
    ]


def _is_uppercase(line: str) -> bool:
    return sum(map(str.isupper, line)) / len(line) > 0.5


def _is_numeric(line: str) -> bool:
    return sum(map(str.isdigit, line)) / len(line) > 0.999999


def _is_counter(line: str) -> bool:
    return _COUNTER.search(line.lower()) is not None


def _is_short(line: str) -> bool:
    return len(line.split()) < 2


def _without_lines(unwanted: Callable[[str], bool], strip: bool = True) -> Step:
    def step(page: Page) -> bool:
        kept = [line for line in page.text.split("\n") if not line or not unwanted(line)]
        page.text = "\n".join(kept)
        if strip:
            page.text = page.text.strip()
        return page.text != ""

    return step


def _without_phrase(phrase: re.Pattern[str]) -> Step:
    def shortened(line: str) -> str:
        return phrase.sub("", line) if len(line.split()) <= _MAX_PHRASE_WORDS else line

    def step(page: Page) -> bool:
        kept = []
        for line in page.text.split("\n"):
            new = shortened(line)
            if new == line or new.strip():
                kept.append(new)
        page.text = "\n".join(kept).strip()
        return page.text != ""

    return step
