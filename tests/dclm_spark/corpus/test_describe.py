"""What a description calls a corpus, whichever trainer its shards are for."""

import json
from pathlib import Path

from dclm_spark.corpus.describe import _fingerprint
from dclm_spark.shard_format import read_manifest
from tests.dclm_spark.train.shards import counting_rows, write_shards


def test_shards_of_every_format_have_a_fingerprint(tmp_path: Path) -> None:
    path = write_shards(tmp_path, counting_rows(4, 32), sequences_per_shard=4)
    assert _fingerprint(str(tmp_path)) == read_manifest(str(path)).fingerprint
    path.write_text(json.dumps({"format": "megatron", "fingerprint": "abc"}))
    assert _fingerprint(str(tmp_path)) == "abc"
