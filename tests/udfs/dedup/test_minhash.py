import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH

from udfs.dedup.minhash import (
    PRESETS,
    MinHashSettings,
    candidate_probability,
    estimated_jaccard,
    signatures,
)
from udfs.dedup.shingles import jaccard

PAIRS = 1500
PINNED_BANDS = [236664240918366615, -1373795512988916453]
PINNED_SKETCH = [152, 249, 11, 232, 191, 118]


def planted_pairs(similarity: float, shingles: int, pairs: int, seed: int) -> tuple[pa.Array, ...]:
    """Texts of unique words, of which single-word shingles have that Jaccard similarity."""
    rng = np.random.default_rng(seed)
    shared = round(similarity * shingles)
    left, right = [], []
    for _ in range(pairs):
        words = [f"w{n:x}" for n in rng.integers(0, 2**62, shingles)]
        only_left = (shingles - shared) // 2
        left.append(" ".join(words[: shared + only_left]))
        right.append(" ".join(words[:shared] + words[shared + only_left :]))
    return pa.array(left), pa.array(right)


@pytest.mark.parametrize("shingles", [30, 200, 3000])
@pytest.mark.parametrize(
    ("preset", "similarity"), [("dclm", 0.8), ("dclm", 0.7), ("datatrove", 0.8)]
)
def test_pairs_become_candidates_as_often_as_the_s_curve_says(
    preset: str, similarity: float, shingles: int
) -> None:
    settings = MinHashSettings(
        bands=PRESETS[preset].bands, rows=PRESETS[preset].rows, ngram=1, seed=7
    )
    pairs = PAIRS if shingles < 3000 else PAIRS // 3
    left, right = planted_pairs(similarity, shingles, pairs, seed=shingles)
    found = (signatures(left, settings).bands == signatures(right, settings).bands).any(axis=1)
    theory = candidate_probability(similarity, settings)
    error = (theory * (1 - theory) / pairs) ** 0.5
    assert found.mean() > theory - 0.01 - 3 * error
    assert found.mean() < theory + 0.03 + 3 * error


@pytest.mark.parametrize("shingles", [1, 2, 10, 100, 1000])
def test_estimates_are_unbiased_within_their_error(shingles: int) -> None:
    settings = MinHashSettings(ngram=1)
    left, right = planted_pairs(0.5, shingles, 200, seed=1)
    exact = jaccard(left, right, 1)
    found = estimated_jaccard(signatures(left, settings).sketch, signatures(right, settings).sketch)
    errors = found - exact
    assert abs(errors.mean()) < 0.01
    assert errors.std() < 1.15 * (0.25 / settings.sketch_rows) ** 0.5 + 0.001


def test_equal_sets_agree_in_all_bands_and_others_in_none() -> None:
    column = pa.array(["a b c d e f g", "a b c d e f g a b c d e f g", "x y z u v w t"])
    result = signatures(column, MinHashSettings(ngram=1))
    assert (result.bands[0] == result.bands[1]).all()
    assert (result.bands[0] != result.bands[2]).all()
    assert result.num_shingles.tolist() == [7, 14, 7]


def test_bands_of_one_text_differ_from_each_other() -> None:
    result = signatures(pa.array(["one"]), MinHashSettings())
    assert len(set(result.bands[0].tolist())) == 93


def test_signatures_depend_on_the_seed_alone() -> None:
    column = pa.array(["some words that are here for a test of seeds"])
    first, again, other = (
        signatures(column, MinHashSettings(seed=seed)).bands.tolist() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_known_texts_keep_their_signature_while_the_version_stays() -> None:
    result = signatures(
        pa.array(["the quick brown fox jumps over the lazy dog"]), MinHashSettings()
    )
    assert MinHashSettings().version == 1001
    assert result.bands[0, :2].tolist() == PINNED_BANDS
    assert result.sketch[0, :6].tolist() == PINNED_SKETCH


def test_no_fewer_planted_pairs_are_found_than_by_datasketch() -> None:
    left, right = planted_pairs(0.8, 100, 300, seed=3)
    settings = MinHashSettings(bands=14, rows=9, ngram=1)
    ours = (signatures(left, settings).bands == signatures(right, settings).bands).any(axis=1)
    index = MinHashLSH(num_perm=126, params=(14, 9))
    for row, text in enumerate(left.to_pylist()):
        index.insert(row, _datasketch(text))
    theirs = [row in index.query(_datasketch(t)) for row, t in enumerate(right.to_pylist())]
    assert ours.mean() > np.mean(theirs) - 0.08


def _datasketch(text: str) -> MinHash:
    sketch = MinHash(num_perm=126)
    sketch.update_batch([word.encode() for word in text.split()])
    return sketch


def test_empty_texts_and_a_large_one_are_signed_together() -> None:
    rng = np.random.default_rng(0)
    large = " ".join(map(str, rng.integers(0, 10**6, 400_000)))
    result = signatures(pa.array(["", None, large, "...", "a"]), MinHashSettings())
    assert result.num_shingles.tolist() == [0, 0, 399_996, 0, 1]
    assert len(signatures(pa.array([], pa.string()), MinHashSettings()).bands) == 0


@pytest.mark.parametrize("name", ["bands", "rows", "ngram"])
def test_a_setting_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} = 0"):
        MinHashSettings(**{name: 0})


def test_signatures_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="version = 1:"):
        MinHashSettings(version=1)
