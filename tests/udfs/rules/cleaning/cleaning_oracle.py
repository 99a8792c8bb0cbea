"""The cleaning steps as the specification words them (2.4, 2.7): `re` and `str`, slow and plain."""

import re
from collections.abc import Callable

SPACES, SCHEME = r"\s{0,10}", r"(?:(?:https?|ftp)://)?"
TAIL = r"[-a-zA-Z0-9()@:%_+.~#?&/=]*"
ADDRESS = re.compile(SPACES + r"\b" + SCHEME + r"(?:[0-2]?[0-9]{1,2}\.){3}[0-2]?[0-9]{1,2}" + TAIL)
COUNTER = re.compile(
    r"^\W*\d[,.\d]*[kmb]?\s+(?:likes|shares|comments|retweets|reposts|quotes|bookmarks|upvotes"
    r"|downvotes|downloads|views|followers)\W*$"
)


def url_patterns(domains: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    suffix = "(?:" + "|".join(map(re.escape, sorted(domains, key=len, reverse=True))) + ")"
    host = r"[-a-zA-Z0-9@:%._+~#=]{1,256}\."
    return re.compile(suffix, re.IGNORECASE), re.compile(
        SPACES + SCHEME + host + suffix + r"\b" + TAIL
    )


def without_urls(text: str, domains: tuple[str, ...], gated: bool = True) -> str:
    opening, url = url_patterns(domains)
    if (opening.match if gated else opening.search)(text):
        text = url.sub("", text)
    return ADDRESS.sub("", text)


def with_newlines_capped(text: str, most: int = 2) -> str:
    return re.sub("\n" * (most + 1) + "+", "\n" * most, text)


def _drop(text: str, unwanted: Callable[[str], object]) -> str:
    return "\n".join(line for line in text.split("\n") if not line or not unwanted(line))


def _delete(text: str, pattern: str) -> str:
    lines = []
    for line in text.split("\n"):
        short = len(line.split()) <= 10
        new = re.sub(pattern, "", line, flags=re.IGNORECASE) if short else line
        if new == line or new.strip():
            lines.append(new)
    return "\n".join(lines)


def cleaned(text: str, dots: str = "...") -> tuple[str, int]:
    def fraction(line: str, test: Callable[[str], bool]) -> float:
        return sum(map(test, line)) / len(line)

    steps: tuple[Callable[[str], str], ...] = (
        lambda t: _drop(t, lambda line: fraction(line, str.isupper) > 0.5).strip(),
        lambda t: _drop(t, lambda line: fraction(line, str.isdigit) > 0.999999).strip(),
        lambda t: _drop(t, lambda line: COUNTER.search(line.lower())).strip(),
        lambda t: _drop(t, lambda line: len(line.split()) < 2),
        lambda t: _delete(t, r"\s?items in cart").strip(),
        lambda t: _delete(t, rf"\s?Read more{dots}$").strip(),
        lambda t: _delete(t, r"^Sign-in\s?").strip(),
    )
    for number, step in enumerate(steps, start=19):
        text = step(text)
        if not text:
            return text, number
    return text, 0
