"""A batch of documents that rules judge: the first rule that fails, and the signals of all.

Signals that were stored can be judged again by other limits, without texts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.text.columns import Bytes, Offsets, string_column, utf8_buffers

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
# Texts -> (labels or null, probabilities), as udfs.fasttext.language.LanguageIdentifier.
IdentifyLanguage = Callable[[pa.Array], tuple[pa.Array, Floats]]


@dataclass(frozen=True, kw_only=True)
class JudgedTexts:
    """One row per document of the batch.

    `rule` is null for kept documents; `value` is what was compared with `threshold`, null where
    a rule compares nothing. `signals` has every column that was asked for, null where not computed.
    """

    text: pa.LargeStringArray
    rule: pa.StringArray
    value: pa.DoubleArray
    threshold: pa.DoubleArray
    signals: dict[str, pa.Array]


class JudgedBatch:
    """The documents of a call: the texts of those still looked at, and what is known of all.

    `rules` are all rules that may be named, `signals` the columns of the result. With
    `keeps_failed`, documents that a rule drops are looked at until the end.
    """

    def __init__(
        self,
        texts: pa.Array | pa.ChunkedArray,
        rules: Sequence[str],
        signals: Sequence[pa.Field],
        keeps_failed: bool,
    ) -> None:
        count = len(texts)
        self._names, self._fields = tuple(rules), tuple(signals)
        self.rows: Rows = np.arange(count)
        self.text: tuple[Bytes, Offsets] = utf8_buffers(texts)
        self._keeps_failed = keeps_failed
        self._rules = np.full(count, -1, np.int64)
        self._values, self._thresholds = np.full(count, np.nan), np.full(count, np.nan)
        self._signals: dict[str, Floats] = {}
        self._languages: pa.Array = pa.nulls(count, pa.string())
        self._closed: list[tuple[Rows, pa.LargeStringArray]] = []

    @classmethod
    def of_signals(cls, stored: pa.RecordBatch, rules: Sequence[str]) -> Self:
        """Return documents without texts whose signals were measured before, for other limits."""
        batch = cls(pa.nulls(stored.num_rows, pa.string()), rules, (), keeps_failed=True)
        for field in stored.schema:
            if field.name == "language":
                batch._languages = stored.column("language").cast(pa.string())
            elif not pa.types.is_binary(field.type):
                batch._signals[field.name] = as_floats(stored.column(field.name))
        return batch

    def fail_by_address(self, rules: pa.Array, values: pa.Array, thresholds: pa.Array) -> None:
        """Take over the outcomes of rules on addresses; the rule is null where none drops."""
        indices = pc.index_in(rules, pa.array(self._names, pa.string())).fill_null(-1)
        self._rules[:] = as_floats(indices)
        self._values[:], self._thresholds[:] = as_floats(values), as_floats(thresholds)
        self.end_step()

    def fail(self, rule: str, failed: Flags, value: Floats, threshold: Floats | float) -> None:
        """Name `rule` as what drops the documents `failed`, if none did before."""
        failed = failed & (self._rules[self.rows] < 0)
        rows = self.rows[failed]
        self._rules[rows] = self._names.index(rule)
        self._values[rows] = value[failed]
        self._thresholds[rows] = np.broadcast_to(threshold, failed.shape)[failed]

    def store(self, name: str, values: npt.NDArray[np.generic]) -> None:
        """Store a signal of the documents still looked at; NaN becomes null."""
        column = self._signals.setdefault(name, np.full(len(self._rules), np.nan))
        column[self.rows] = values

    def signal(self, name: str) -> Floats:
        """Return what was stored for the documents still looked at; NaN where nothing was."""
        stored = self._signals.get(name)
        return np.full(len(self.rows), np.nan) if stored is None else stored[self.rows]

    def store_language(self, labels: pa.Array) -> None:
        """Store the languages of the documents still looked at."""
        places = np.full(len(self._rules), -1)
        places[self.rows] = np.arange(len(self.rows))
        self._languages = labels.cast(pa.string()).take(pa.array(places, mask=places < 0))

    def languages(self) -> pa.Array:
        """Return the languages of the documents still looked at."""
        return self._languages.take(pa.array(self.rows))

    def end_step(self) -> None:
        """Look no further at documents that failed, unless all signals are wanted."""
        is_open = self._rules[self.rows] < 0
        if self._keeps_failed or is_open.all():
            return
        column = string_column(*self.text)
        self._closed.append((self.rows[~is_open], column.filter(pa.array(~is_open))))
        self.rows = self.rows[is_open]
        self.text = utf8_buffers(column.filter(pa.array(is_open)))

    def outcomes(self) -> tuple[pa.StringArray, pa.DoubleArray, pa.DoubleArray]:
        """Return (rule, value, threshold) of all documents; the rule is null for kept ones."""
        rules = pa.array(self._rules, mask=self._rules < 0)
        names = pa.array(self._names, pa.string()).take(rules)
        return names, _nullable(self._values), _nullable(self._thresholds)

    def result(self) -> JudgedTexts:
        """Put all documents back into the order in which they came."""
        self._closed.append((self.rows, string_column(*self.text)))
        rows = np.concatenate([part for part, _ in self._closed])
        texts = pa.concat_arrays([part for _, part in self._closed])
        signals = {signal.name: self._signal(signal) for signal in self._fields}
        rule, value, threshold = self.outcomes()
        if len(self._closed) > 1:
            texts = texts.take(pa.array(np.argsort(rows)))
        return JudgedTexts(
            text=texts,
            rule=rule,
            value=value,
            threshold=threshold,
            signals=signals,
        )

    def _signal(self, signal: pa.Field) -> pa.Array:
        if signal.name == "language":
            return self._languages
        if signal.name not in self._signals:
            return pa.nulls(len(self._rules), signal.type)
        return _nullable(self._signals[signal.name]).cast(signal.type)


def as_floats(column: pa.Array) -> Floats:
    """Return a numeric column with NaN for null."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _nullable(values: Floats) -> pa.DoubleArray:
    return pa.array(values, mask=np.isnan(values))


def ratio(numerator: npt.NDArray[np.int64], denominator: npt.NDArray[np.int64]) -> Floats:
    """Return the quotients, NaN where the denominator is 0."""
    quotients = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=quotients, where=denominator > 0)
    return quotients
