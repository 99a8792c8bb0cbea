"""Real near-duplicate pages: what the bands find, beside the S-curve and datasketch."""

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH

from tests.benchmarks.planted_pairs import listed_pairs
from tests.shared_data import SHARED, needs_shared
from udfs.dedup.minhash import (
    PRESETS,
    MinHashSettings,
    candidate_probability,
    estimated_jaccard,
    signatures,
)
from udfs.dedup.shingles import jaccard

pytestmark = needs_shared


@pytest.fixture(scope="module")
def pairs() -> tuple[pa.Array, pa.Array]:
    return listed_pairs(SHARED / "pages")


def found_by(left: pa.Array, right: pa.Array, settings: MinHashSettings) -> np.ndarray:  # type: ignore[type-arg]
    one, other = (signatures(side, settings) for side in (left, right))
    has_words = (one.num_shingles > 0) & (other.num_shingles > 0)
    return (one.bands == other.bands).any(axis=1) & has_words


@pytest.mark.parametrize("preset", ["dclm", "datatrove"])
def test_real_pairs_are_found_as_often_as_theory_says(
    pairs: tuple[pa.Array, pa.Array], preset: str
) -> None:
    settings = PRESETS[preset]
    exact = jaccard(*pairs, settings.ngram)
    alike = exact >= 0.6
    theory = np.mean([candidate_probability(j, settings) for j in exact[alike]])
    assert alike.sum() > 100
    assert found_by(*pairs, settings)[alike].mean() > theory - 0.02


def test_verification_leaves_no_pair_below_the_threshold(
    pairs: tuple[pa.Array, pa.Array],
) -> None:
    settings = PRESETS["dclm"]
    exact = jaccard(*pairs, settings.ngram)
    sketches = [signatures(side, settings).sketch for side in pairs]
    estimated = estimated_jaccard(*sketches)
    has_words = exact > 0
    assert np.abs(estimated - exact)[has_words].max() < 0.08
    kept = found_by(*pairs, settings) & (estimated >= 0.8)
    # Sketches err by about 0.0125, so pairs may be wrong by a few hundredths, never by more.
    assert exact[kept].min() > 0.75


def test_datasketch_finds_no_more_of_the_real_pairs(pairs: tuple[pa.Array, pa.Array]) -> None:
    settings = MinHashSettings(bands=14, rows=8, ngram=1)
    exact = jaccard(*pairs, settings.ngram)
    alike = exact >= 0.8
    theirs = []
    for left, right in zip(*(side.to_pylist() for side in pairs), strict=True):
        index = MinHashLSH(num_perm=112, params=(14, 8))
        index.insert(0, sketch(left))
        theirs.append(bool(index.query(sketch(right))))
    ours = found_by(*pairs, settings)
    assert alike.sum() > 100
    assert ours[alike].mean() > np.array(theirs)[alike].mean() - 0.03


def sketch(text: str) -> MinHash:
    result = MinHash(num_perm=112)
    result.update_batch([word.encode() for word in text.lower().split()])
    return result
