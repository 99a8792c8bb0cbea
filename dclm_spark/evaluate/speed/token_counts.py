"""How many tokens a model computes for some candidates, padding and all, by the way of scoring."""

from collections.abc import Sequence

from dclm_spark.evaluate.prompts import Candidate

# A context that is computed once costs its keys and values for each continuation: what they take
# at most, in batches of whole sequences.
COPIES = 4
# Sharing is worth a second pass and a mask from this part of the tokens on.
_WORTH = 0.9


def whole_tokens(candidates: Sequence[Candidate]) -> int:
    """Return the padded tokens of feeding each distinct sequence as a whole.

    >>> ab, ac = Candidate((1, 2, 3), 2, "", 2), Candidate((1, 2, 4, 5), 2, "", 2)
    >>> whole_tokens([ab, ac])
    6
    """
    fed = {candidate.tokens[:-1] for candidate in candidates}
    return len(fed) * max(map(len, fed))


def shared_tokens(candidates: Sequence[Candidate]) -> int:
    """Return the padded tokens of feeding each distinct context once, then what continues it.

    >>> ab, ac = Candidate((1, 2, 3), 2, "", 2), Candidate((1, 2, 4, 5), 2, "", 2)
    >>> shared_tokens([ab, ac])
    3
    """
    contexts = {candidate.tokens[: candidate.start] for candidate in candidates}
    endings = [len(candidate.tokens) - candidate.start - 1 for candidate in candidates]
    longer = [length for length in endings if length]
    return len(contexts) * max(map(len, contexts)) + len(longer) * max(longer, default=0)


def shares_contexts(candidates: Sequence[Candidate]) -> bool:
    """Say whether contexts of some candidates are shared so much that feeding them once pays."""
    return shared_tokens(candidates) < _WORTH * whole_tokens(candidates)


def fewest_tokens(candidates: Sequence[Candidate]) -> int:
    """Return the padded tokens of the cheaper way, of which copies of contexts bound the least."""
    whole, shared = whole_tokens(candidates), shared_tokens(candidates)
    if shared >= _WORTH * whole:
        return whole
    longest = max(len(candidate.tokens) for candidate in candidates)
    return max(shared, len(candidates) * longest // COPIES)
