"""Which ids end documents and pad sequences, from the tokenizer's file."""

import json

import pytest

from tests.shared_data import SHARED, needs_shared
from udfs.tokens.special_ids import special_ids
from udfs.tokens.tokenizer import TokenizerSettings, load_encoder, train_tokenizer


@pytest.fixture
def encoder(tmp_path):
    """Build an encoder with these added tokens: (content, special)."""

    def build(*added, words=("!", "a", "b")):
        vocabulary = {word: id for id, word in enumerate(words)}
        names = [content for content, _ in added]
        ids = [vocabulary.get(name, len(vocabulary) + place) for place, name in enumerate(names)]
        tokens = [
            {
                "id": id, "content": content, "special": special, "single_word": False,
                "lstrip": False, "rstrip": False, "normalized": False,
            }
            for id, (content, special) in zip(ids, added, strict=True)
        ]  # fmt: skip
        model = {"type": "BPE", "vocab": vocabulary, "merges": []}
        # Encoders are kept by path.
        path = tmp_path / f"tokenizer-{len(list(tmp_path.iterdir()))}.json"
        path.write_text(json.dumps({"version": "1.0", "added_tokens": tokens, "model": model}))
        return load_encoder(TokenizerSettings(uri=str(path), engine="tokenizers"))

    return build


def found(encoder, end=None, padding=None, like_reference=False):
    ids = special_ids(
        encoder, end_of_text_id=end, padding_id=padding, like_reference=like_reference
    )
    return (ids.end_of_text, ids.end_of_text_id, ids.padding, ids.padding_id)


@pytest.mark.parametrize("name", ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]"])
def test_the_end_of_text_is_found_by_its_name_wherever_it_stands(encoder, name):
    assert found(encoder((name, True))) == (name, 3, name, 3)


def test_a_padding_token_pads(encoder):
    assert found(encoder(("</s>", True), ("<pad>", True))) == ("</s>", 3, "<pad>", 4)


def test_an_ordinary_token_never_ends_a_document(encoder):
    """Id 0 is "!" here, as in GPT-2's vocabulary; it was written at every boundary."""
    with pytest.raises(ValueError, match=r"end_of_text_id = 0: it stands for '!', which texts"):
        found(encoder(("</s>", True)), end=0)


@pytest.mark.parametrize("id", [-1, 4, 50256])
def test_an_id_outside_of_the_vocabulary_is_refused(encoder, id):
    with pytest.raises(ValueError, match=rf"padding_id = {id}: it lies outside of .* 4 ids"):
        found(encoder(("</s>", True)), padding=id)


def test_two_names_are_not_chosen_between(encoder):
    both = encoder(("</s>", True), ("<|endoftext|>", True))
    with pytest.raises(ValueError, match=r"end_of_text_id .* <\|endoftext\|> \(4\), </s> \(3\)"):
        found(both)
    assert found(both, end=4)[:2] == ("<|endoftext|>", 4)


def test_a_tokenizer_without_such_a_name_asks_for_the_setting(encoder):
    with pytest.raises(ValueError, match=r"end_of_text_id is not set.*<\|im_end\|> \(3\)"):
        found(encoder(("<|im_end|>", True)))
    with pytest.raises(ValueError, match="has no special tokens"):
        found(encoder(("</s>", False)))


def test_a_named_token_that_is_not_special_is_no_end_of_text(encoder):
    with pytest.raises(ValueError, match="end_of_text_id is not set"):
        found(encoder(("</s>", False), ("<pad>", True)))


def own_tokenizer(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(train_tokenizer(iter(["the ferry leaves the harbour"]), 300))
    return load_encoder(TokenizerSettings(uri=str(path), engine="tokenizers"))


def test_the_reference_pads_with_22_spaces_where_the_vocabulary_has_them(tmp_path):
    encoder = own_tokenizer(tmp_path)
    assert found(encoder)[2:] == ("<|padding|>", 1)
    spaces = found(encoder, like_reference=True)
    assert spaces[2] == " " * 22
    assert found(encoder, padding=spaces[3], like_reference=True) == spaces
    with pytest.raises(ValueError, match="which texts have too"):
        found(encoder, padding=spaces[3])


@needs_shared
def test_gpt_neox_has_the_ids_of_the_reference():
    uri = str(SHARED / "tokenizers" / "gpt-neox-20b.tokenizer.json")
    encoder = load_encoder(TokenizerSettings(uri=uri, sha256=None, engine="tokenizers"))
    assert found(encoder, like_reference=True) == ("<|endoftext|>", 0, " " * 22, 50256)
    assert found(encoder) == ("<|endoftext|>", 0, "<|padding|>", 1)
    assert found(encoder, end=0, padding=50256, like_reference=True)[3] == 50256
