"""Pages made to fail one repetition rule each, and no rule before it (spec 2.6)."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from dclm_spark.sample.pages import line, lines_paragraph, paragraph
from dclm_spark.sample.prose import sentences, subject_vocabulary, words_of

_MOST_COMMON_LIMITS = {2: 0.20, 3: 0.18, 4: 0.16}
_COVERAGE_LIMITS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The main content of a page, as HTML blocks, and the path that its address must have."""

    blocks: list[str]
    path: str = ""


Builder = Callable[[Random], Draft]


def _repeated_lines(rng: Random) -> Draft:
    """More than 30 % of the lines are copies, though they are short."""
    text = sentences(rng, 24)
    for place in range(0, 24, 2):
        text.insert(place * 3 // 2, "Write an answer")
    return Draft(blocks=[line(t) for t in text])


def _repeated_paragraphs(rng: Random) -> Draft:
    """More than 30 % of the paragraphs are copies, but few of the lines."""
    blocks = [lines_paragraph(sentences(rng, 7)) for _ in range(4)]
    for place in (1, 3):
        blocks.insert(place, paragraph("Write an answer"))
    return Draft(blocks=blocks)


def _repeated_line_characters(rng: Random) -> Draft:
    """Two copies of one long line hold more than 20 % of all characters."""
    text = sentences(rng, 20)
    long_line = " ".join(sentences(rng, 5))
    return Draft(blocks=[line(t) for t in [*text[:8], long_line, *text[8:], long_line]])


_SHORT_LINES = ("all of the {stuff}", "and the {things}", "with some {stuff}", "that is {stuff}")
_SINGLE_LINES = (
    "we {act} the {things}",
    "they see {things}",
    "this is the {stuff}",
    "how you {act} it",
    "more {traits} {things}",
    "what {agents} do",
)


def _repeated_paragraph_characters(rng: Random) -> Draft:
    """Only the newlines inside two equal paragraphs lift their share over 20 %."""
    words = subject_vocabulary(rng)
    short: set[str] = set()
    while len(short) < 10:
        short.add(rng.choice(_SHORT_LINES).format_map(words))
    rest: set[str] = set()
    while _length(rest) < 8 * _length(short):
        rest.add(rng.choice(_SINGLE_LINES).format_map(words))
    copies = lines_paragraph(sorted(short))
    single = [paragraph(text) for text in sorted(rest)]
    return Draft(blocks=[*single[:20], copies, *single[20:], copies])


def _length(lines: Iterable[str]) -> int:
    return sum(map(len, lines))


def _most_common_ngram(size: int) -> Builder:
    def build(rng: Random) -> Draft:
        phrase = rng.sample(words_of("very often quite nearly almost simply rather mostly"), size)
        text = [sentence.split() for sentence in sentences(rng, 30)]
        while _most_common_share(text, size) <= _MOST_COMMON_LIMITS[size] + 0.01:
            target = rng.choice(text)
            place = rng.randint(1, len(target) - 1)
            target[place:place] = phrase
        return Draft(blocks=[paragraph(" ".join(words)) for words in text])

    return build


def _repeated_ngrams(size: int) -> Builder:
    """Copies of runs of 10 to 14 words, so many that only n-grams of `size` are over the limit."""

    def build(rng: Random) -> Draft:
        for _ in range(400):
            text = [sentence.split() for sentence in sentences(rng, 56)]
            for _ in range(rng.randint(2, 5)):
                source, target = rng.sample(text, 2)
                target += ["and", *source[: rng.randint(10, 14)], "too."]
            if _first_coverage_over_limit(text) == size:
                return Draft(blocks=[paragraph(" ".join(words)) for words in text])
        raise AssertionError(f"no page with repeated {size}-grams was found")

    return build


def _bare_words(text: list[list[str]]) -> list[str]:
    joined = " ".join(word for words in text for word in words)
    return "".join(c if c.isalnum() else " " for c in joined).split()


def _most_common_share(text: list[list[str]], size: int) -> float:
    words = _bare_words(text)
    counts = Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1))
    ngram, count = counts.most_common(1)[0]
    return _length(ngram) * count / _length(words)


def _first_coverage_over_limit(text: list[list[str]]) -> int | None:
    words = _bare_words(text)
    for size, limit in _COVERAGE_LIMITS.items():
        grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
        counts = Counter(grams)
        covered = {i + k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(size)}
        if sum(len(words[i]) for i in covered) / _length(words) > limit:
            return size
    return None


# rule -> builders of pages that fail it.
REPETITION_FAILURES: dict[str, tuple[Builder, ...]] = {
    "repeated_lines": (_repeated_lines,),
    "repeated_paragraphs": (_repeated_paragraphs,),
    "repeated_line_characters": (_repeated_line_characters,),
    "repeated_paragraph_characters": (_repeated_paragraph_characters,),
    **{f"top_{n}_gram": (_most_common_ngram(n),) for n in _MOST_COMMON_LIMITS},
    **{f"repeated_{n}_grams": (_repeated_ngrams(n),) for n in _COVERAGE_LIMITS},
}
