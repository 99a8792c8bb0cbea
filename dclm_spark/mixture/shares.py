"""The rule by which sources make a corpus: whole passes, then documents in a keyed order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from dclm_spark.errors import InputError, SettingError
from dclm_spark.mixture.source_counts import SourceCounts, Totals
from dclm_spark.mixture.source_settings import MixtureSettings, SourceSettings
from udfs.tokens.mixing import Passes


@dataclass(frozen=True, kw_only=True)
class SourceShare:
    """What a source has by its own recipe, what was wanted of it, and what enters the corpus."""

    name: str
    available: Totals
    # Tokens.
    wanted: int
    passes: Passes
    # Documents that enter at least once, copies and tokens of all passes.
    corpus: Totals

    @property
    def repeats(self) -> float:
        """How often the source is gone through."""
        return self.corpus.tokens / max(self.available.tokens, 1)


def shares(
    sources: Mapping[str, SourceSettings],
    mixture: MixtureSettings,
    counts: Mapping[str, SourceCounts],
) -> list[SourceShare]:
    """Return what enters the corpus of each source, in order.

    Of the tokens wanted, as many whole passes as fit are taken, then documents in the order of
    their draws while these fit (`SourceCounts.first`). Raises SettingError for a source
    that would have to be repeated more than its `max_repeats`, InputError for one without tokens.
    """
    available = {name: counts[name].totals for name in sources}
    tokens = wanted_tokens(sources, mixture, {name: one.tokens for name, one in available.items()})
    return [_share(name, tokens[name], counts[name]) for name in sources]


def _share(name: str, wanted: int, counts: SourceCounts) -> SourceShare:
    available = counts.totals
    whole, rest = divmod(wanted, available.tokens) if available.tokens else (0, 0)
    last, below = counts.first(rest) if rest else (Passes(whole=0, limit=0), Totals(0, 0, 0))
    corpus = below.plus(available, whole)
    if available.tokens and not corpus.tokens:
        raise InputError(
            f"sources.{name}: {wanted:,} tokens of it are wanted, and its first document has more; "
            "ask for more tokens, or leave the source out"
        )
    documents = available.documents if whole else below.documents
    return SourceShare(
        name=name,
        available=available,
        wanted=wanted,
        passes=replace(last, whole=whole),
        corpus=corpus._replace(documents=documents),
    )


def wanted_tokens(
    sources: Mapping[str, SourceSettings], mixture: MixtureSettings, available: Mapping[str, int]
) -> dict[str, int]:
    """Return the tokens that each source is to have; see `shares`."""
    for name, one in sources.items():
        if not available[name] and (one.weight is not None or one.tokens is not None):
            raise InputError(
                f"sources.{name}: no document of it is left to take tokens from; see its own "
                "report for the rules that dropped them, or leave the source out"
            )
    weights = {name: _decimal(one.weight) for name, one in sources.items() if one.weight}
    if weights:
        wanted = _by_weights(sources, weights, mixture, available)
    else:
        wanted = {
            name: available[name] if one.tokens is None else one.tokens
            for name, one in sources.items()
        }
    for name, one in sources.items():
        _check_repeats(name, one, wanted[name], available[name], mixture)
    return wanted


def _by_weights(
    sources: Mapping[str, SourceSettings],
    weights: Mapping[str, Fraction],
    mixture: MixtureSettings,
    available: Mapping[str, int],
) -> dict[str, int]:
    total = sum(weights.values())
    parts = {name: weight / total for name, weight in weights.items()}
    most = min(_most(sources[name], available[name]) / part for name, part in parts.items())
    whole = most if mixture.tokens is None else Fraction(mixture.tokens)
    return {name: int(part * whole) for name, part in parts.items()}


def _most(source: SourceSettings, available: int) -> Fraction:
    """Return the most tokens that may be taken of a source."""
    return _decimal(source.max_repeats) * available


def _decimal(number: float) -> Fraction:
    """Return what was written: 0.9 is nine tenths, and not the nearest binary fraction."""
    return Fraction(repr(number))


def _check_repeats(
    name: str, source: SourceSettings, wanted: int, available: int, mixture: MixtureSettings
) -> None:
    most = int(_most(source, available))
    if wanted <= most or (source.weight is None and source.tokens is None):
        return
    key = "tokens" if source.tokens is not None else "mixture.tokens"
    raise SettingError(
        f"sources.{name}: {wanted:,} tokens of it are wanted and {available:,} are there, which is "
        f"{wanted / available:.2f} times as many, more than max_repeats = {source.max_repeats:g} "
        f"allows ({most:,}): lower {key}, raise sources.{name}.max_repeats, or give it more input"
    )


def as_json(found: Sequence[SourceShare]) -> list[dict[str, Any]]:
    """Return the shares as plain data, as they stand in mixture.json and in the manifest."""
    whole = sum(one.corpus.tokens for one in found)
    return [
        {
            "name": one.name,
            "available_documents": one.available.documents,
            "available_copies": one.available.copies,
            "available_tokens": one.available.tokens,
            "wanted_tokens": one.wanted,
            "whole_passes": one.passes.whole,
            "repeats": one.repeats,
            "documents": one.corpus.documents,
            "copies": one.corpus.copies,
            "tokens": one.corpus.tokens,
            "share": one.corpus.tokens / max(whole, 1),
        }
        for one in found
    ]


def render(found: Sequence[SourceShare]) -> str:
    """Return the shares as a table for a terminal."""
    whole = sum(one.corpus.tokens for one in found)
    lines = [
        f"{'source':20} {'documents':>12} {'tokens':>16} {'repeats':>8} {'documents in':>13} "
        f"{'copies in':>12} {'tokens in':>16} {'share':>7}"
    ]
    for one in found:
        lines.append(
            f"{one.name:20} {one.available.documents:12,} {one.available.tokens:16,} "
            f"{one.repeats:8.3f} {one.corpus.documents:13,} {one.corpus.copies:12,} "
            f"{one.corpus.tokens:16,} {one.corpus.tokens / max(whole, 1):7.2%}"
        )
    documents, copies = (
        sum(getattr(one.corpus, key) for one in found) for key in ("documents", "copies")
    )
    lines.append(f"{'corpus':20} {'':12} {'':16} {'':8} {documents:13,} {copies:12,} {whole:16,}")
    return "\n".join(lines)
