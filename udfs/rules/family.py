"""A family of rules: steps that measure texts and limit what was measured, and their cleaning."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.rules.batch import IdentifyLanguage, JudgedBatch, as_floats
from udfs.rules.settings import SharedSettings
from udfs.rules.url_lists import UrlLists
from udfs.text.columns import Bytes, Offsets, string_column

Own = TypeVar("Own")

# Signals of `measure_language`.
LANGUAGE_SIGNALS = (pa.field("language", pa.string()), pa.field("language_score", pa.float64()))


class Tools(NamedTuple):
    """What measuring needs besides texts and settings."""

    lists: UrlLists
    identify_language: IdentifyLanguage


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a family: `measure` stores signals of texts, `limit` fails documents by these.

    Measuring may change the texts. A limit reads stored signals alone.
    """

    measure: Callable[[JudgedBatch, Tools], None]
    limit: Callable[[JudgedBatch], None]


@dataclass(frozen=True)
class RuleFamily(ABC, Generic[Own]):
    """One family with the settings of a run: those that families share, and its own.

    A new family is a subclass, and a line in `udfs.rules.families.FAMILIES`.
    """

    # Names of all rules in the order of application, but those on addresses.
    rules: ClassVar[tuple[str, ...]]
    # Columns of the documents table that it fills, and what its limits read besides those.
    signals: ClassVar[tuple[pa.Field, ...]]
    statistics: ClassVar[tuple[pa.Field, ...]] = ()
    # Class of its own settings, all with defaults: `heuristics.<name of the family>`.
    settings: ClassVar[type | None] = None
    # Fields of SharedSettings, limits aside, that measuring does not read, and limits that it does.
    unread: ClassVar[frozenset[str]] = frozenset()
    read_limits: ClassVar[frozenset[str]] = frozenset()
    # Lists that measuring reads, by name, with what it means to leave one out.
    lists: ClassVar[Mapping[str, str]] = MappingProxyType({})
    judges_addresses: ClassVar[bool] = True
    # Whether it asks `udfs.languages.segmenters` for the words of `heuristics.language`.
    segments_words: ClassVar[bool] = False

    shared: SharedSettings
    own: Own

    @classmethod
    def language_quirks(cls, quirks: str) -> str:
        """Return the quirks by which the language's model reads texts."""
        return quirks

    @abstractmethod
    def steps(self) -> tuple[Step, ...]:
        """Return the steps in order."""

    def clean(self, data: Bytes, offsets: Offsets, lists: UrlLists) -> tuple[Bytes, Offsets]:
        """Return texts as the steps leave those that they keep."""
        return data, offsets

    def judge(self, batch: JudgedBatch, tools: Tools) -> None:
        """Measure and limit step by step; what a step drops is not looked at by the next."""
        for step in self.steps():
            step.measure(batch, tools)
            step.limit(batch)
            batch.end_step()

    def measure(self, batch: JudgedBatch, tools: Tools) -> None:
        """Store all signals and statistics of all texts."""
        for step in self.steps():
            step.measure(batch, tools)

    def limit(self, batch: JudgedBatch) -> None:
        """Fail documents by the signals that are stored."""
        for step in self.steps():
            step.limit(batch)

    def measure_language(self, batch: JudgedBatch, tools: Tools) -> None:
        """Store the top label of each text and its probability."""
        labels, scores = tools.identify_language(string_column(*batch.text))
        batch.store_language(labels)
        known = as_floats(pc.is_valid(labels).cast(pa.int8())) > 0
        batch.store("language_score", np.where(known, scores, np.nan))

    def limit_language(self, batch: JudgedBatch) -> None:
        """Keep documents in the language, with a probability above the lowest score."""
        scores, least = batch.signal("language_score"), self.shared.min_language_score
        is_label = pc.equal(batch.languages(), self.shared.language).fill_null(False)
        wanted = as_floats(is_label.cast(pa.int8())) > 0
        failed = ~(wanted & (scores > least))
        batch.fail("language", failed, np.where(wanted, scores, 0.0), least)

    def limit_lengths(self, batch: JudgedBatch) -> None:
        """Limit the words of a page and their mean length, as Gopher's rules do."""
        shared = self.shared
        for rule, signal, least, most in (
            ("page_length", "num_words", shared.min_words, shared.max_words),
            ("mean_word_length", "mean_word_length", shared.min_mean_word_length,
             shared.max_mean_word_length),
        ):  # fmt: skip
            value = batch.signal(signal)
            # NaN, the mean of nothing, fails too.
            failed = ~((value >= least) & (value <= most))
            batch.fail(rule, failed, value, np.where(value > most, most, least))
