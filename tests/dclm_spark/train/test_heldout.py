import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from dclm_spark.settings import override
from dclm_spark.shard_format import ShardError, read_manifest
from dclm_spark.train.heldout import token_byte_lengths
from dclm_spark.train.logs import read_log
from dclm_spark.train.model import load
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.ranks import end, start_ranks
from tests.dclm_spark.train.shards import counting_rows, write_shards
from tests.udfs.tokens.vocabularies import byte_level, unigram
from udfs.tokens.tokenizer import train_tokenizer

END_OF_TEXT, PADDING = 0, 1
# Three rows: a number that two ranks cannot share evenly.
TEXTS = ["Grüße an die Bäckerei", "two  spaces, a naïve 日本", "an 🙂"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(train_tokenizer(iter(TEXTS * 3), vocabulary_size=300))
    return path


@pytest.fixture(scope="module")
def heldout(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each text as a row: the end of another document, the text, its end, padding."""
    rows = np.full((len(TEXTS), 33), PADDING, np.uint16)
    for row, text in zip(rows, TEXTS, strict=True):
        ids = Tokenizer.from_file(str(tokenizer)).encode(text).ids
        row[: len(ids) + 2] = [END_OF_TEXT, *ids, END_OF_TEXT]
    directory = tmp_path_factory.mktemp("heldout")
    return of_tokenizer(write(directory, rows), tokenizer)


@pytest.fixture(scope="module")
def shards(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shards")
    return of_tokenizer(write(directory, counting_rows(80, 32)), tokenizer)


def write(directory: Path, rows: "np.ndarray[tuple[int, int], np.dtype[np.uint16]]") -> Path:
    return write_shards(
        directory, rows, sequences_per_shard=80, vocabulary_size=300, padding_id=PADDING
    )


def of_tokenizer(manifest: Path, tokenizer: Path) -> Path:
    facts = json.loads(manifest.read_text())
    facts["tokenizer_sha256"] = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(facts))
    return manifest


def expected_bits_per_byte(run: Path, tokenizer: Path) -> float:
    """Score one token at a time and count the bytes of the texts, not of their tokens."""
    model, _ = load(run)
    nats = 0.0
    for text in TEXTS:
        before = [END_OF_TEXT]
        for token in Tokenizer.from_file(str(tokenizer)).encode(text).ids:
            logits = model(torch.tensor([before]))[0, -1].double()
            nats -= float(logits[token] - logits.logsumexp(0))
            before.append(token)
    return nats / math.log(2) / sum(len(text.encode()) for text in TEXTS)


def heldout_lines(run: Path) -> list[dict[str, float]]:
    return [line for line in read_log(run / "log.jsonl") if line["kind"] == "heldout"]


@pytest.mark.long
def test_bits_per_byte_are_the_nats_of_the_texts_over_their_bytes_on_one_rank_and_on_two(
    shards: Path, heldout: Path, tokenizer: Path, tmp_path: Path
) -> None:
    chosen = [f"data.heldout={heldout}", f"data.tokenizer={tokenizer}"]
    result = train(override(scale("test"), chosen), shards=shards, output=tmp_path)
    assert result.heldout_bits_per_byte is not None
    expected = expected_bits_per_byte(tmp_path, tokenizer)
    assert result.heldout_bits_per_byte == pytest.approx(expected, rel=1e-5)
    # Nothing is left to train: two ranks measure the very same weights once more.
    for code, errors in end(start_ranks(shards, tmp_path, 2, *chosen)):
        assert code == 0, errors
    alone, together = heldout_lines(tmp_path)[-2:]
    assert alone["step"] == together["step"] == 20
    assert together["num_tokens"] == alone["num_tokens"]
    for name in ("loss", "bits_per_byte"):
        assert together[name] == pytest.approx(alone[name], rel=1e-6)


def test_another_tokenizer_than_the_shards_is_refused(
    shards: Path, heldout: Path, tmp_path: Path
) -> None:
    other = tmp_path / "tokenizer.json"
    other.write_text(train_tokenizer(iter(["other texts"]), vocabulary_size=280))
    settings = override(scale("test"), [f"data.heldout={heldout}", f"data.tokenizer={other}"])
    with pytest.raises(ShardError, match=r"data\.tokenizer = .* was made with"):
        train(settings, shards=shards, output=tmp_path / "out")


@pytest.mark.parametrize("make", [unigram, byte_level])
def test_tokens_of_any_kind_stand_for_the_bytes_of_their_text(make, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(make(2000))
    directory = tmp_path / "shards"
    manifest = write_shards(
        directory, counting_rows(4, 8), sequences_per_shard=4, vocabulary_size=2000, padding_id=0
    )
    lengths = token_byte_lengths(str(path), read_manifest(str(of_tokenizer(manifest, path))))
    for text in TEXTS:
        assert lengths[Tokenizer.from_file(str(path)).encode(text).ids].sum() == len(text.encode())
    facts = json.loads(path.read_text())
    facts |= {"normalizer": None, "decoder": None, "pre_tokenizer": None}
    path.write_text(json.dumps(facts))
    with pytest.raises(ShardError, match="neither byte-level BPE nor SentencePiece"):
        token_byte_lengths(str(path), read_manifest(str(of_tokenizer(manifest, path))))
