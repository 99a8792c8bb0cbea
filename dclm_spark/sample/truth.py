"""What is known about each response record of the sample crawl."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The expected outcome of one response record under the sample recipe.

    `stage` is where it is decided: None (it reaches deduplication; `fate` is kept), "extract",
    "heuristics", "deduplicate", "quality" (by the trained classifier), "charset" (`fate` holds
    where the charset is detected, `strict_fate` where only strict UTF-8 is read) or "policy" (by
    settings of media types, status or thin pages; `fate` is None). `url` is None where the record
    cannot be read. `duplicate_of` is the address of the twin; `jaccard` their similarity over
    word 5-grams.
    """

    kind: str
    url: str | None
    fate: str | None
    stage: str | None = None
    rule: str | None = None
    strict_fate: str | None = None
    language: str = "en"
    charset: str = "utf-8"
    duplicate_of: str | None = None
    jaccard: float | None = None

    def as_row(self, warc: str, position: int) -> dict[str, Any]:
        """Return the JSON object: these fields, the file, and which response of the file it is."""
        return {"warc": warc, "response": position, **asdict(self)}


def jaccard(left: str, right: str, size: int = 5) -> float:
    """Return the Jaccard similarity of two texts over their sets of word n-grams."""
    first, second = _shingles(left, size), _shingles(right, size)
    return len(first & second) / len(first | second)


def _shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}
