"""Passages in plain kernels: what is shared is found, what is not is left, one copy stays."""

import random
from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.dedup.passages import (
    PassageSettings,
    passage_keys,
    remove_passages,
    repeated_sentences,
)

SETTINGS = PassageSettings(min_size_bytes=100)


def prose(seed, count):
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(10**5)}" for _ in range(count))


def deduplicated(texts, how=SETTINGS):
    """Find the first of each passage in plain Python, as the shuffle does; return what is left."""
    column = pa.array(texts, pa.string())
    keys, rows, places = passage_keys(column, how)
    seen, copies = set(), defaultdict(list)
    for key, row, (first, last) in zip(keys.tolist(), rows.tolist(), places.tolist(), strict=True):
        if key in seen:
            copies[row].append({"first": first, "last": last})
        seen.add(key)
    kind = pa.list_(pa.struct([("first", pa.int32()), ("last", pa.int32())]))
    lists = pa.array([copies.get(row) for row in range(len(texts))], kind)
    return remove_passages(column, lists, how)


def test_a_shared_passage_goes_from_the_later_text_but_for_its_edges():
    shared = prose("shared", 120)
    texts = [f"{prose(1, 40)} {shared} {prose(2, 40)}", f"{prose(3, 40)} {shared}, {prose(4, 40)}"]
    found = deduplicated(texts)
    first, second = found.text.to_pylist()
    assert first == texts[0]
    assert set(prose(3, 40).split()) | set(prose(4, 40).split()) <= set(second.split())
    left = [word for word in shared.split() if word in second.replace(",", "").split()]
    assert len(left) < 0.25 * 120
    ((span,),) = [found.removed_spans[1].as_py()]
    data = texts[1].encode()
    assert second.encode() == data[: span["start"]] + data[span["end"] :]
    assert span["end"] - span["start"] == found.removed_size_bytes[1] >= 100


def test_what_is_shared_but_shorter_stays():
    shared = prose("short", 12)
    texts = [f"{prose(1, 40)} {shared} {prose(2, 40)}", f"{prose(3, 40)} {shared} {prose(4, 40)}"]
    assert len(shared) < 100
    assert deduplicated(texts).text.to_pylist() == texts


def test_copies_with_other_punctuation_and_case_go_whole():
    text = prose("copy", 80)
    found = deduplicated([text, text.upper().replace(" ", ", ") + "!", "other words"])
    assert found.dropped.tolist() == [False, True, False]
    assert found.text.to_pylist() == [text, "", "other words"]
    assert found.contained.tolist() == [0, found.total[1], 0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=120), min_size=1, max_size=6))
def test_every_word_that_goes_stays_somewhere_before(letters):
    texts = [" ".join(f"{letter}{letter}word" for letter in one) for one in letters]
    found = deduplicated(texts, PassageSettings(min_size_bytes=50))
    left = [text.split() for text in found.text.to_pylist()]
    for row, text in enumerate(texts):
        for word in set(text.split()):
            assert any(word in one for one in left[: row + 1])


@pytest.mark.parametrize("text", ["", " ", "caf\u00e9 \u4e00\u4e8c", None])
def test_short_and_empty_texts_stay_as_they_are(text):
    found = deduplicated([text])
    assert found.text.to_pylist() == [text or ""]
    assert not found.dropped.any()


def test_sentences_that_a_text_repeats_are_found_by_their_bytes():
    once = "Caf\u00e9 opens at nine today. It is new."
    text = f"{once} CAF\u00c9 opens  at nine today. It is new. End"
    spans = repeated_sentences(text, 5)
    assert [text.encode()[a:b].decode() for a, b in spans] == ["CAF\u00c9 opens  at nine today. "]
    ((start, end),) = repeated_sentences(text, 3)
    assert text.encode()[start:end].decode() == "CAF\u00c9 opens  at nine today. It is new. "
    found = deduplicated([text], PassageSettings(repeated_sentence_words=5))
    assert found.text.to_pylist() == [f"{once} It is new. End"]
