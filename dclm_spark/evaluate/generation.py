"""What is kept of a generated text, and when it counts as a right answer (spec 8.3)."""

import re
import string
from collections.abc import Iterable, Sequence

_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation + "‘’´`"), " ")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
# Blanks that tokenizers of the reference's time removed on decoding.
_JOINED = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def normalize_answer(text: str) -> str:
    """Return lower-case words without punctuation and articles, single blanks between them."""
    words = text.replace("_", " ").lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", words).split())


def until_stop(text: str, stop_strings: Sequence[str]) -> str:
    """Return `text` up to the first of the stop strings."""
    for blank, joined in _JOINED:
        text = text.replace(blank, joined)
    ends = [text.find(stop) for stop in stop_strings]
    return text[: min((end for end in ends if end >= 0), default=len(text))]


def clean_output(text: str, stop_strings: Sequence[str], reasoning_delimiter: str) -> str:
    """Return the normal form of the answer in a generated text.

    Only what follows the last reasoning delimiter counts, all of it when there is none.
    """
    answer = until_stop(text, stop_strings)
    if reasoning_delimiter:
        answer = answer.rsplit(reasoning_delimiter, 1)[-1]
    return normalize_answer(answer)


def is_right(cleaned: str, answers: Iterable[str]) -> bool:
    """Tell whether the cleaned output starts with an accepted answer.

    So 15 is right where 1 is accepted, and anything where an answer normalizes to nothing.
    """
    return any(cleaned.startswith(normalize_answer(answer)) for answer in answers)
