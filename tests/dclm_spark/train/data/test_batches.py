import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dclm_spark.shard_format import ShardError, ShardManifest, read_manifest
from dclm_spark.train.data.batches import (
    BatchShape,
    Loader,
    document_mask,
    loss_weights,
    open_reader,
)
from dclm_spark.train.data.order import Mixture, SourceOrder, permutation
from dclm_spark.train.data.sources import DataSettings, check_sources
from dclm_spark.train.heldout import heldout_rows
from tests.dclm_spark.train.shards import counting_rows, write_shards

LENGTH = 16


def numbered(num_rows: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Rows that tell their number: the first two tokens are its digits in base 200."""
    rows = np.ones((num_rows, LENGTH + 1), dtype=np.uint16)
    rows[:, 0], rows[:, 1] = np.divmod(np.arange(num_rows), 200)
    return rows


def numbers(tokens: Any) -> list[int]:
    return [int(row[0]) * 200 + int(row[1]) for row in tokens]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Three shards of 300 (row groups of 256 and 44) and a remainder of 30.
    return write_shards(tmp_path_factory.mktemp("corpus"), numbered(930), sequences_per_shard=300)


def shape(sequences: int, manifests: list[ShardManifest], cut: int = 1) -> BatchShape:
    length = manifests[0].sequence_length // cut
    return BatchShape(sequences=sequences, sequence_length=length, seed=1)


def loader(*paths: Path, batch: int = 12, **options: Any) -> Loader:
    ranks = {name: options.pop(name) for name in ("rank", "num_ranks") if name in options}
    manifests = [read_manifest(str(path)) for path in paths]
    return Loader(DataSettings(**options), manifests, shape(batch, manifests), **ranks)


def test_one_epoch_serves_every_training_sequence_once(corpus: Path) -> None:
    seen = [n for step in range(75) for n in numbers(loader(corpus).batch(step).tokens)]
    assert sorted(seen) == list(range(900))
    assert seen != sorted(seen)


def test_the_second_epoch_has_another_order_of_the_same_sequences(corpus: Path) -> None:
    reader = loader(corpus, window_shards=2)
    first, second = (
        [n for step in range(75) for n in numbers(reader.batch(epoch * 75 + step).tokens)]
        for epoch in (0, 1)
    )
    assert first != second
    assert sorted(first) == sorted(second)


@pytest.mark.parametrize("num_ranks", [2, 3, 4])
def test_any_number_of_ranks_sees_the_same_batches(corpus: Path, num_ranks: int) -> None:
    whole = loader(corpus)
    parts = [loader(corpus, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    for step in (0, 21, 80):
        joined = np.concatenate([part.batch(step).tokens for part in parts])
        assert np.array_equal(joined, whole.batch(step).tokens)


def test_a_batch_that_ranks_cannot_share_is_refused(corpus: Path) -> None:
    with pytest.raises(ValueError, match="batch_sequences = 12: must be a multiple of the 5 ranks"):
        loader(corpus, num_ranks=5)


def test_a_batch_does_not_depend_on_what_was_read_before(corpus: Path) -> None:
    used = loader(corpus)
    for step in range(40):
        used.batch(step)
    assert np.array_equal(used.batch(40).tokens, loader(corpus).batch(40).tokens)


def test_reading_ahead_changes_nothing(corpus: Path) -> None:
    ahead = [batch.tokens for batch in loader(corpus, prefetch_batches=5).batches(3, 20)]
    for step, tokens in zip(range(3, 20), ahead, strict=True):
        assert np.array_equal(tokens, loader(corpus).batch(step).tokens)


def test_a_batch_knows_the_shard_and_row_of_each_sequence(corpus: Path) -> None:
    batch = loader(corpus).batch(7)
    assert (batch.shards * 300 + batch.rows).tolist() == numbers(batch.tokens)


@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=6), st.integers(1, 4),
    st.sampled_from([1, 2, 8]), st.data(),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_the_order_is_a_permutation_however_it_is_cut(
    sizes: list[int], window: int, groups: int, data: Any
) -> None:
    order = SourceOrder(sizes, seed=3, window_shards=window, interleaved_groups=groups)
    cut = data.draw(st.integers(0, order.num_sequences))
    total = order.num_sequences

    def listed(start: int, stop: int) -> list[tuple[int, int]]:
        return [
            (piece.shard, piece.group * 256 + int(row))
            for piece in order.pieces(start, stop)
            for row in piece.rows
        ]

    found = listed(0, cut) + listed(cut, total)
    assert sorted(found) == [(s, row) for s, size in enumerate(sizes) for row in range(size)]
    assert found == listed(0, total)


def test_groups_take_turns_of_32_rows() -> None:
    order = SourceOrder([600], seed=3, window_shards=1, interleaved_groups=2)
    pieces = order.pieces(0, 600)
    first, second = pieces[0].group, pieces[1].group
    last = ({0, 1, 2} - {first, second}).pop()
    sizes = {0: 256, 1: 256, 2: 88}
    # A group that has no more rows leaves its turns to the other.
    turns = [g for row in range(0, 256, 32) for g in (first, second) if row < sizes[g]]
    expected = [*turns, *(last for row in range(0, sizes[last], 32))]
    assert [piece.group for piece in pieces] == expected
    assert {len(piece.rows) for piece in pieces} == {32, 88 % 32}


def test_a_rank_unpacks_a_group_once_for_the_steps_that_take_from_it(tmp_path: Path) -> None:
    path = write_shards(tmp_path, numbered(2048), sequences_per_shard=2048)

    def groups_read(**options: Any) -> list[int]:
        read = []
        for rank in range(8):
            reader = loader(path, batch=256, rank=rank, num_ranks=8, **options)
            unpack, seen = reader._readers[0]._read, []
            reader._readers[0]._read = lambda *where, seen=seen, unpack=unpack: (
                seen.append(where) or unpack(*where)
            )
            rows = [n for step in range(8) for n in numbers(reader.batch(step).tokens)]
            assert len(set(rows)) == 256
            read.append(len(seen))
        return read

    assert groups_read() == [1] * 8
    assert groups_read(interleaved_groups=1) == [8] * 8


def test_a_number_of_groups_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="interleaved_groups = 0: must be 1 or more, or null"):
        DataSettings(interleaved_groups=0)


def test_permutations_stay_the_same_forever() -> None:
    assert permutation(8, 1, 2, 3).tolist() == [0, 7, 2, 3, 4, 1, 6, 5]


@given(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=4), st.integers(1, 20_000))
@settings(max_examples=40, deadline=None)
def test_a_mixture_keeps_its_weights_and_reads_each_source_in_order(
    weights: list[float], num_sequences: int
) -> None:
    mixture = Mixture(weights, seed=5)
    sources, positions = mixture.assign(0, num_sequences)
    for source, needed in enumerate(mixture.needed(num_sequences)):
        assert positions[sources == source].tolist() == list(range(needed))
    whole = mixture.needed(4096)
    for weight, count in zip(weights, whole, strict=True):
        assert abs(count - 4096 * weight / sum(weights)) < 1


def test_two_sources_are_mixed_by_their_weights(corpus: Path, tmp_path: Path) -> None:
    other = write_shards(tmp_path, numbered(200), sequences_per_shard=100)
    reader = loader(corpus, other, weights=(3.0, 1.0), passes=20.0)
    sources = np.concatenate([reader.batch(step).sources for step in range(300)])
    assert abs(sources.mean() - 0.25) < 0.01


@pytest.mark.parametrize("weights", [(1.0, 0.0), (1.0, -1.0), (1.0, 1e-9)])
def test_a_weight_that_cannot_be_honored_is_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"data\.weights"):
        Mixture(weights, seed=1)


def test_a_budget_beyond_the_corpus_is_refused_with_the_passes_it_needs(corpus: Path) -> None:
    loader(corpus).check_budget(75)
    with pytest.raises(ShardError, match=r"14,400 tokens exist.*--set data\.passes=1\.02"):
        loader(corpus).check_budget(76)
    loader(corpus, passes=1.02).check_budget(76)


def test_sequences_of_another_length_are_refused(corpus: Path) -> None:
    with pytest.raises(ShardError, match=r"sequences of 16 tokens.*sequence_length = 2048"):
        check_sources([read_manifest(str(corpus))], sequence_length=2048)
    manifest = read_manifest(str(corpus))
    other = dataclasses.replace(manifest, sequence_length=2 * manifest.sequence_length)
    with pytest.raises(ShardError, match="sources need one length"):
        check_sources([other, manifest], sequence_length=2 * manifest.sequence_length)


def test_sources_of_different_tokenizers_are_refused(corpus: Path) -> None:
    manifest = read_manifest(str(corpus))
    other = dataclasses.replace(manifest, tokenizer_sha256="1" * 64)
    with pytest.raises(ShardError, match="one tokenizer"):
        check_sources([manifest, other], sequence_length=LENGTH)


def test_a_corpus_smaller_than_a_shard_is_refused(tmp_path: Path) -> None:
    path = write_shards(tmp_path, numbered(5), sequences_per_shard=10)
    with pytest.raises(ShardError, match="no full shard"):
        check_sources([read_manifest(str(path))], sequence_length=LENGTH)


def test_a_shard_with_one_changed_byte_is_refused_by_name(tmp_path: Path) -> None:
    path = write_shards(tmp_path, numbered(20), sequences_per_shard=10)
    shard = tmp_path / "shard-00001.parquet"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ShardError, match=r"shard-00001\.parquet: corrupt, its SHA-256"):
        [loader(path, batch=5).batch(step) for step in range(4)]


def test_a_damaged_shard_is_noticed_without_checksums_too(tmp_path: Path) -> None:
    path = write_shards(tmp_path, numbered(10), sequences_per_shard=10)
    (tmp_path / "shard-00000.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ShardError, match="not a readable Parquet file"):
        loader(path, batch=5, verify_checksums=False).batch(0)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    path = write_shards(tmp_path, numbered(10), sequences_per_shard=10)
    (tmp_path / "shard-00000.parquet").unlink()
    with pytest.raises(ShardError, match=r"shard-00000\.parquet.*does not exist"):
        loader(path, batch=5).batch(0)


def test_a_token_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    rows = numbered(10)
    rows[3, 3] = 250
    path = write_shards(tmp_path, rows, sequences_per_shard=10)
    with pytest.raises(ShardError, match=r"token id 250 .* outside the manifest's vocabulary"):
        loader(path, batch=5).batch(0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("format", "other", "its format is 'other', and training, ranking"),
        ("version", 3, "version = 3"),
        ("dtype", "int32", "dtype = 'int32'"),
        ("tokens_per_row", 16, "must be sequence_length"),
    ],
)
def test_a_manifest_that_promises_something_else_is_refused(
    tmp_path: Path, name: str, value: object, message: str
) -> None:
    path = write_shards(tmp_path, numbered(10), sequences_per_shard=10)
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(ShardError, match=message):
        read_manifest(str(tmp_path))


def test_the_fingerprint_changes_with_any_shard(corpus: Path) -> None:
    manifest = read_manifest(str(corpus))
    changed = dataclasses.replace(manifest.shards[1], sha256="0" * 64)
    other = dataclasses.replace(
        manifest, shards=(manifest.shards[0], changed, *manifest.shards[2:])
    )
    assert other.fingerprint != manifest.fingerprint


def test_held_out_rows_are_those_that_training_never_reads(corpus: Path) -> None:
    manifest = read_manifest(str(corpus))
    wanted = DataSettings(heldout_sequences=20)
    rows = heldout_rows(wanted, [manifest], [open_reader(wanted, manifest)])
    assert rows is not None
    assert numbers(rows) == list(range(900, 920))


def test_only_trailing_padding_weighs_nothing() -> None:
    tokens = torch.tensor([[5, 9, 7, 9, 9], [5, 6, 7, 8, 8]])
    assert loss_weights(tokens, 9).tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


def test_attention_stays_inside_a_document_and_its_end_token() -> None:
    mask = document_mask(torch.tensor([[5, 0, 6, 7]]), end_of_text_id=0)[0, 0].int()
    assert mask.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_longer_rows_are_cut_and_every_token_is_predicted_once(tmp_path: Path) -> None:
    path = write_shards(tmp_path, counting_rows(40, 32), sequences_per_shard=40)
    manifests = [read_manifest(str(path))]
    whole = Loader(DataSettings(), manifests, shape(6, manifests), rank=1, num_ranks=2).batch(2)
    quarter = shape(24, manifests, cut=4)
    cut = Loader(DataSettings(), manifests, quarter, rank=1, num_ranks=2).batch(2)
    assert cut.tokens.shape == (12, 9)
    inputs, targets = cut.tokens[:, :-1].reshape(3, 32), cut.tokens[:, 1:].reshape(3, 32)
    assert (inputs == whole.tokens[:, :-1]).all()
    assert (targets == whole.tokens[:, 1:]).all()
    assert cut.rows.tolist() == np.repeat(whole.rows, 4).tolist()
    with pytest.raises(ValueError, match="2 ranks x 4 sequences in a row"):
        Loader(DataSettings(), manifests, shape(12, manifests, cut=4), num_ranks=2)


def test_skipped_windows_move_later_batches_up(corpus: Path) -> None:
    plain = loader(corpus)
    skipping = loader(corpus, skip_steps=((2, 4), (5, 6)), start_step=10)
    expected = [plain.batch(step).tokens.tolist() for step in (0, 1, 4, 6)]
    assert [skipping.batch(step).tokens.tolist() for step in range(10, 14)] == expected


def test_remote_shards_are_fetched_once_into_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shards(tmp_path / "bucket", numbered(20), sequences_per_shard=10)
    fetched: list[str] = []

    def fetch(path: str) -> bytes:
        fetched.append(path)
        return (tmp_path / path.removeprefix("s3://")).read_bytes()

    monkeypatch.setattr("dclm_spark.train.data.shard_reader.read_bytes", fetch)
    monkeypatch.setattr("udfs.storage.read_bytes", fetch)
    for _ in range(2):
        reader = Loader(
            DataSettings(cache_directory=str(tmp_path / "cache")),
            [manifest := read_manifest("s3://bucket")],
            shape(5, [manifest]),
        )
        seen = [n for step in range(4) for n in numbers(reader.batch(step).tokens)]
        assert sorted(seen) == list(range(20))
    assert len([path for path in fetched if path.endswith("parquet")]) == 2
