"""The choice between several texts of a page: rules judge each, one that passes is taken."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.documents.extraction_settings import ExtractionSettings
from udfs.documents.views import FIRST, LONGEST, UNION, text_columns
from udfs.html.extractors import label_of
from udfs.rules.batch import JudgedTexts

Numbers = npt.NDArray[np.int64]
# From texts, and addresses or None, to what the rules say of each.
Judge = Callable[[pa.Array, pa.Array | None], JudgedTexts]
_JOIN = "+"
# In characters: the pieces by which a paragraph is looked for in another text.
_PIECE = 30


def judge_views(
    batch: pa.RecordBatch, urls: pa.Array | None, settings: ExtractionSettings, judge: Judge
) -> tuple[pa.RecordBatch, JudgedTexts]:
    """Return documents with the view and the extractor of the text taken, and its judgement.

    Each document has at least one text. Where none passes the rules, the first is taken.
    """
    judged = _Judged(batch, settings)
    for turn in range(len(settings.views)):
        rows, views = judged.wanted(turn)
        addresses = None if urls is None else urls.take(pa.array(rows))
        judged.add(rows, views, judge(judged.texts_of(rows, views), addresses))
    result = judged.result()
    chosen = [[view] for view in judged.view.tolist()]
    if settings.view_choice == UNION:
        result, chosen = _joined(judged, result, chosen)
    names = pa.array([_JOIN.join(settings.views[view] for view in views) for views in chosen])
    labels = pa.array([" + ".join(label_of(settings.views[v]) for v in views) for views in chosen])
    for name, column in (("view", names), ("extractor", labels)):
        batch = batch.set_column(batch.schema.get_field_index(name), name, column)
    return batch, result


class _Judged:
    """What the rules said of the texts of a batch's documents so far.

    Texts are numbered view after view: number `view * count + row`.
    """

    def __init__(self, batch: pa.RecordBatch, settings: ExtractionSettings) -> None:
        columns = [batch.column(name) for name in text_columns(settings.views)]
        self._count, self._choice = batch.num_rows, settings.view_choice
        self._texts = pa.concat_arrays(columns)
        self._sizes = _sizes(self._texts).reshape(len(columns), -1)
        # The views of each document in the order in which they are judged: what the longest one
        # leaves to be won is the least.
        self._order = np.repeat(np.arange(len(columns))[:, None], self._count, axis=1)
        if self._choice == LONGEST:
            self._order = np.argsort(-self._sizes, axis=0, kind="stable")
        self._parts: list[JudgedTexts] = []
        # Of each document: the view that is taken, the bytes of its text if that passed, else -1.
        self.view: Numbers = np.full(self._count, -1)
        self._best: Numbers = np.full(self._count, -1)
        # Of each text: the place of its judgement among all, and whether it passed.
        self._places: Numbers = np.full(self._sizes.size, -1)
        self.passed = np.zeros(self._sizes.shape, np.bool_)

    def texts_of(self, rows: Numbers, views: Numbers) -> pa.Array:
        """Return the texts of documents by a view each."""
        return self._texts.take(pa.array(views * self._count + rows))

    def wanted(self, turn: int) -> tuple[Numbers, Numbers]:
        """Return the documents that have a text left that could still be taken, and its view."""
        views = self._order[turn]
        sizes = self._sizes[views, np.arange(self._count)]
        wanted = sizes >= 0
        if self._choice == FIRST:
            wanted &= self._best < 0
        elif self._choice == LONGEST:
            # Rules only take out of a text.
            wanted &= sizes > self._best
        rows = np.flatnonzero(wanted)
        return rows, views[rows]

    def add(self, rows: Numbers, views: Numbers, result: JudgedTexts) -> None:
        """Take over what the rules say of the texts of `rows` by `views`."""
        passes = np.asarray(pc.is_null(result.rule).to_numpy(zero_copy_only=False))
        sizes = np.where(passes, _sizes(result.text), -1)
        judged = sum(len(part.text) for part in self._parts)
        self._places[views * self._count + rows] = judged + np.arange(len(rows))
        self.passed[views[passes], rows[passes]] = True
        best, view = self._best[rows], self.view[rows]
        # Where none passes, the first view is taken.
        none = (best < 0) & (sizes < 0)
        better = (sizes > best) | (view < 0) | (none & (views < view))
        self.view[rows[better]] = views[better]
        self._best[rows[better]] = sizes[better]
        self._parts.append(result)

    def result(self) -> JudgedTexts:
        """Return the judgement of the text of each document that is taken."""
        parts = self._parts
        taken = pa.array(self._places[self.view * self._count + np.arange(self._count)])

        def column(arrays: Sequence[pa.Array]) -> pa.Array:
            return pa.concat_arrays(list(arrays)).take(taken)

        return JudgedTexts(
            text=column([part.text for part in parts]),
            rule=column([part.rule for part in parts]),
            value=column([part.value for part in parts]),
            threshold=column([part.threshold for part in parts]),
            signals={
                name: column([part.signals[name] for part in parts]) for name in parts[0].signals
            },
        )

    def judged_text(self, view: int, row: int) -> str:
        """Return a text as the rules left it."""
        place = int(self._places[view * self._count + row])
        for part in self._parts:
            if place < len(part.text):
                break
            place -= len(part.text)
        text: str = part.text[place].as_py()
        return text


def _sizes(texts: pa.Array) -> Numbers:
    """Return the bytes of texts, -1 for null."""
    return np.asarray(pc.fill_null(pc.binary_length(texts), -1), np.int64)


def _joined(
    judged: _Judged, result: JudgedTexts, chosen: list[list[int]]
) -> tuple[JudgedTexts, list[list[int]]]:
    """Add to each text that passed the paragraphs of the other views that passed and it lacks."""
    texts = result.text.to_pylist()
    views = [list(one) for one in chosen]
    for row, (first,) in enumerate(chosen):
        others = [view for view in np.flatnonzero(judged.passed[:, row]).tolist() if view != first]
        for view in others if judged.passed[first, row] else ():
            joined = join_paragraphs(texts[row], judged.judged_text(view, row))
            if joined != texts[row]:
                texts[row] = joined
                views[row].append(view)
    text = pa.array(texts, pa.large_string())
    return JudgedTexts(**(vars(result) | {"text": text})), views


def join_paragraphs(text: str, other: str) -> str:
    """Return `text` with the lines of `other` that it lacks, each behind the line it follows.

    A line is not lacking if half of it, piece by piece, stands in `text`.
    """
    lines = text.split("\n")
    places = {line.strip(): place for place, line in reversed(list(enumerate(lines)))}
    behind: dict[int, list[str]] = {}
    last = -1
    for line in other.split("\n"):
        stripped = line.strip()
        if stripped in places:
            last = max(last, places[stripped])
        elif stripped and not _overlaps(stripped, text):
            behind.setdefault(last, []).append(line)
    if not behind:
        return text
    joined = list(behind.get(-1, []))
    for place, line in enumerate(lines):
        joined += [line, *behind.get(place, [])]
    return "\n".join(joined)


def _overlaps(line: str, text: str) -> bool:
    pieces = [line[start : start + _PIECE] for start in range(0, len(line), _PIECE)]
    return 2 * sum(piece in text for piece in pieces) >= len(pieces)
