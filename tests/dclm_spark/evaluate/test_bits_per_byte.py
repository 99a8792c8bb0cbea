import gzip
import json
import math
from pathlib import Path

import pytest
import zstandard

from dclm_spark.errors import InputError
from dclm_spark.evaluate.bits_per_byte import bits_per_byte, read_texts, score_texts
from dclm_spark.evaluate.tokens import PromptEncoder
from tests.dclm_spark.evaluate.fakes import Bytes, LengthScorer


@pytest.mark.parametrize("batch_tokens", [1, 30, 8192])
@pytest.mark.parametrize("max_tokens", [4, 7, 2048])
def test_windows_of_any_length_score_every_token_once(max_tokens: int, batch_tokens: int) -> None:
    texts = ["hello world", "é", ""]
    records = list(
        score_texts(LengthScorer(), PromptEncoder(Bytes(), 0), texts, max_tokens, batch_tokens)
    )
    nats = [sum(byte + 1 for byte in text.encode()) / 100 for text in texts]
    assert [record["nats"] for record in records] == pytest.approx(nats)
    assert [record["bytes"] for record in records] == [11, 2, 0]
    value = bits_per_byte("t", [records]).values()[0]
    assert value == pytest.approx(sum(nats) / math.log(2) / 13)


def test_texts_come_from_plain_and_compressed_lines(tmp_path: Path) -> None:
    lines = (json.dumps({"text": "a"}) + "\n" + json.dumps({"text": "b"}) + "\n").encode()
    (tmp_path / "t.jsonl").write_bytes(lines)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "t.jsonl.zst").write_bytes(zstandard.compress(lines))
    for name in ("t.jsonl", "t.jsonl.gz", "t.jsonl.zst"):
        assert read_texts(str(tmp_path / name)) == ["a", "b"]
    with pytest.raises(InputError, match=r"none\.jsonl"):
        read_texts(str(tmp_path / "none.jsonl"))


def test_damage_costs_what_it_hits_and_a_file_that_is_half_lost_is_refused(tmp_path: Path) -> None:
    good = [json.dumps({"text": f"text {n}"}).encode() + b"\n" for n in range(6)]
    packed = [
        zstandard.compress(b"\xef\xbb\xbf" + good[0] + b"{broken\n"),
        zstandard.compress(good[1]),
    ]
    path = tmp_path / "t.jsonl.zst"
    path.write_bytes(
        packed[0] + b"\x50\x2a\x4d\x18\x02\0\0\0ab" + packed[1] + zstandard.compress(good[2])
    )
    assert read_texts(str(path)) == ["text 0", "text 1", "text 2"]
    damaged = bytearray(gzip.compress(b"".join(good[:4]), mtime=0))
    damaged[20] ^= 255
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(bytes(damaged) + gzip.compress(good[4] + good[5]) + b"junk")
    with pytest.raises(InputError, match="damaged gzip member"):
        read_texts(str(path))
    path.write_text('{"text": 1}\n{"text": "a \\ud83d"}\n{"text": "b"}\n')
    assert read_texts(str(path)) == ["a \ufffd", "b"]
