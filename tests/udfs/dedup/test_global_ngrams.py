import numpy as np
import pyarrow as pa
import pytest

from udfs.dedup.global_ngrams import GlobalNgramSettings, ngram_occurrences, remove_seen

LINE = " ".join(f"word{index}" for index in range(20))
OTHER = " ".join(f"other{index}" for index in range(30))
TEXTS = pa.array([f"{LINE}\nshort\n{OTHER}", "", LINE])


def judge(windows: list[list[tuple[int, int]]], **settings: int):  # type: ignore[no-untyped-def]
    flat = [pair for pairs in windows for pair in pairs]
    return remove_seen(
        TEXTS,
        np.cumsum([0, *(len(pairs) for pairs in windows)]),
        np.array([pair[0] for pair in flat], np.int32),
        np.array([pair[1] for pair in flat], np.int64),
        GlobalNgramSettings(**settings),  # type: ignore[arg-type]
    )


def test_occurrences_name_text_and_window() -> None:
    ngrams, rows, windows = ngram_occurrences(TEXTS, GlobalNgramSettings())
    assert rows.tolist() == [0] * 26 + [2] * 8
    assert windows.tolist() == [0] * 8 + [2] * 18 + [0] * 8
    assert ngrams[:8].tolist() == ngrams[26:].tolist()
    assert len(set(ngrams.tolist())) == 26


def test_a_sample_holds_the_same_ngrams_everywhere() -> None:
    whole = set(ngram_occurrences(TEXTS, GlobalNgramSettings())[0].tolist())
    sample, rows, _ = ngram_occurrences(TEXTS, GlobalNgramSettings(sample_one_in=2))
    assert 5 < len(sample) < 29
    assert set(sample.tolist()) < whole
    first, last = (set(sample[rows == row].tolist()) for row in (0, 2))
    assert last <= first


def test_windows_above_the_threshold_go_and_so_do_documents() -> None:
    found = judge([[(0, 7)], [], [(0, 7)]])
    assert found.text.to_pylist() == [f"\nshort\n{OTHER}", "", ""]
    assert found.contained.tolist() == [7, 0, 7]
    assert found.total.tolist() == [26, 0, 8]
    assert found.dropped.tolist() == [False, True, True]


def test_without_seen_ngrams_the_text_stays() -> None:
    assert judge([[], [], []]).text.to_pylist() == TEXTS.to_pylist()


@pytest.mark.parametrize("name", ["min_ngram", "sample_one_in"])
def test_a_wrong_setting_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} = 0"):
        GlobalNgramSettings(**{name: 0})  # type: ignore[arg-type]
