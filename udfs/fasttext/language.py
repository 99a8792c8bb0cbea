"""Language of a page: the top label of a fastText model over the whole text (spec 2.5)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.fasttext.model import byte_classes, load
from udfs.languages.codes import code_of
from udfs.quirks import follows_reference
from udfs.text.columns import utf8_buffers


class LanguageIdentifier:
    """Names the language of each text with the fastText model at `path` (lid.176.bin or .ftz).

    `quirks="dclm-2024"` deletes newlines, which glues the last word of a line to the first of
    the next, as the reference does; `"none"` reads a newline as a space. With `codes`, labels of
    any model become codes such as deu_Latn (`udfs.languages.codes`).
    """

    def __init__(self, path: str | Path, quirks: str = "dclm-2024", codes: bool = False) -> None:
        glued = follows_reference(quirks)
        self._model = load(path)
        labels = [code_of(label) if codes else label for label in self._model.labels]
        self._languages = pa.array(labels, pa.string())
        self._byte_class = byte_classes(delete=b"\n" if glued else b"")

    def __call__(
        self, texts: pa.Array | pa.ChunkedArray
    ) -> tuple[pa.StringArray, npt.NDArray[np.float64]]:
        """Return (language, probability) of each text: labels of the model, or codes.

        A text of nothing but ASCII punctuation and white space has a null language and
        probability 0.
        """
        from udfs.text.unicode import has_letters

        data, offsets = utf8_buffers(texts)
        starts, ends = np.array(offsets[:-1]), np.array(offsets[1:])
        indices, probabilities = self._model.predict_spans(data, starts, ends, self._byte_class)
        unknown = ~has_letters(data, starts, ends) | (indices < 0)
        probabilities[unknown] = 0.0
        return self._languages.take(pa.array(indices, mask=unknown)), probabilities
