"""Token shards of every format, each read as its trainer reads it; 32-bit ids, trained on."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest

from dclm_spark.beginning import stages_below
from dclm_spark.errors import SettingError
from dclm_spark.exports.openlm_export import export_openlm
from dclm_spark.pipeline import write_corpus
from dclm_spark.ranking.corpora import check_names
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.sample.sample_run import prepare_sample
from dclm_spark.settings import override
from dclm_spark.shard_format import ShardError, read_manifest
from dclm_spark.signals.decision import Decision
from dclm_spark.signals.scored_documents import Candidates
from dclm_spark.stages.select import select
from dclm_spark.stages.tokenize import TokenSettings, tokenize, with_special_ids
from dclm_spark.train.data.shard_reader import ShardReader
from tests.dclm_spark.dedup.committed import committed
from tests.udfs.tokens.vocabularies import byte_level
from udfs.shards import shard_formats as formats
from udfs.shards.format import ShardFormat
from udfs.tokens.order import document_keys
from udfs.tokens.tokenizer import TokenizerSettings, load_encoder
from udfs.units.file_output import FileOutput

pytestmark = pytest.mark.spark
VOCABULARY, END = 128_256, 128_255
LETTERS = "qrstuvwxyz"
TEXTS = [
    " ".join(LETTERS[(place + step) % 10] * 4 for step in range(1 + place % 23))
    for place in range(90)
]


@pytest.fixture(scope="module")
def corpus(spark, tmp_path_factory):
    """Documents, the select stage that keeps all of them, and settings of three cells."""
    folder = tmp_path_factory.mktemp("corpus")
    path = folder / "tokenizer.json"
    path.write_text(byte_level(VOCABULARY))
    documents = committed(folder / "documents", TEXTS)
    settings = TokenSettings(
        tokenizer=TokenizerSettings(uri=str(path)),
        sequence_length=32,
        sequences_per_shard=8,
        cell_size_bytes=sum(map(len, TEXTS)) // 3 + 1,
    )
    selected = select(spark, Candidates(documents=documents), Decision(), str(folder / "select"))
    return documents, selected, with_special_ids(settings, "none")


@pytest.fixture(scope="module")
def tokenized(spark, corpus, tmp_path_factory):
    return tokenize(spark, *corpus, str(tmp_path_factory.mktemp("tokens") / "tokenize"))


@pytest.fixture
def written(spark, corpus, tokenized, tmp_path):
    """Write the corpus in a format, by its name in recipes, through what a run calls."""
    documents, selected, settings = corpus

    def write(*assignments):
        tokens = override(settings, assignments)
        recipe = replace(load_recipe("raw"), tokens=tokens)
        place = stages_below(str(tmp_path))
        shared = {"tokenize": tokenized.directory}
        return write_corpus(
            spark, recipe, documents, selected, lambda stage: shared.get(stage) or place(stage)
        )

    return write


def expected(corpus):
    """The ids of all documents in the order of the seed, each with its end of text."""
    documents, _, settings = corpus
    table = pq.ParquetDataset([file["uri"] for file in documents.files("kept/")]).read()
    keys = document_keys(table["doc_id"].combine_chunks(), settings.seed)
    # Within a cell by the key as a signed number; cells are ranges of it as an unsigned one.
    cells = (keys >> np.uint64(32)) * np.uint64(3) >> np.uint64(32)
    order = sorted(range(len(keys)), key=lambda row: (cells[row], keys.view(np.int64)[row]))
    tokenizer = load_encoder(settings.tokenizer).reference.tokenizer
    texts = table["text"].to_pylist()
    return [[*tokenizer.encode(texts[row]).ids, END] for row in order]


def shard_paths(manifest, directory, role="train"):
    return [f"{directory}/{s['path']}" for s in manifest["shards"] if s["role"] == role]


@pytest.mark.long
def test_a_large_vocabulary_is_trained_on_from_32_bit_shards(corpus, written, tmp_path):
    from dclm_spark.train.scales import scale
    from dclm_spark.train.trainer import train

    _, shards, facts = written()
    assert (facts["dtype"], facts["vocabulary_size"]) == ("uint32", VOCABULARY)
    manifest = read_manifest(shards.directory)
    reader = ShardReader(manifest, verify=True)
    rows = np.concatenate([reader.rows(shard, 0) for shard in manifest.shards])
    assert rows.shape[1] == 33
    assert rows.max() == END > 2**16
    counts = np.bincount(np.concatenate(expected(corpus)))
    padded = np.bincount(rows.ravel())
    padded[END] -= facts["num_padding_tokens"]
    assert (padded == counts).all()
    settings = override(scale("test"), ["tokens=640", "model.width=16"])
    result = train(settings, shards=Path(shards.directory), output=tmp_path / "model")
    assert result.uniform_loss == pytest.approx(np.log(VOCABULARY))
    export_openlm(shards.directory, str(tmp_path / "tars"), sequences_per_tar=1000)
    assert (tmp_path / "tars" / "shard_00000000.tar").stat().st_size > len(rows) * 33


def test_megatron_reads_the_documents_in_their_order(corpus, written):
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    _, shards, manifest = written("format=megatron")
    found = []
    for path in shard_paths(manifest, shards.directory):
        dataset = IndexedDataset(path.removesuffix(".bin"))
        assert dataset.document_indices.tolist() == list(range(len(dataset) + 1))
        found += [dataset[number].tolist() for number in range(len(dataset))]
    assert found == expected(corpus)
    assert manifest["num_tokens"] == sum(map(len, found))
    with pytest.raises(ShardError, match="its format is 'megatron'"):
        read_manifest(shards.directory)


def test_olmo_maps_the_same_ids_into_memory(corpus, written):
    """As in OLMo-core 3.0, olmo_core/data/utils.py (load_array_slice, iter_document_indices)."""
    import gzip

    _, shards, manifest = written("format=olmo")
    found = []
    for path in shard_paths(manifest, shards.directory):
        ids = np.memmap(path, mode="r", dtype=np.dtype(manifest["dtype"]))
        with gzip.open(path.replace(".npy", ".csv.gz"), "rt") as lines:
            spans = [tuple(map(int, line.split(","))) for line in lines]
        assert spans[-1][1] == len(ids)
        found += [ids[start:end].tolist() for start, end in spans]
    assert found == expected(corpus)


def test_hugging_face_datasets_read_packed_input_ids(corpus, written, tmp_path):
    import datasets

    _, shards, manifest = written("format=huggingface", "sequence_length=16")
    rows = datasets.load_dataset(
        "parquet", data_dir=f"{shards.directory}/data", split="train", cache_dir=str(tmp_path / "c")
    )
    assert rows.features["input_ids"].feature.dtype == "int32"
    assert {len(row) for row in rows["input_ids"]} == {16}
    ids = np.concatenate(rows["input_ids"])
    counts = np.bincount(ids)
    counts[END] -= manifest["num_padding_tokens"]
    assert (counts == np.bincount(np.concatenate(expected(corpus)))).all()


@pytest.mark.parametrize("name", ["megatron", "olmo", "huggingface"])
def test_provenance_says_which_document_a_row_is(corpus, written, name):
    tokenized, shards, _ = written(f"format={name}")
    files = [file["uri"] for file in shards.files("") if "provenance" in file["path"]]
    table = pq.ParquetDataset(files).read()
    tokens = table.group_by("doc_id").aggregate([("num_tokens", "sum")]).to_pylist()
    source = pq.ParquetDataset([file["uri"] for file in tokenized.files("tokens/")]).read()
    counts = zip(source["doc_id"].to_pylist(), source["num_tokens"].to_pylist(), strict=True)
    assert {one["doc_id"]: one["num_tokens_sum"] - 1 for one in tokens} == dict(counts)


@pytest.mark.parametrize("name", ["megatron", "olmo", "huggingface"])
def test_a_run_that_was_killed_goes_on_with_the_shards_that_it_lacks(written, name, caplog):
    _, shards, manifest = written(f"format={name}")
    first = shards.unit_names[0]
    Path(shards.directory, "manifests", f"{first}.json").unlink()
    for file in shards.files(""):
        if file["unit"] == first:
            Path(file["uri"]).write_bytes(b"half of a sh")
    Path(shards.directory, "shard-99999.bin").write_bytes(b"of a larger corpus")
    kept = Path(shards.directory, "manifests", f"{shards.unit_names[1]}.json")
    before = kept.stat().st_mtime_ns
    _, again, resumed = written(f"format={name}")
    assert resumed == manifest
    assert again.fingerprint == shards.fingerprint
    assert kept.stat().st_mtime_ns == before
    assert not Path(shards.directory, "shard-99999.bin").exists()


@pytest.mark.long
@dataclass(frozen=True, kw_only=True)
class Lines(ShardFormat):
    """A line of ids for each document."""

    manifest_name: ClassVar[str] = "lines"
    whole_documents: ClassVar[bool] = True
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)
    separator: str = " "

    def writer(self, target):
        return _LineWriter(self.separator, target)


class _LineWriter:
    def __init__(self, separator, target):
        self.separator, self.id_type, self.rows = separator, target.id_type, 0
        self.output = FileOutput(target.directory, f"{target.unit}.txt")

    def write(self, tokens):
        for one in tokens.to_pylist():
            ids = np.frombuffer(one, self.id_type).tolist()
            self.output.write((self.separator.join(map(str, ids)) + "\n").encode())
            self.rows += 1

    def close(self):
        return [self.output.close(self.rows)]

    def abandon(self):
        self.output.abandon()


def test_a_new_format_is_one_class_and_one_line(corpus, written, monkeypatch):
    monkeypatch.setitem(formats.FORMATS, "lines", Lines)
    _, shards, manifest = written("format=lines", "lines.separator=,")
    lines = [
        [int(id) for id in line.split(",")]
        for path in shard_paths(manifest, shards.directory)
        for line in Path(path).read_text().splitlines()
    ]
    assert lines == expected(corpus)
    assert json.loads(Path(shards.directory, "manifest.json").read_text())["format"] == "lines"


def test_a_recipe_says_the_format_by_its_name():
    recipe: Recipe = load_recipe("dclm_baseline", ["tokens.format=olmo"])
    assert type(recipe.tokens.format) is formats.FORMATS["olmo"]


def test_the_embedded_sample_and_a_ranking_want_shards_that_they_can_train_on(tmp_path):
    recipe = load_recipe("sample", ["tokens.format=megatron"])
    with pytest.raises(SettingError, match="'megatron' is for another trainer; expected dclm"):
        prepare_sample(recipe, str(tmp_path))
    with pytest.raises(SettingError, match="'megatron' is for another trainer"):
        check_names([recipe])
