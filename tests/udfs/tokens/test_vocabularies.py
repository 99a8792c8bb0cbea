"""Vocabularies beyond 16 bits, of every kind of tokenizer.json in use."""

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from tests.udfs.tokens.vocabularies import byte_level, unigram
from udfs.tokens.id_types import id_type
from udfs.tokens.special_ids import special_ids
from udfs.tokens.tokenizer import TokenizerSettings, encode, load_encoder

TEXTS = ["zzzz yyyy abcd", "Über 你好 zq\n\n", "", "<|endoftext|> <eos> jkjk", "mnop" * 40]


def test_ids_take_16_bits_as_long_as_they_fit():
    assert [id_type(size).name for size in (1, 50_277, 65_536, 65_537, 256_000)] == [
        "uint16", "uint16", "uint16", "uint32", "uint32",
    ]  # fmt: skip


@pytest.mark.parametrize("size", [100_000, 128_256, 152_064, 256_000])
@pytest.mark.parametrize(("make", "end"), [(byte_level, "<|endoftext|>"), (unigram, "<eos>")])
def test_large_vocabularies_give_the_ids_of_the_reference(tmp_path, make, end, size):
    path = tmp_path / "tokenizer.json"
    path.write_text(make(size))
    encoder = load_encoder(TokenizerSettings(uri=str(path)))
    assert encoder.vocabulary_size == size
    assert encoder.id_type == np.dtype("<u4")
    ids, offsets = encode(pa.array(TEXTS), encoder)
    tokenizer = encoder.reference.tokenizer
    for text, (start, stop) in zip(TEXTS, pairwise(offsets), strict=True):
        if "<" not in text:
            encoded = tokenizer.encode(text, add_special_tokens=False).ids
            assert ids[start:stop].tolist() == encoded
        assert tokenizer.decode(ids[start:stop].tolist(), skip_special_tokens=False) == text
    assert not set(ids.tolist()) & set(encoder.special_ids)
    found = special_ids(encoder, end_of_text_id=None, padding_id=None, like_reference=False)
    assert found.end_of_text == end


def test_the_fast_engine_serves_byte_level_vocabularies_of_any_size(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(byte_level(128_256))
    encoder = load_encoder(TokenizerSettings(uri=str(path), engine="gigatoken"))
    ids, _ = encode(pa.array(["kkkk jjjj bqbq"]), encoder)
    assert encoder.fast is not None
    assert (ids > 2**16).any() or ids.max() > 2**14


def test_a_vocabulary_with_gaps_needs_room_for_its_highest_id(tmp_path):
    facts = json.loads(byte_level(1_000))
    facts["added_tokens"][0]["id"] = 70_000
    facts["model"]["vocab"]["<|endoftext|>"] = 70_000
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(facts))
    encoder = load_encoder(TokenizerSettings(uri=str(path), engine="tokenizers"))
    assert (encoder.vocabulary_size, encoder.id_type.name) == (70_001, "uint32")


@pytest.mark.parametrize(
    ("special", "end"),
    [
        (("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"), "<|end_of_text|>"),
        (("<|endoftext|>", "<|im_start|>", "<|im_end|>"), "<|endoftext|>"),
        (("<BOS_TOKEN>", "<EOS_TOKEN>", "<PAD>", "<|END_OF_TURN_TOKEN|>"), "<EOS_TOKEN>"),
        (("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"), "<｜end▁of▁sentence｜>"),
    ],
)
def test_the_end_of_text_of_published_families_is_found_by_name(tmp_path, special, end):
    path = tmp_path / "tokenizer.json"
    path.write_text(byte_level(1_000, special))
    encoder = load_encoder(TokenizerSettings(uri=str(path), engine="tokenizers"))
    found = special_ids(encoder, end_of_text_id=None, padding_id=None, like_reference=False)
    assert found.end_of_text == end
