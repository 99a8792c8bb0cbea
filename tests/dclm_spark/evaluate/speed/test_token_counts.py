"""How many tokens are computed for a task, and that each way of scoring gives the same scores."""

import numpy as np
import pytest

from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.evaluate.scorers import OpenLMScorer
from dclm_spark.evaluate.scoring import _batches
from dclm_spark.evaluate.speed.token_counts import COPIES, TokenCount
from tests.dclm_spark.evaluate.test_scorers import Letters, tiny

DRAW = np.random.default_rng(3)
MODEL = tiny()


def tokens(size: int) -> tuple[int, ...]:
    return tuple(DRAW.integers(1, 64, size).tolist())


def choices(context: tuple[int, ...], endings: int, length: int) -> tuple[Candidate, ...]:
    return tuple(
        Candidate((*context, *tokens(length)), len(context), "x", len(context))
        for _ in range(endings)
    )


class CountingScorer(OpenLMScorer):
    """Counts calls and the tokens that the model is fed."""

    def __init__(self) -> None:
        super().__init__(MODEL, Letters())
        self.calls = self.fed = 0

    def score(self, candidates):
        self.calls += 1
        return super().score(candidates)

    def _extend(self, sequences, before):
        self.fed += len(sequences) * max(map(len, sequences))
        return super()._extend(sequences, before)


class Item:
    """What batches need of an item."""

    def __init__(self, candidates: tuple[Candidate, ...]) -> None:
        self.candidates = candidates


def scored(items: list[Item], limit: int, tokens_of) -> tuple[CountingScorer, list]:
    scorer = CountingScorer()
    found = []
    for batch in _batches(items, limit, tokens_of or scorer.padded_tokens):
        found += scorer.score([one for item in batch for one in item.candidates])
    return scorer, found


def test_a_context_of_several_choices_is_counted_once() -> None:
    shared = TokenCount.of(choices(tokens(20), 4, 3))
    assert (shared.whole, shared.shared) == (4 * 22, 20 + 4 * 2)
    assert shared.shares_contexts
    # Copies of keys and values are counted, if for less.
    assert shared.fewest == max(28, 4 * 23 // COPIES)
    alone = TokenCount.of([choices(tokens(20), 1, 3)[0] for _ in range(4)])
    assert (alone.whole, alone.shared) == (4 * 22, 4 * 20 + 4 * 2)
    assert not alone.shares_contexts
    assert alone.fewest == 88


def test_the_tokens_that_are_counted_are_those_that_a_model_is_fed() -> None:
    for candidates in (choices(tokens(20), 4, 3), [choices(tokens(9), 1, 3)[0] for _ in range(4)]):
        scorer = CountingScorer()
        scorer.score(list(candidates))
        count = TokenCount.of(candidates)
        assert scorer.fed == min(count.whole, count.shared)


def test_batches_of_unique_tokens_need_fewer_calls_and_give_the_same_scores() -> None:
    items = [Item(choices(tokens(size), 4, 3)) for size in range(10, 40)]
    plain, expected = scored(items, 300, lambda count: count.whole)
    filled, found = scored(items, 300, None)
    assert filled.calls <= 0.5 * plain.calls
    for one, other in zip(found, expected, strict=True):
        assert one.nats == pytest.approx(other.nats, abs=1e-5)
        assert one.is_greedy.tolist() == other.is_greedy.tolist()


def test_sequences_without_a_shared_context_are_fed_whole_and_need_fewer_tokens() -> None:
    # As held-out texts are: one token of context, and as texts to complete are.
    items = [Item(choices(tokens(1 + size % 9), 1, 30 - size)) for size in range(20)]
    candidates = [one for item in items for one in item.candidates]
    ours, plain = CountingScorer(), CountingScorer()
    rows = plain._shared_states(candidates)
    expected = plain._judge(rows, [one.tokens[one.start :] for one in candidates])
    found = ours.score(candidates)
    assert ours.fed < plain.fed
    for one, other in zip(found, expected, strict=True):
        assert one.nats == pytest.approx(other.nats, abs=1e-5)


def test_no_batch_is_larger_than_allowed_but_of_one_item_and_none_is_lost() -> None:
    items = [Item(choices(tokens(int(size)), 3, 4)) for size in sorted(DRAW.integers(2, 90, 60))]
    found = list(_batches(items, 200, lambda count: count.fewest))
    assert [item for batch in found for item in batch] == items
    for batch in found:
        counted = TokenCount.of(one for item in batch for one in item.candidates).fewest
        assert counted <= 200 or len(batch) == 1
