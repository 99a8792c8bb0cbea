"""Planted contamination is found, named by task, and nothing else is."""

import hashlib
import json
import random
import string
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.engine.stage_output import stage_output
from dclm_spark.evaluate.tasks import TASK_BY_LABEL, select_tasks
from dclm_spark.explain import explain
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from dclm_spark.stages.decontaminate import (
    DecontaminationSettings,
    EvaluationDataSettings,
    decontaminate_by_index,
    documents_by_task,
    judge,
    row_texts,
    task_texts,
    write_index,
)
from tests.shared_data import SHARED, needs_shared
from udfs.dedup.contamination import NGRAM_WORDS, build_index, load_index
from udfs.documents.schema import EXTRACTED, document_id
from udfs.units.statistics import documents_by_fate

WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]


def prose(seed, count=80):
    return " ".join(random.Random(seed).choices(WORDS, k=count))


QUESTION = prose("question", 30)
LYRICS = prose("lyrics", 20)
TEXTS = {
    "clean page": prose(1),
    "question quoted": f"{prose(2)} {QUESTION} {prose(3)}",
    "other case and punctuation": f"{prose(4)}, {QUESTION.upper().replace(' ', ', ')}! {prose(5)}",
    "twelve words only": f"{prose(6)} {' '.join(QUESTION.split()[:12])} {prose(7)}",
    "both tasks": f"{QUESTION} {prose(8)} {LYRICS}",
    "short": "what is it",
    "empty": "",
}
TASKS = {"quiz": [QUESTION, "too short to match"], "songs": [LYRICS], "none": ["what is it"]}
EXPECTED = {
    "question quoted": ["quiz"],
    "other case and punctuation": ["quiz"],
    "both tasks": ["quiz", "songs"],
}


def normalised(text):
    kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return kept.split()


def ngrams(text):
    words = normalised(text)
    return [tuple(words[i : i + NGRAM_WORDS]) for i in range(len(words) - NGRAM_WORDS + 1)]


def documents():
    ids = [document_id("C", "w", place) for place in range(len(TEXTS))]
    columns = {"doc_id": ids, "url": list(TEXTS), "text": list(TEXTS.values())}
    rows = [
        {name: columns[name][row] if name in columns else None for name in EXTRACTED.names}
        for row in range(len(TEXTS))
    ]
    return pa.RecordBatch.from_pylist(rows, EXTRACTED)


@pytest.fixture
def settings(tmp_path):
    return write_index(TASKS, str(tmp_path / "index.npy"))


def test_shared_ngrams_are_those_that_sets_of_words_give(settings):
    index = load_index(pa_path(settings))
    overlap = index.overlap(pa.array(TEXTS.values()))
    known = {gram for texts in TASKS.values() for text in texts for gram in ngrams(text)}
    expected = [sum(gram in known for gram in ngrams(text)) for text in TEXTS.values()]
    assert overlap.shared_ngrams.tolist() == expected
    assert sum(expected) > 30


def pa_path(settings):
    from udfs.storage.cache import fetch

    return fetch(settings.index, settings.sha256)


def test_a_document_names_the_tasks_that_it_shares_ngrams_with(settings):
    fates = [field for field in EXTRACTED if field.name in ("fate", "stage", "rule", "value")]
    batch = documents().drop_columns([f.name for f in fates] + ["threshold", "error"])
    judged = judge(batch, load_index(pa_path(settings)), settings)
    rows = {row["url"]: row for row in judged.to_pylist()}
    assert {u: r["evaluation_tasks"] for u, r in rows.items() if r["evaluation_tasks"]} == EXPECTED
    assert {url for url, row in rows.items() if row["fate"] == "dropped"} == set(EXPECTED)
    dropped = rows["question quoted"]
    assert (dropped["rule"], dropped["value"], dropped["threshold"]) == ("evaluation_ngrams", 18, 1)


