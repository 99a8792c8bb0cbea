"""Held-out texts as shards: those of no corpus, whatever was removed from the corpus."""

import json
from pathlib import Path

from dclm_spark.ranking.heldout_curves import curve_shards
from dclm_spark.ranking.prepared import Corpus
from dclm_spark.shard_format import read_manifest
from dclm_spark.train.data.batches import open_reader
from dclm_spark.train.data.sources import DataSettings
from dclm_spark.train.heldout import heldout_rows
from tests.dclm_spark.ranking.toy_corpora import documents, tokenizer_file, write_corpus
from tests.dclm_spark.train.shards import remove


def test_no_row_of_them_is_left_out_for_what_a_corpus_lost(tmp_path: Path) -> None:
    tokenizer = tokenizer_file(tmp_path)
    manifest = write_corpus(tmp_path / "corpus", documents(1, 60, 14), tokenizer)
    remove(manifest, read_manifest(str(manifest)).shards[0].path, [(0, 0, 33)])
    corpus = Corpus(
        name="a", recipe_hash="", manifest=str(manifest), num_tokens=1, tokenizer="",
        tokenizer_file=str(tokenizer),
    )  # fmt: skip
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"text": documents(2, 1, 100)[0]}))
    curve = curve_shards((str(texts),), corpus, str(tmp_path / "out"))
    assert curve is not None
    facts = read_manifest(curve)
    settings = DataSettings(heldout=curve)
    rows = heldout_rows(settings, [facts], [open_reader(settings, facts)])
    assert rows is not None
    assert len(rows) == sum(shard.num_sequences for shard in facts.shards) > 1
