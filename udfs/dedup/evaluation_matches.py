"""Which evaluation items a page holds: by rarity of what both say, coverage, and length.

An item counts as leaked where a stretch of the page has most of its question with its answer, by
n-grams that are rare in the pool. Items that are too short for that are compared word by word, and
need their answer beside them, or their passage on the page. A passage alone is a source, no leak.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.dedup.evaluation_hits import (
    Hits,
    MatchSettings,
    Page,
    Pages,
    best_stretch,
    candidates,
    word_weights,
)
from udfs.dedup.evaluation_index import (
    ANSWER,
    CHOICES,
    NGRAM_WORDS,
    PASSAGE,
    QUESTION,
    EvaluationIndex,
    words,
)
from udfs.text.hashing import Hashes


@dataclass(frozen=True, kw_only=True)
class Match:
    """A part of an item on a page.

    `start` and `end` are bytes of the text. `coverage` is the share of n-grams found there, `score`
    the same by rarity. `leaks` says whether the item counts as leaked.
    """

    item: int
    part: int
    start: int
    end: int
    coverage: float
    score: float
    leaks: bool


def is_guarded(item: int, index: EvaluationIndex, settings: MatchSettings) -> bool:
    """Return whether a page that has an item whole is found by it.

    An item without words of its own, such as a row of brackets or a template, is not.
    """
    by_kind = {int(index.part_kinds[part]): part for part in index.parts_of(item)}
    if QUESTION not in by_kind:
        return False
    asked = _Asked(item, by_kind, index)
    if asked.is_exact(settings):
        answered = len(asked.answer_words) > 0 or asked.has_passage
        return asked.num_ngrams > 0 and (answered or asked.stands_alone(settings))
    return asked.num_ngrams >= 2


def matches(
    texts: pa.Array | pa.ChunkedArray, index: EvaluationIndex, settings: MatchSettings
) -> list[list[Match]]:
    """Return the matches of each text, leaks first, in the order of the items."""
    page_words = Pages(*words(texts))
    found: list[list[Match]] = [[] for _ in range(len(texts))]
    for row, item, hits in candidates(page_words, index, settings):
        found[row] += _judged(page_words.page(row), item, hits, index, settings)
    for one in found:
        one.sort(key=lambda match: (not match.leaks, match.item, match.part))
    return found


def _judged(
    page: Page, item: int, hits: Hits, index: EvaluationIndex, settings: MatchSettings
) -> list[Match]:
    by_kind = {int(index.part_kinds[part]): part for part in index.parts_of(item)}
    reported = [
        match
        for kind in (CHOICES, PASSAGE)
        if kind in by_kind
        and (match := _reported(page, item, by_kind[kind], hits.of(by_kind[kind]), index))
        and match.coverage >= settings.min_reported
    ]
    if QUESTION not in by_kind:
        return reported
    asked = _Asked(item, by_kind, index)
    if asked.is_exact(settings):
        sourced = any(match.part == PASSAGE for match in reported)
        exact = _exact(page, asked, hits, settings, sourced)
        return [*reported, *([exact] if exact else [])]
    best = _best_stretch(page, asked, hits, settings)
    return [*reported, *([best] if best else [])]


class _Asked:
    """The question of an item with its answer: what a leak has."""

    def __init__(self, item: int, by_kind: dict[int, int], index: EvaluationIndex) -> None:
        """Take the parts of an item by kind, a question among them."""
        self.item = item
        self.question, self.answer = by_kind[QUESTION], by_kind.get(ANSWER, -1)
        parts = [part for part in (self.question, self.answer) if part >= 0]
        none = index.word_hashes[:0]
        self.question_words = index.words_of(self.question)
        self.answer_words = index.words_of(self.answer) if self.answer >= 0 else none
        self.letters = np.concatenate([index.letters_of(part) for part in parts])
        self.num_words = len(self.letters)
        self.num_choice_words = len(index.words_of(by_kind[CHOICES])) if CHOICES in by_kind else 0
        self.has_passage = PASSAGE in by_kind
        self.num_ngrams = int(index.held[parts].sum())
        # Words in n-grams of the index. An answer without an n-gram counts by its words.
        self.num_question = int(index.held_words[self.question])
        self.has_short_answer = len(self.answer_words) < NGRAM_WORDS
        short_words = len(self.answer_words) if self.has_short_answer else 0
        self.num_units = int(index.held_words[parts].sum()) + short_words

    def is_exact(self, settings: MatchSettings) -> bool:
        """Return whether the item is compared word by word.

        Short ones are, and those of which a passage says all but a short question.
        """
        few = self.num_ngrams < settings.min_rare_ngrams
        return self.num_words < settings.min_words or (self.has_passage and few)

    def stands_alone(self, settings: MatchSettings) -> bool:
        """Return whether a question without an answer in words is long enough to be known by."""
        return not self.has_passage and (
            int(self.num_ngrams) >= settings.min_rare_ngrams
            or int(self.letters.sum()) >= settings.min_rare_letters
        )


def _reported(page: Page, item: int, part: int, hits: Hits, index: EvaluationIndex) -> Match | None:
    if not len(hits.positions):
        return None
    held = int(index.held[part])
    _, first = np.unique(hits.places, return_index=True)
    low, high = int(hits.positions.min()), int(hits.positions.max()) + NGRAM_WORDS - 1
    return Match(
        item=item,
        part=int(index.part_kinds[part]),
        start=int(page.starts[low]),
        end=int(page.ends[high]),
        coverage=len(first) / held,
        score=float(hits.weights[first].sum()) / held,
        leaks=False,
    )


def _best_stretch(page: Page, asked: _Asked, hits: Hits, settings: MatchSettings) -> Match | None:
    """Return what the best stretch of the page has of a question with its answer."""
    chosen = (hits.parts == asked.question) | (hits.parts == asked.answer)
    if not chosen.any() or not asked.num_units:
        return None
    order = np.flatnonzero(chosen)[np.argsort(hits.positions[chosen], kind="stable")]
    asked_hits, width = hits.at(order), 3 * asked.num_words + 60
    low, high = best_stretch(asked_hits.positions, asked_hits.names, asked_hits.weights, width)
    found = asked_hits.at(np.arange(low, high))
    asked_weights = word_weights(found.of(asked.question), len(asked.question_words))
    answer_weights = word_weights(found.of(asked.answer), len(asked.answer_words))
    begin = int(found.positions.min())
    end = int(found.positions.max()) + NGRAM_WORDS
    extra = 0
    if asked.has_short_answer and len(asked.answer_words):
        near = _near(page.hashes, asked.answer_words, begin, end, settings.answer_within)
        if near >= 0:
            extra = len(asked.answer_words)
            begin, end = min(begin, near), max(end, near + extra)
    weights = np.concatenate((asked_weights, answer_weights))
    score = (float(weights.sum()) + extra) / asked.num_units
    asked_share = _share(asked_weights > 0, asked.num_question)
    return Match(
        item=asked.item,
        part=QUESTION,
        start=int(page.starts[begin]),
        end=int(page.ends[end - 1]),
        coverage=(int((weights > 0).sum()) + extra) / asked.num_units,
        score=score,
        leaks=score >= settings.min_score
        and asked_share >= settings.min_question
        and _is_rare(found, weights, asked, settings),
    )


def _is_rare(
    hits: Hits, weights: npt.NDArray[np.float64], asked: "_Asked", settings: MatchSettings
) -> bool:
    """Return whether a page has so many n-grams, or letters in a row, hardly by chance.

    Of an item with few n-grams of its own, four fifths of these do.
    """
    rare = float(hits.weights[np.unique(hits.names, return_index=True)[1]].sum())
    if rare >= min(settings.min_rare_ngrams, max(2.0, 0.8 * asked.num_ngrams)):
        return True
    in_a_row = best = 0.0
    for weight, letters in zip(weights.tolist(), asked.letters.tolist(), strict=True):
        in_a_row = in_a_row + weight * letters if weight else 0.0
        best = max(best, in_a_row)
    return best >= settings.min_rare_letters


def _share(found: npt.NDArray[np.bool_], whole: int) -> float:
    """Return the share of `whole` that is found, 1 of nothing."""
    return float(found.sum()) / whole if whole else 1.0


def _exact(
    page: Page, asked: _Asked, hits: Hits, settings: MatchSettings, sourced: bool
) -> Match | None:
    """Return a short question that stands on the page word by word.

    It leaks if it is rare and its answer is near, or if the page has its passage (`sourced`). Where
    the answer is the longer of the two, it is looked for, and the question near it.
    """
    # Printed options stand between the two.
    within = settings.answer_within + asked.num_choice_words
    wanted = [(asked.question, asked.question_words, asked.answer_words)]
    wanted += [(asked.answer, asked.answer_words, asked.question_words)]
    for part, longer, other in wanted:
        if len(longer) < settings.min_short_words:
            continue
        found = hits.of(part)
        for begin in np.unique(found.positions - found.places).tolist():
            end = begin + len(longer)
            if begin < 0 or not np.array_equal(page.hashes[begin:end], longer):
                continue
            rare = float(found.weights[found.positions - found.places == begin].mean())
            near = _near(page.hashes, other, begin, end, within)
            both = near >= 0 and (len(other) > 0 or asked.stands_alone(settings))
            if both:
                begin, end = min(begin, near), max(end, near + len(other))
            elif part == asked.answer:
                continue
            return Match(
                item=asked.item,
                part=QUESTION,
                start=int(page.starts[begin]),
                end=int(page.ends[end - 1]),
                coverage=1.0 if both else len(longer) / asked.num_words,
                score=rare,
                leaks=rare >= settings.min_score and (both or sourced),
            )
    return None


def _near(page: Hashes, wanted: Hashes, begin: int, end: int, within: int) -> int:
    """Return where `wanted` stands within so many words of page[begin:end], -1 if nowhere.

    Places after it are tried first, then those before it, then those in it.
    """
    size = len(wanted)
    after = range(end, min(end + within, len(page) - size) + 1)
    before = range(begin - size, max(begin - size - within, 0) - 1, -1)
    for place in (*after, *before, *range(begin, end - size + 1)):
        if place >= 0 and np.array_equal(page[place : place + size], wanted):
            return int(place)
    return -1
