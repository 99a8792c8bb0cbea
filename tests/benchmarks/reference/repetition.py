"""Step 17: repeated lines, paragraphs and n-grams (spec 2.6); the first that is too many drops."""

from collections import Counter
from collections.abc import Iterator, Sequence

from uniseg.wordbreak import words as uniseg_words

from .filters import lines_of
from .page import Page

_MAX_COUNT, _MAX_CHARACTERS = 0.30, 0.20
_MAX_TOP_NGRAM = {2: 0.20, 3: 0.18, 4: 0.16}
_MAX_REPEATED_NGRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def repetition(page: Page) -> bool:
    """Step 17; words are segmented once for all n-grams, and only for pages that get there."""
    for found in _segment_tests(page.text):
        if not found:
            return False
    words = [word for word in uniseg_words(page.text) if word[0].isalnum()]
    return all(top_ngram_fraction(words, n) <= most for n, most in _MAX_TOP_NGRAM.items()) and all(
        repeated_ngrams_fraction(words, n) <= most for n, most in _MAX_REPEATED_NGRAMS.items()
    )


def _segment_tests(text: str) -> Iterator[bool]:
    kinds = [lines_of(text, separator) for separator in ("\n", "\n\n")]
    counts = [Counter(segments) for segments in kinds]
    for segments, count in zip(kinds, counts, strict=True):
        yield _passes(segments, sum(n for n in count.values() if n > 1), len(segments), _MAX_COUNT)
    for segments, count in zip(kinds, counts, strict=True):
        repeated = sum(len(segment) * n for segment, n in count.items() if n > 1)
        yield _passes(segments, repeated, sum(map(len, segments)), _MAX_CHARACTERS)


def _passes(segments: Sequence[str], repeated: int, total: int, most: float) -> bool:
    return len(segments) == 1 or (len(segments) > 1 and repeated / total <= most)


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def top_ngram_fraction(words: Sequence[str], n: int) -> float:
    """Return the share of characters in the most frequent n-gram, overlaps counted each time."""
    counts = Counter(_ngrams(words, n))
    top = max(counts.values(), default=1)
    if top == 1:
        return 0.0
    longest = max(sum(map(len, ngram)) for ngram, count in counts.items() if count == top)
    return longest * top / sum(map(len, words))


def repeated_ngrams_fraction(words: Sequence[str], n: int) -> float:
    """Return the share of characters in words that any n-gram seen twice covers."""
    ngrams = _ngrams(words, n)
    counts = Counter(ngrams)
    if len(counts) == len(ngrams):
        return 0.0
    covered: set[int] = set()
    for place, ngram in enumerate(ngrams):
        if counts[ngram] > 1:
            covered.update(range(place, place + n))
    return sum(len(words[place]) for place in covered) / sum(map(len, words))
