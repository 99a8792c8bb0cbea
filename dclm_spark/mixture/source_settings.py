"""How a recipe names several sources, and in which parts they make the corpus."""

from dataclasses import dataclass, field
from typing import Any

from udfs.checks import Allowed, above, at_least, check

_FILES = Allowed(lambda value: bool(value.strip()), "files, as --input names them")


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """One source of a corpus: its files, what its recipe has of its own, and its part."""

    # What it reads, as `--input` names it.
    input: str
    # What the paths of a listing are below, as `--base` names it.
    base: str | None = None
    # Keys of the recipe that are others for this source; `base` among them is the name of a recipe
    # to start from instead.
    recipe: Any = field(default_factory=dict)
    # Its part of the corpus beside the weights of the others. All sources have one, or none.
    weight: float | None = None
    # Tokens of it in the corpus. None: what `weight` says, or all that it has, once.
    tokens: int | None = None
    # How often it may be gone through; what needs more is an error.
    max_repeats: float = 1.0

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, weight=above(0).but("leave the source out instead"), tokens=at_least(1))
        check(self, max_repeats=above(0), input=_FILES)
        if self.weight is not None and self.tokens is not None:
            raise ValueError(
                f"weight = {self.weight}, tokens = {self.tokens}: expected one of the two"
            )


@dataclass(frozen=True, kw_only=True)
class MixtureSettings:
    """What holds for all sources of a recipe together."""

    # Tokens of the whole corpus, by the weights of the sources. None: as many as can be had without
    # going through a source more than its `max_repeats` times.
    tokens: int | None = None
    # Whether a source keeps nothing again that a source named before it holds; needs a method of
    # deduplication that can compare runs (global, minhash), the same one in all sources.
    deduplicate: bool = False

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, tokens=at_least(1))
