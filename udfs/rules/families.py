"""The families of rules by name, and what is asked of them: judge texts, or measure and decide.

`apply` measures and judges texts; `signals_of` only measures, and `decide` judges what was
measured, by any limits. Each rule is a predicate over a signal; the first that fails, in the
family's order, names the document's fate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from udfs.checks import check, one_of
from udfs.languages.codes import is_code
from udfs.rules.batch import IdentifyLanguage, JudgedBatch, JudgedTexts
from udfs.rules.c4 import C4, C4Settings
from udfs.rules.family import RuleFamily, Tools
from udfs.rules.fineweb import FineWeb, FineWebSettings
from udfs.rules.fineweb2 import FineWeb2, FineWeb2Settings
from udfs.rules.language_only import LanguageOnly
from udfs.rules.refinedweb import RefinedWeb
from udfs.rules.settings import SharedSettings, default_of, without_limits
from udfs.rules.url_lists import UrlLists
from udfs.rules.urls import ADDRESS_RULES, AddressCounts, UrlSettings, outcomes
from udfs.text.columns import string_column, utf8_buffers

Class = TypeVar("Class", bound=type)
_ANY_CODE = "eng_Latn"

# The only place that knows families by name: `heuristics.rules` takes one of these.
FAMILIES: dict[str, type[RuleFamily[Any]]] = {
    "refinedweb": RefinedWeb,
    "c4": C4,
    "fineweb": FineWeb,
    "fineweb2": FineWeb2,
    "language_only": LanguageOnly,
}


def _distinct(columns: Iterable[pa.Field]) -> list[pa.Field]:
    """Return the columns without repetitions; families share those that mean the same thing."""
    return list({column.name: column for column in columns}.values())


# What `apply` adds to the documents table; null where a document was dropped before.
SIGNALS = _distinct(column for family in FAMILIES.values() for column in family.signals)
# What limits ask for besides: columns of a table of signals, not of documents.
STATISTICS = _distinct(column for family in FAMILIES.values() for column in family.statistics)


def rules_of(family: str) -> tuple[str, ...]:
    """Return the names of all rules of a family in the order of application."""
    kind = FAMILIES[family]
    return (*(ADDRESS_RULES if kind.judges_addresses else ()), *kind.rules)


def _with_own_settings(kind: Class) -> Class:
    """Add a field for each family that has settings of its own, by the family's name."""
    for name, family in FAMILIES.items():
        if family.settings is not None:
            kind.__annotations__[name] = family.settings
            setattr(kind, name, field(default_factory=family.settings))
    return kind


@dataclass(frozen=True, kw_only=True)
@_with_own_settings
class HeuristicSettings(SharedSettings):
    """The settings of all families; `rules` names the one that judges."""

    # The family that judges.
    rules: str = next(iter(FAMILIES))

    if TYPE_CHECKING:
        c4: C4Settings = field(default_factory=C4Settings)
        fineweb: FineWebSettings = field(default_factory=FineWebSettings)
        fineweb2: FineWeb2Settings = field(default_factory=FineWeb2Settings)

    def __post_init__(self) -> None:
        """Refuse a family that is not known, and what SharedSettings refuse."""
        check(self, rules=one_of(tuple(FAMILIES)))
        super().__post_init__()

    @property
    def family(self) -> RuleFamily[Any]:
        """Return the family that judges, with these settings."""
        return FAMILIES[self.rules](self, getattr(self, self.rules, None))

    @property
    def language_quirks(self) -> str:
        """Return the quirks by which the language's model reads texts."""
        return FAMILIES[self.rules].language_quirks(self.quirks)

    @property
    def lists(self) -> Mapping[str, str]:
        """Return the lists that measuring reads, with what it means to leave one out."""
        return FAMILIES[self.rules].lists


