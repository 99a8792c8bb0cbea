"""How many tokens a model computes for some candidates, padding and all, by the way of scoring."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from dclm_spark.evaluate.prompts import Candidate

# A context that is computed once costs its keys and values for each continuation: what they take
# at most, in batches of whole sequences.
COPIES = 4
# Sharing is worth a second pass and a mask from this part of the tokens on.
_WORTH = 0.9


@dataclass
class TokenCount:
    """The padded tokens of candidates, which are added one by one.

    >>> ab, ac = Candidate((1, 2, 3), 2, "", 2), Candidate((1, 2, 4, 5), 2, "", 2)
    >>> count = TokenCount.of([ab, ac])
    >>> count.whole, count.shared, count.prompts
    (6, 3, 8)
    """

    num_candidates: int = 0
    longest: int = 0
    longest_fed: int = 0
    longest_context: int = 0
    num_endings: int = 0
    longest_ending: int = 0
    fed: set[tuple[int, ...]] = field(default_factory=set, repr=False)
    contexts: set[tuple[int, ...]] = field(default_factory=set, repr=False)

    @classmethod
    def of(cls, candidates: Iterable[Candidate]) -> "TokenCount":
        """Count some candidates."""
        count = cls()
        for candidate in candidates:
            count.add(candidate)
        return count

    def add(self, candidate: Candidate) -> None:
        """Count one candidate more."""
        size = len(candidate.tokens)
        self.num_candidates += 1
        self.longest = max(self.longest, size)
        self.fed.add(candidate.tokens[:-1])
        self.longest_fed = max(self.longest_fed, size - 1)
        self.contexts.add(candidate.tokens[: candidate.start])
        self.longest_context = max(self.longest_context, candidate.start)
        ending = size - candidate.start - 1
        self.num_endings += ending > 0
        self.longest_ending = max(self.longest_ending, ending)

    @property
    def whole(self) -> int:
        """Return the tokens of feeding each distinct sequence as a whole."""
        return len(self.fed) * self.longest_fed

    @property
    def shared(self) -> int:
        """Return the tokens of feeding each distinct context once, then what continues it."""
        contexts = len(self.contexts) * self.longest_context
        return contexts + self.num_endings * self.longest_ending

    @property
    def shares_contexts(self) -> bool:
        """Say whether contexts are shared so much that feeding them once pays."""
        return self.shared < _WORTH * self.whole

    @property
    def fewest(self) -> int:
        """Return the tokens of the cheaper way, of which copies of contexts bound the least."""
        if not self.shares_contexts:
            return self.whole
        return max(self.shared, self.num_candidates * self.longest // COPIES)

    @property
    def prompts(self) -> int:
        """Return the tokens of feeding all candidates, alike or not."""
        return self.num_candidates * self.longest