@pytest.mark.spark
@pytest.mark.parametrize("mode", ["remove", "annotate"])
def test_the_stage_removes_or_annotates_and_counts_by_task(spark, tmp_path, settings, mode):
    source = tmp_path / "in" / "kept"
    source.mkdir(parents=True)
    table = pa.Table.from_batches([documents()])
    files = []
    for part in range(2):
        rows = table.take(list(range(part, table.num_rows, 2)))
        path = source / f"part-{part}.parquet"
        pq.write_table(rows, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files.append({"path": f"kept/{path.name}", "rows": rows.num_rows, "sha256": digest})
    empty = {"key": "k", "documents": {}, "facts": {}, "timing": {}}
    units = [{"unit": f"part-{n}", "files": [f], **empty} for n, f in enumerate(files)]
    given = stage_output("documents", str(tmp_path / "in"), units)
    output = decontaminate_by_index(
        spark, given, EXTRACTED, replace(settings, mode=mode), str(tmp_path / mode)
    )
    assert documents_by_task(output) == {"quiz": 3, "songs": 1}
    kept = sum(file["rows"] for file in output.files("kept/"))
    assert kept == len(TEXTS) - (len(EXPECTED) if mode == "remove" else 0)


def test_an_index_of_nothing_finds_nothing(tmp_path):
    settings = write_index({"empty": []}, str(tmp_path / "none.npy"))
    overlap = load_index(pa_path(settings)).overlap(pa.array(TEXTS.values()))
    assert overlap.shared_ngrams.tolist() == [0] * len(TEXTS)


def test_the_highest_and_lowest_hashes_are_found():
    index = build_index({str(n): [prose(n, 400)] for n in range(64)})
    assert np.all(np.diff(index[0].astype(object)) > 0)
    assert index[1].max() >= 1 << 63


def test_too_many_tasks_are_refused():
    with pytest.raises(ValueError, match="an index holds 64"):
        build_index({str(n): [] for n in range(65)})


def test_a_row_gives_its_question_with_the_right_answer():
    row = {"query": "Who?", "choices": ["me", "you"], "gold": 1}
    assert list(row_texts(row)) == ["Who?", "me", "you", "Who? you"]


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="remove, annotate"):
        DecontaminationSettings(index="i.npy", mode="drop")


@pytest.mark.long
@pytest.mark.spark
def test_a_recipe_removes_pages_that_quote_a_task(spark, tmp_path):
    crawl = generate_crawl(tmp_path / "crawl", seed=3, num_pages=200)
    recipe = replace(sample_recipe(load_recipe("sample", []), crawl, crawl.base), name="checked")
    run = partial(build_baseline, spark, inputs=str(crawl.listing), base=str(crawl.base))
    free = run(recipe=recipe, output=str(tmp_path / "free"))
    page = max(
        (
            row
            for file in free.deduplicated.files("kept/")
            for row in pq.read_table(file["uri"]).to_pylist()
        ),
        key=lambda row: len(row["text"]),
    )
    task = TASK_BY_LABEL["copa"]
    question = {"query": " ".join(page["text"].split()[:40]), "choices": ["a", "b"], "gold": 0}
    (tmp_path / "eval" / task.file).parent.mkdir(parents=True)
    (tmp_path / "eval" / task.file).write_text(json.dumps(question))
    wanted = EvaluationDataSettings(data=str(tmp_path / "eval"), tasks="copa")
    output = tmp_path / "checked"
    checked = run(recipe=replace(recipe, decontamination=wanted), output=str(output))
    assert documents_by_task(checked.decontaminated)["copa"] >= 1
    (history,) = explain(str(output), page["doc_id"].hex())
    assert [entry.stage for entry in history] == ["documents", "deduplicate", "decontaminate"]
    assert history[-1].row["rule"] == "evaluation_ngrams"
    assert "quote evaluation sets" in (output / "report.html").read_text()
    fates = [documents_by_fate(stage.totals) for stage in checked.judging]
    assert fates[2]["dropped"] + sum(fates[3].values()) == fates[1]["kept"]


@needs_shared
def test_questions_of_the_real_tasks_are_found_in_a_page(tmp_path):
    tasks = select_tasks("arc_easy,boolq,squad,winograd")
    texts = task_texts(tasks, str(SHARED / "eval"))
    settings = write_index(texts, str(tmp_path / "index.npy"))
    index = load_index(pa_path(settings))
    for number, task in enumerate(tasks):
        question = max(texts[task.label], key=len)
        overlap = index.overlap(pa.array([f"{prose(1)} {question} {prose(2)}", prose(3)]))
        assert overlap.shared_ngrams[0] > 0
        assert overlap.shared_ngrams[1] == 0
        assert int(overlap.tasks[0]) >> number & 1
