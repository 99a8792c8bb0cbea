"""A thinned corpus holds whole documents, chosen by key, as packed again."""

import json
import shutil
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from dclm_spark.errors import InputError
from dclm_spark.ranking.budgets.repetition import thinned
from dclm_spark.shard_format import Removals, read_manifest
from dclm_spark.train.data.shard_reader import ShardReader
from tests.dclm_spark.ranking.toy_corpora import documents, tokenizer_file, write_corpus
from tests.dclm_spark.train.shards import remove


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    return write_corpus(folder / "a", documents(1, 900, 14), tokenizer_file(folder))


def pieces_of(manifest: Path) -> dict[bytes, list[tuple[int, ...]]]:
    """Return the pieces of each document: its tokens, as provenance says."""
    facts = read_manifest(str(manifest))
    reader = ShardReader(facts, verify=True)
    found: dict[bytes, list[tuple[int, ...]]] = defaultdict(list)
    for shard in facts.train_shards:
        rows = reader.rows(shard, 0)
        path = manifest.parent / shard.path.replace(".parquet", ".provenance.parquet")
        for span in pq.read_table(path).to_pylist():
            tokens = rows[span["row"], span["start"] : span["start"] + span["num_tokens"]]
            found[span["doc_id"]].append(tuple(tokens.tolist()))
    return dict(found)


def bag(pieces: list[tuple[int, ...]]) -> list[int]:
    return sorted(token for piece in pieces for token in piece)


def test_documents_are_chosen_whole_and_nothing_else_is_there(corpus: Path, tmp_path: Path) -> None:
    whole = pieces_of(corpus)
    part = pieces_of(thinned(str(corpus), 2000, 1, tmp_path))
    # But for the last sequences, which fill no shard.
    cut = [name for name, pieces in part.items() if bag(pieces) != bag(whole[name])]
    assert len(cut) <= 1
    tokens = sum(len(piece) for pieces in part.values() for piece in pieces)
    longest = max(len(bag(pieces)) for pieces in whole.values())
    assert abs(tokens - 2000) <= longest
    assert all(set(bag(pieces)) <= set(bag(whole[name])) for name, pieces in part.items())


def test_the_pieces_of_a_document_follow_each_other_in_the_order_of_its_text(
    corpus: Path, tmp_path: Path
) -> None:
    encoder = Tokenizer.from_file(str(corpus.parents[1] / "tokenizer.json"))
    texts = [[*encoder.encode(text).ids, 0] for text in documents(1, 900, 14)]
    manifest = thinned(str(corpus), 1500, 2, tmp_path)
    part = read_manifest(str(manifest))
    stream = ShardReader(part, verify=True).rows(part.train_shards[0], 0).astype("<u2").tobytes()
    found = sum(np.array(ids, "<u2").tobytes() in stream for ids in texts)
    # But for some that fill two rows or more, whose order shards do not tell, and for cut ones.
    assert found >= 0.8 * len(pieces_of(manifest))


def test_a_smaller_part_lies_within_a_larger_one_and_seeds_choose_differently(
    corpus: Path, tmp_path: Path
) -> None:
    small, large, other = (
        set(pieces_of(thinned(str(corpus), tokens, seed, tmp_path)))
        for tokens, seed in ((1000, 1), (4000, 1), (1000, 2))
    )
    assert len(small - large) <= 1
    assert len(small & other) < 0.5 * len(small)


def test_the_same_part_is_written_once(corpus: Path, tmp_path: Path) -> None:
    path = thinned(str(corpus), 1000, 1, tmp_path)
    before = path.stat().st_mtime_ns
    assert thinned(str(corpus), 1000, 1, tmp_path) == path
    assert path.stat().st_mtime_ns == before


def test_shards_without_provenance_are_refused(corpus: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in corpus.parent.glob("*"):
        if "provenance" not in path.name:
            (bare / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="chosen by its documents"):
        thinned(str(bare / "manifest.json"), 1000, 1, tmp_path / "out")


def test_a_part_of_less_than_a_sequence_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are not one sequence"):
        thinned(str(corpus), 1, 1, tmp_path)


def test_removed_documents_are_not_chosen(corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(corpus.parent, copy)
    manifest = copy / "manifest.json"
    before = set(pieces_of(thinned(str(manifest), 2000, 1, tmp_path)))
    shard = read_manifest(str(manifest)).train_shards[0].path
    spans = [
        span
        for span in pq.read_table(
            copy / shard.replace(".parquet", ".provenance.parquet")
        ).to_pylist()
        if span["doc_id"] in before
    ]
    gone = {span["doc_id"] for span in spans}
    remove(manifest, shard, [(one["row"], one["start"], one["num_tokens"]) for one in spans])
    part = thinned(str(manifest), 2000, 1, tmp_path)
    facts = read_manifest(str(part))
    assert facts.removed == ()
    assert Removals(facts).mask(facts.train_shards[0], 0, 1) is None
    first = read_manifest(str(manifest)).train_shards[0]
    rows = ShardReader(read_manifest(str(manifest)), verify=True).rows(first, 0)
    texts = {
        tuple(rows[one["row"], one["start"] : one["start"] + one["num_tokens"]].tolist())
        for one in spans
    }
    assert gone
    assert not texts & {piece for pieces in pieces_of(part).values() for piece in pieces}


def test_copies_of_a_document_are_chosen_together_and_packed_apart(
    corpus: Path, tmp_path: Path
) -> None:
    """Here each document enters twice: a second shard is the first one again."""
    copy = tmp_path / "copies"
    shutil.copytree(corpus.parent, copy)
    facts = json.loads((copy / "manifest.json").read_text())
    name = facts["shards"][0]["path"]
    beside = name.replace(".parquet", ".provenance.parquet")
    table = pq.read_table(copy / beside)
    facts["shards"] = [facts["shards"][0], facts["shards"][0] | {"path": f"again-{name}"}]
    (copy / f"again-{name}").write_bytes((copy / name).read_bytes())
    for number, path in enumerate((beside, f"again-{beside}")):
        numbers = pa.array([number] * len(table), pa.int32())
        pq.write_table(table.append_column("repeat", numbers), copy / path)
    (copy / "manifest.json").write_text(json.dumps(facts))
    part = thinned(str(copy / "manifest.json"), 1000, 1, tmp_path)
    shard = read_manifest(str(part)).train_shards[0].path
    spans = pq.read_table(part.parent / shard.replace(".parquet", ".provenance.parquet"))
    order = list(zip(spans["doc_id"].to_pylist(), spans["repeat"].to_pylist(), strict=True))
    runs = [one for one, before in zip(order, [None, *order], strict=False) if one != before]
    names = [name for name, _ in runs]
    # Each copy is one run, and few have the other one beside them.
    assert len(runs) == len(set(runs)) > 10
    assert sum(a == b for a, b in pairwise(names)) <= 2
    assert {copy for _, copy in runs} == {0, 1}
