"""The 26 steps in the reference's order."""

from functools import partial
from typing import Any

from . import filters
from .addresses import Lists, address_steps
from .lines import line_steps
from .page import Page, Step
from .repetition import repetition

# Measured apart from the others.
LANGUAGE_STEPS = (8, 9)


def all_steps(lists: Lists, language_model: Any) -> dict[int, Step]:
    """Return the steps by their number; step 1, which names the page's address, is the reader's."""
    steps: list[Step] = [
        *address_steps(lists),
        filters.cap_newlines,
        partial(filters.identify_language, model=language_model),
        filters.in_language,
        filters.page_length,
        filters.word_length,
        filters.symbol_ratio,
        filters.bullet_lines,
        filters.ellipsis_lines,
        filters.alphabetic_words,
        filters.stop_words,
        repetition,
        filters.remember_word_count,
        *line_steps(),
        filters.word_removal,
    ]
    return dict(enumerate(steps, start=2))


def passes(page: Page, step: Step) -> bool:
    """Return whether the page stays; one that a step fails on is dropped (spec 2.8)."""
    try:
        return step(page)
    except Exception:
        return False


def dropped_at(page: Page, steps: dict[int, Step]) -> int | None:
    """Run the steps until one drops the page; return its number, None for a page that stays."""
    return next((number for number, step in steps.items() if not passes(page, step)), None)
