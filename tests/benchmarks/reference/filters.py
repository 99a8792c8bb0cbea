"""Steps 7 to 16, 18 and 26: language, and counts of words, lines and symbols (spec 2.2, 2.5)."""

import re
import string
from typing import Any

import fasttext

from .page import Page

_MANY_NEWLINES = re.compile("\n{3,}")
_LANGUAGE, _MIN_LANGUAGE_SCORE = "en", 0.65
_NO_LETTERS = string.punctuation + string.whitespace
_LABEL = "__label__"
_BULLETS = ("\u25cf", "\u2022", "*", "-")
_SYMBOLS = ("#", "...", ". . .", "\u2026")
_ELLIPSES = ("...", ". . .", "\u2026")
_STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}


def count_words(text: str) -> int:
    """Return the number of fastText's words that begin with a letter or a digit."""
    return sum(word[0].isalnum() for word in fasttext.tokenize(text))


def lines_of(text: str, separator: str = "\n") -> list[str]:
    """Return the stripped lines (or paragraphs) that are not blank."""
    return [line for line in map(str.strip, text.split(separator)) if line]


def cap_newlines(page: Page) -> bool:
    """Step 7."""
    page.text = _MANY_NEWLINES.sub("\n\n", page.text)
    return True


def identify_language(page: Page, model: Any) -> bool:
    """Step 8; newlines go without a space for them."""
    page.language = {}
    if page.text.strip(_NO_LETTERS):
        labels, scores = model.predict(page.text.replace("\n", ""))
        page.language = {labels[0].removeprefix(_LABEL): float(scores[0])}
    return True


def in_language(page: Page) -> bool:
    """Step 9."""
    return (page.language or {}).get(_LANGUAGE, 0.0) > _MIN_LANGUAGE_SCORE


def page_length(page: Page) -> bool:
    """Step 10."""
    return 50 <= count_words(page.text) <= 100_000


def word_length(page: Page) -> bool:
    """Step 11."""
    words = page.text.split()
    return bool(words) and 3 <= sum(map(len, words)) / len(words) <= 10


def symbol_ratio(page: Page) -> bool:
    """Step 12."""
    return sum(map(page.text.count, _SYMBOLS)) / len(page.text.split()) <= 0.1


def bullet_lines(page: Page) -> bool:
    """Step 13."""
    lines = lines_of(page.text)
    return sum(line.startswith(_BULLETS) for line in lines) <= 0.9 * len(lines)


def ellipsis_lines(page: Page) -> bool:
    """Step 14."""
    lines = lines_of(page.text)
    return sum(line.endswith(_ELLIPSES) for line in lines) <= 0.3 * len(lines)


def alphabetic_words(page: Page) -> bool:
    """Step 15."""
    words = page.text.split()
    without = sum(not any(map(str.isalpha, word)) for word in words)
    return bool(words) and without / len(words) <= 0.2


def stop_words(page: Page) -> bool:
    """Step 16."""
    return sum(word.lower() in _STOP_WORDS for word in page.text.split()) >= 2


def remember_word_count(page: Page) -> bool:
    """Step 18."""
    page.previous_word_count = count_words(page.text)
    return True


def word_removal(page: Page) -> bool:
    """Step 26."""
    before = page.previous_word_count or 0
    return before > 0 and (before - count_words(page.text)) / before <= 0.05
