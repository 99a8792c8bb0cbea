"""Items in token shards, found from the shards alone, and scores without those items."""

import hashlib
import json
import random

import numpy as np
import pyarrow as pa
import pytest

from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.tasks import TASK_BY_LABEL
from dclm_spark.measure.corpus_contamination import (
    CorpusQuestion,
    as_table,
    contamination_of,
    opened,
    row_texts,
    scores_without,
)
from dclm_spark.shard_format import read_manifest
from tests.dclm_spark.train.shards import write_shards
from udfs.tokens.tokenizer import TokenizerSettings, encode, load_encoder, train_tokenizer

END, PADDING, LENGTH = 0, 1, 1500


def prose(seed, count):
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(10**4)}" for _ in range(count))


QUESTIONS = [prose(f"q{n}", 20) for n in range(4)]
TEXTS = [prose(n, 60) for n in range(6)]
ROWS = [
    [f"{TEXTS[0]}\n{QUESTIONS[1]}? yes", TEXTS[1]],
    [TEXTS[2], TEXTS[3]],
    [TEXTS[4], f"{QUESTIONS[3]} {TEXTS[5]}"],
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Three rows of two documents, in two shards, beside the sets that they are asked about."""
    folder = tmp_path_factory.mktemp("corpus")
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(train_tokenizer(iter(TEXTS), 400))
    encoder = load_encoder(TokenizerSettings(uri=str(tokenizer)))
    rows = np.full((3, LENGTH), PADDING)
    for row, documents in zip(rows, ROWS, strict=True):
        ids = [[*encode(pa.array([one]), encoder)[0].tolist(), END] for one in documents]
        joined = [id for one in ids for id in one][:LENGTH]
        row[: len(joined)] = joined
    manifest = write_shards(
        folder / "shards", rows, sequences_per_shard=2, vocabulary_size=400, padding_id=PADDING
    )
    facts = json.loads(manifest.read_text())
    facts["tokenizer_sha256"] = _digest(tokenizer)
    facts["end_of_text_id"] = END
    manifest.write_text(json.dumps(facts))
    task = TASK_BY_LABEL["boolq"]
    path = folder / "eval" / task.file
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(
        json.dumps({"query": f"Question: {question}?", "choices": ["no", "yes"], "gold": 1})
        for question in QUESTIONS
    ))  # fmt: skip
    return folder


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def asked(corpus, output, **rest):
    return CorpusQuestion(
        **{
            "shards": str(corpus / "shards" / "manifest.json"),
            "tokenizer": str(corpus / "tokenizer.json"),
            "data": str(corpus / "eval"),
            "tasks": "boolq",
            "output": str(output),
        }
        | rest
    )


def test_rows_are_texts_again_with_a_line_for_each_document(corpus):
    manifest = read_manifest(str(corpus / "shards"))
    tokenizer = TokenizerSettings(uri=str(corpus / "tokenizer.json"))
    (first,), (last,) = (list(row_texts(manifest, s, tokenizer)) for s in manifest.shards)
    lines = [text.split("\n") for text in first["text"].to_pylist()]
    assert lines[1] == ROWS[1]
    assert last["text"][0].as_py().split("\n") == ROWS[2]
    assert first["row"].to_pylist() == [0, 1]


def results(folder, right):
    records = [
        {"file_row": n, "row": n, "category": None, "ok": ok, "gold": 0,
         "mean_nats": [1.0, 2.0], "tokens": [3, 2], "bytes": [6, 5]}
        for n, ok in enumerate(right)
    ]  # fmt: skip
    (folder / "tasks").mkdir(parents=True)
    content = {"task": {"label": "boolq"}, "baseline_data": 0.5, "records": records}
    (folder / "tasks" / "boolq.json").write_text(json.dumps(content))
    return str(folder)


def test_a_score_without_leaked_items_is_that_of_the_others(tmp_path):
    found = scores_without({"boolq": {1, 3}}, results(tmp_path, [0, 1, 1, 1]))
    accuracy = found["scores"]["accuracy/boolq"]
    assert (accuracy["all"]["value"], accuracy["all"]["n"]) == (0.75, 4)
    assert (accuracy["without_leaked"]["value"], accuracy["without_leaked"]["n"]) == (0.5, 2)
    with pytest.raises(InputError, match=r"--evaluation .*expected the output of jobs/evaluate"):
        scores_without({}, str(tmp_path / "nowhere"))


@pytest.mark.spark
def test_rows_that_hold_items_are_named_from_the_shards_alone(spark, corpus, tmp_path):
    evaluation = results(tmp_path / "results", [0, 1, 1, 1])
    question = asked(corpus, tmp_path / "out", evaluation=evaluation)
    found = contamination_of(spark, opened(question))
    assert found["tasks"] == {"boolq": {"items": 4, "leaked": 2, "dirty": 2, "rows": 2}}
    assert found["scores"]["accuracy/boolq"]["without_leaked"]["value"] == 0.5
    assert "| boolq | 4 | 2 | 2 | 2 |" in as_table(found)
    hits = spark.read.parquet(str(tmp_path / "out" / "hits" / "*.parquet")).where("leaks").collect()
    places = {(one["shard"], one["row"], one["item"]) for one in hits}
    assert places == {("shard-00000.parquet", 0, 1), ("shard-00001.parquet", 0, 3)}


def test_what_is_not_there_is_found_before_spark_starts(corpus, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(train_tokenizer(iter(TEXTS[:2]), 300))
    wrong = asked(corpus, tmp_path / "no", tokenizer=str(other))
    with pytest.raises(SettingError, match=r"--tokenizer .*SHA-256 is .*give that tokenizer"):
        opened(wrong)
    with pytest.raises(InputError, match=r"--evaluation .*expected the output of jobs/evaluate"):
        opened(asked(corpus, tmp_path / "no", evaluation=str(tmp_path)))
    with pytest.raises(InputError, match=r"boolq"):
        opened(asked(corpus, tmp_path / "no", data=str(tmp_path)))
    assert not (tmp_path / "no").exists()
