"""A page between the steps, and what a step is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Page:
    """What the steps read and write of a page."""

    url: str
    text: str
    # The top language with its probability; empty for a text of punctuation only.
    language: dict[str, float] | None = None
    previous_word_count: int | None = None


# Changes the page in place; False drops it.
Step = Callable[[Page], bool]
