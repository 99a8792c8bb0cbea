"""What measures a signal: its columns, known before anything is read, and their values."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.fasttext.model import FastTextModel, byte_classes, labels_of, load
from udfs.rules import families
from udfs.signals.functions import ShippedFunction, call
from udfs.signals.signal_settings import ALL_LABELS
from udfs.storage.cache import content_sha256, fetch
from udfs.text.columns import utf8_buffers
from udfs.tokens.tokenizer import TokenizerSettings, encode, load_encoder
from udfs.units.curate import CurationSettings, language_identifier, url_lists

_NOT_IN_NAMES = re.compile(r"\W+")


class Measure(Protocol):
    """A dataclass whose fields are all that its values depend on besides the documents."""

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        """The columns."""
        ...

    def columns(self, batch: pa.RecordBatch) -> Sequence[pa.Array]:
        """Return the columns of documents (`udfs.signals.functions.ARGUMENTS`)."""
        ...


@dataclass(frozen=True, kw_only=True)
class ModelMeasure:
    """Labels of a fastText model: the best one, or the probabilities of some.

    The text is read as the quality classifier reads it: stripped, its lines joined by one space. A
    text without any known word has a null label, and the probability 0 of each.
    """

    name: str
    uri: str
    sha256: str | None
    # The checksum of what lies there now: another model there gives other values.
    content_sha256: str
    # All labels of the model, and those that are columns.
    labels: tuple[str, ...]
    wanted: tuple[str, ...]

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        """NAME and NAME_probability, or a column for each label."""
        if not self.wanted:
            best = pa.field(self.name, pa.string())
            return (best, pa.field(f"{self.name}_probability", pa.float64()))
        if len(self.wanted) == 1:
            return (pa.field(self.name, pa.float64()),)
        names = [f"{self.name}_{_NOT_IN_NAMES.sub('_', label)}" for label in self.wanted]
        return tuple(pa.field(name, pa.float64()) for name in names)

    def columns(self, batch: pa.RecordBatch) -> Sequence[pa.Array]:
        """Return the best labels and their probabilities, or those of each label."""
        model = _loaded(self.uri, self.sha256, self.content_sha256)
        shares = _shares(model, batch.column("text"))
        if self.wanted:
            places = [self.labels.index(label) for label in self.wanted]
            return [pa.array(shares[:, place]) for place in places]
        best = shares.argmax(axis=1).astype(np.int32)
        highest = np.take_along_axis(shares, best[:, None], axis=1)[:, 0]
        names = pa.array(self.labels, pa.string())
        return [names.take(pa.array(best, mask=highest == 0)), pa.array(highest)]


def model_measure(
    name: str, uri: str, sha256: str | None, wanted: Sequence[str] = ()
) -> ModelMeasure:
    """Return the measure of the labels `wanted` of a model; ValueError for unknown ones."""
    path = fetch(uri, sha256)
    labels = labels_of(path)
    chosen = labels if ALL_LABELS in wanted else tuple(wanted)
    unknown = [label for label in chosen if label not in labels]
    if unknown:
        known = ", ".join(labels[:20])
        raise ValueError(f"labels: the model has no label {unknown[0]!r}; its labels are {known}")
    measure = ModelMeasure(
        name=name, uri=uri, sha256=sha256, content_sha256=sha256 or content_sha256(path),
        labels=labels, wanted=chosen,
    )  # fmt: skip
    twice = [
        column for column, count in Counter(f.name for f in measure.fields).items() if count > 1
    ]
    if twice:
        raise ValueError(f"labels: two of them give the column {twice[0]!r}; choose one of them")
    return measure


@cache
def _loaded(uri: str, sha256: str | None, content: str) -> FastTextModel:
    """Return the model, loaded once per process for each `content` (its checksum)."""
    return load(fetch(uri, sha256))


@cache
def _byte_classes() -> npt.NDArray[np.uint8]:
    return byte_classes(separate=b"\x1c\x1d\x1e", lines=True)


def _shares(model: FastTextModel, texts: pa.Array) -> npt.NDArray[np.float64]:
    from udfs.text.unicode import strip

    data, offsets = utf8_buffers(texts)
    starts, ends = np.array(offsets[:-1]), np.array(offsets[1:])
    strip(data, starts, ends)
    return model.shares_spans(data, starts, ends, _byte_classes())


@dataclass(frozen=True, kw_only=True)
class FunctionMeasure:
    """A column of a function of the user's own."""

    name: str
    function: ShippedFunction
    kind: pa.DataType

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        """The one column."""
        return (pa.field(self.name, self.kind),)

    def columns(self, batch: pa.RecordBatch) -> Sequence[pa.Array]:
        """Return what the function says of the batch."""
        return [call(self.function, batch).cast(self.kind)]


@dataclass(frozen=True, kw_only=True)
class FamilyMeasure:
    """The signals of a family of rules, as NAME_SIGNAL; the texts are those that came so far."""

    name: str
    # As `udfs.units.scored_table.measuring` leaves them.
    settings: CurationSettings

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        """The family's signals and statistics."""
        return tuple(pa.field(f"{self.name}_{one.name}", one.type) for one in self._measured)

    @property
    def _measured(self) -> list[pa.Field]:
        family = self.settings.heuristics.family
        return list({one.name: one for one in (*family.signals, *family.statistics)}.values())

    def columns(self, batch: pa.RecordBatch) -> Sequence[pa.Array]:
        """Return the signals of the texts."""
        lists, identify = url_lists(self.settings), language_identifier(self.settings)
        texts = batch.column("text")
        found: dict[str, Any] = families.signals_of(
            texts, self.settings.heuristics, lists, identify
        )
        return [found[one.name] for one in self._measured]


@dataclass(frozen=True, kw_only=True)
class TokensMeasure:
    """The number of tokens of each document, without an end of text."""

    name: str
    tokenizer: TokenizerSettings

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        """The one column."""
        return (pa.field(self.name, pa.int64()),)

    def columns(self, batch: pa.RecordBatch) -> Sequence[pa.Array]:
        """Return the number of ids that the tokenizer makes of each text."""
        _, offsets = encode(batch.column("text"), load_encoder(self.tokenizer))
        return [pa.array(np.diff(np.asarray(offsets, np.int64)))]