def url_outcomes(
    urls: pa.Array,
    settings: HeuristicSettings,
    lists: UrlLists,
    counts: AddressCounts | None = None,
) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """Return (rule, value, threshold) of the rules on addresses; null where none drops.

    `counts` goes up by what is found.
    """
    if not settings.enabled or not FAMILIES[settings.rules].judges_addresses:
        nulls = pa.nulls(len(urls), pa.float64())
        return pa.nulls(len(urls), pa.string()), nulls, nulls
    url_settings = UrlSettings(
        quirks=settings.quirks,
        ignored_characters=settings.ignored_url_characters,
        min_soft_words=settings.min_soft_url_words,
    )
    found = outcomes(urls, lists, url_settings)
    if counts is not None:
        counts.missed_domains += pc.sum(found.missed).as_py() or 0
    return found.rules, found.values, found.thresholds


def apply(
    texts: pa.Array | pa.ChunkedArray,
    urls: pa.Array | None,
    settings: HeuristicSettings,
    lists: UrlLists,
    identify_language: IdentifyLanguage,
    counts: AddressCounts | None = None,
) -> JudgedTexts:
    """Judge documents, columns of texts and addresses; null reads as "".

    Without `urls` no rule on addresses is asked: all passed before. What `identify_language` says
    of a text must not depend on the other texts of its batch.
    """
    keeps_failed = settings.annotate == "all"
    batch = JudgedBatch(texts, rules_of(settings.rules), SIGNALS, keeps_failed)
    if settings.enabled:
        if urls is not None:
            batch.fail_by_address(*url_outcomes(urls, settings, lists, counts))
        settings.family.judge(batch, Tools(lists, identify_language))
    return batch.result()


def measuring(settings: HeuristicSettings) -> HeuristicSettings:
    """Return the settings with everything that the family's measuring does not read at its default.

    Settings with the same result have the same signals of any text: those may be measured once.
    """
    family, kept = FAMILIES[settings.rules], without_limits(settings)
    if is_code(settings.language):
        # The model's labels are codes too, of whatever language: one table serves all of them.
        object.__setattr__(kept, "language", _ANY_CODE)
    for name in family.read_limits:
        object.__setattr__(kept, name, getattr(settings, name))
    unread = {*family.unread, *(name for name in FAMILIES if name != settings.rules)}
    for one in fields(kept):
        if one.name in unread:
            object.__setattr__(kept, one.name, default_of(one))
    return kept


def signals_of(
    texts: pa.Array | pa.ChunkedArray,
    settings: HeuristicSettings,
    lists: UrlLists,
    identify_language: IdentifyLanguage,
) -> dict[str, pa.Array]:
    """Return every column of SIGNALS and STATISTICS, null where the family has none."""
    columns = [*SIGNALS, *STATISTICS]
    batch = JudgedBatch(texts, rules_of(settings.rules), columns, keeps_failed=True)
    settings.family.measure(batch, Tools(lists, identify_language))
    return batch.result().signals


def decide(
    signals: pa.RecordBatch,
    urls: pa.Array,
    settings: HeuristicSettings,
    lists: UrlLists,
    counts: AddressCounts | None = None,
) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
    """Return (rule, value, threshold) of documents with these signals; the rule is null if kept.

    The signals are those of `signals_of` by settings with the same `measuring`; what `apply` says
    of the texts is the same.
    """
    batch = JudgedBatch.of_signals(signals, rules_of(settings.rules))
    if settings.enabled:
        batch.fail_by_address(*url_outcomes(urls, settings, lists, counts))
        settings.family.limit(batch)
    return batch.outcomes()


def clean(
    texts: pa.Array | pa.ChunkedArray, settings: HeuristicSettings, lists: UrlLists
) -> pa.LargeStringArray:
    """Return texts as the family leaves those that it keeps."""
    data, offsets = utf8_buffers(texts)
    if settings.enabled:
        data, offsets = settings.family.clean(data, offsets, lists)
    return string_column(data, offsets)
