"""Step 17 as spec 2.6 words it, with Counter objects."""

from collections import Counter

from uniseg.wordbreak import words as uniseg_words


def slow_fractions(text: str, quirks: str) -> list[float]:
    """Return the 13 fractions of one text."""
    first = quirks == "dclm-2024"
    segments = [
        [segment.strip() for segment in text.split(separator) if segment.strip()]
        for separator in ("\n", "\n\n")
    ]
    words = [word for word in uniseg_words(text) if word[0].isalnum()]
    return [
        *(segment_fraction(found, by_length=False, first=first) for found in segments),
        *(segment_fraction(found, by_length=True, first=first) for found in segments),
        *(top_ngram_fraction(words, n) for n in (2, 3, 4)),
        *(covered_fraction(words, n, first) for n in (5, 6, 7, 8, 9, 10)),
    ]


def segment_fraction(segments: list[str], by_length: bool, first: bool) -> float:
    if not segments:
        return 1.0
    weight = {segment: len(segment) if by_length else 1 for segment in segments}
    repeated = sum(
        weight[segment] * (count if first else count - 1)
        for segment, count in Counter(segments).items()
        if count > 1
    )
    return repeated / sum(weight[segment] for segment in segments)


def ngrams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def top_ngram_fraction(words: list[str], n: int) -> float:
    counts = Counter(ngrams(words, n))
    top = max(counts.values(), default=1)
    if top == 1:
        return 0.0
    longest = max(sum(map(len, ngram)) for ngram, count in counts.items() if count == top)
    return longest * top / sum(map(len, words))


def covered_fraction(words: list[str], n: int, first: bool) -> float:
    counts, seen, covered = Counter(ngrams(words, n)), set(), set()
    for place, ngram in enumerate(ngrams(words, n)):
        if counts[ngram] > 1 and (first or ngram in seen):
            covered |= set(range(place, place + n))
        seen.add(ngram)
    return sum(len(words[place]) for place in covered) / sum(map(len, words)) if covered else 0.0
