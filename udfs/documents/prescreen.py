"""A look at the bytes of a page before it is parsed: is it in another language for sure?"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.checks import FRACTION, at_least, check
from udfs.documents.schema import KEPT
from udfs.text.visible_bytes import visible_bytes

RULE = "language_prescreen"
OTHER_LANGUAGE_SCORE = pa.field("other_language_score", pa.float64())
# Texts -> (labels or null, probabilities), as udfs.fasttext.language.LanguageIdentifier.
IdentifyLanguage = Callable[[pa.Array], tuple[pa.Array, np.ndarray]]
# Pages in UTF-8 -> the probability of another language, by a look; 0 for none.
Glance = Callable[[Sequence[bytes]], np.ndarray]
_ID_RANGE = float(1 << 64)


@dataclass(frozen=True, kw_only=True)
class PrescreenSettings:
    """Which pages are dropped unparsed since they cannot pass the language rule."""

    # Off: every page is parsed.
    enabled: bool = False
    # A page goes that has this probability, or a higher one, of a language that is not wanted.
    min_other_language_score: float = 0.8
    # How much of a page's words is looked at.
    max_text_bytes: int = 4000
    # The share of such pages that is parsed all the same, chosen by their ids: how many of these
    # the rules keep is in the report.
    audited_fraction: float = 0.01

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, min_other_language_score=FRACTION, audited_fraction=FRACTION)
        check(self, max_text_bytes=at_least(1))

    def drops(self, doc_id: bytes, score: float) -> bool:
        """Say whether a page goes, by the probability of another language."""
        is_audited = int.from_bytes(doc_id[:8], "big") < self.audited_fraction * _ID_RANGE
        return score >= self.min_other_language_score and not is_audited


def other_language_scores(
    pages: Sequence[bytes], *, settings: PrescreenSettings, wanted: str, identify: IdentifyLanguage
) -> np.ndarray:
    """Return the probability that each page is in another language than `wanted`; 0: in none."""
    languages, scores = identify(visible_bytes(pages, settings.max_text_bytes))
    other = pc.fill_null(pc.not_equal(languages, wanted), False)
    return np.where(other.to_numpy(zero_copy_only=False), scores, 0.0)


def prescreen_counts(batch: pa.RecordBatch, settings: PrescreenSettings) -> Counter[str]:
    """Count judged documents that the look spoke against: dropped, audited, and kept of these."""
    scores = pc.fill_null(batch.column(OTHER_LANGUAGE_SCORE.name), 0.0)
    against = batch.filter(pc.greater_equal(scores, settings.min_other_language_score))
    dropped = pc.sum(pc.fill_null(pc.equal(against.column("rule"), RULE), False)).as_py() or 0
    # The rules look at no page that was dropped, so what is kept was audited.
    kept = pc.sum(pc.equal(against.column("fate"), KEPT)).as_py() or 0
    return Counter(dropped=dropped, audited=against.num_rows - dropped, audited_kept=kept)
