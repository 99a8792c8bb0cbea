"""The DCLM quality score: probability that a fastText model gives to its positive label."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.fasttext.model import byte_classes, load
from udfs.text.columns import utf8_buffers

# DCLM-BASELINE keeps score >= 0.018112, about the best 10 % of documents (spec 4.1).
DCLM_BASELINE_MINIMUM_SCORE = 0.018112


class QualityModel:
    """A two-label fastText classifier; ValueError unless its labels are exactly the two given."""

    def __init__(
        self, path: str | Path, positive_label: str = "hq", negative_label: str = "cc"
    ) -> None:
        self._model = load(path)
        self.positive_label = positive_label
        if set(self._model.labels) != {positive_label, negative_label}:
            raise ValueError(
                f"quality model {path}: its labels are {', '.join(self._model.labels[:10])}, "
                f"expected are {positive_label!r} (positive) and {negative_label!r} (negative); "
                "use another model or name its labels in the settings"
            )
        # Python's line separators; the library's white space covers the others.
        self._byte_class = byte_classes(separate=b"\x1c\x1d\x1e", lines=True)

    def score(self, texts: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
        """Return the score of each text, 0 (like the negatives) to 1 (like the positives).

        The text is read stripped and with its lines joined by one space, its case kept. The
        score is p where the positive label wins with probability p and 1 - p elsewhere, so it
        carries fastText's guard of 1e-5 (spec 4.1).
        """
        from udfs.text.unicode import strip

        data, offsets = utf8_buffers(texts)
        starts, ends = np.array(offsets[:-1]), np.array(offsets[1:])
        strip(data, starts, ends)
        return self._model.score_spans(data, starts, ends, self._byte_class, self.positive_label)
