import gzip
import json
import tarfile

import numpy as np

from dclm_spark.exports.openlm_export import export_openlm
from tests.dclm_spark.train.shards import write_shards


def test_the_tars_hold_every_context_and_the_manifest_ends_with_a_newline(tmp_path):
    rows = np.arange(5 * 9, dtype=np.uint16).reshape(5, 9)
    write_shards(tmp_path, rows, sequences_per_shard=5)
    target = tmp_path / "openlm"
    assert export_openlm(str(tmp_path), str(target), sequences_per_tar=2) == 3
    text = (target / "manifest.jsonl").read_text()
    assert text.endswith("\n")
    entries = [json.loads(line) for line in text.splitlines()]
    assert [entry["num_sequences"] for entry in entries] == [2, 2, 1]
    found = []
    for entry in entries:
        with tarfile.open(target / f"{entry['shard']}.tar") as tar:
            for member in tar:
                assert member.name.endswith(".json.gz")
                found.append(json.loads(gzip.decompress(tar.extractfile(member).read())))
    assert found == rows.tolist()
