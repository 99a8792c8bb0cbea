from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shared_data import SHARED, needs_shared
from udfs.tokens.tokenizer import (
    TokenizerSettings,
    count_special_literals,
    encode,
    load_encoder,
    probe_texts,
    train_tokenizer,
)

TOPICS = [
    f"Section {n}: a tokenizer learns {n * 7} merges of bytes.\n    indent" for n in range(200)
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(train_tokenizer(iter(TOPICS), 600))
    return TokenizerSettings(uri=str(path))


def lists(texts, encoder):
    ids, offsets = encode(pa.array(texts, pa.large_string()), encoder)
    return [ids[a:b].tolist() for a, b in pairwise(offsets)]


def reference(texts, encoder):
    tokenizer = encoder.reference.tokenizer
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def test_the_fast_engine_is_in_use(settings):
    assert load_encoder(settings).fast is not None


def test_training_is_repeatable():
    assert train_tokenizer(iter(TOPICS), 400) == train_tokenizer(iter(TOPICS), 400)


@given(texts=st.lists(st.text(max_size=40), max_size=5))
def test_ids_equal_those_of_the_reference(settings, texts):
    encoder = load_encoder(settings)
    assert lists(texts, encoder) == reference(texts, encoder)


def test_a_literal_special_token_is_ordinary_text(settings):
    encoder = load_encoder(settings)
    texts = ["a <|endoftext|> b", "plain", "<|padding|><|endoftext|>"]
    found = lists(texts, encoder)
    assert all(not {0, 1} & set(ids) for ids in found)
    assert [
        encoder.reference.tokenizer.decode(ids, skip_special_tokens=False) for ids in found
    ] == texts
    assert found[1] == reference(["plain"], encoder)[0]
    assert count_special_literals(pa.array(texts), encoder) == 3


def test_null_and_empty_texts_have_no_ids(settings):
    ids, offsets = encode(pa.array([None, "", "x"], pa.string()), load_encoder(settings))
    assert offsets.tolist() == [0, 0, 0, len(ids)]


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="engine = 'fast': expected one of"):
        TokenizerSettings(engine="fast")


@needs_shared
def test_gpt_neox_ids_equal_those_of_the_reference():
    uri = str(SHARED / "tokenizers" / "gpt-neox-20b.tokenizer.json")
    fast = load_encoder(TokenizerSettings(uri=uri, engine="gigatoken"))
    slow = load_encoder(TokenizerSettings(uri=uri, engine="tokenizers"))
    texts = pa.array(probe_texts())
    for left, right in zip(encode(texts, fast), encode(texts, slow), strict=True):
        assert np.array_equal(left, right)
    assert fast.vocabulary_size == 50277
