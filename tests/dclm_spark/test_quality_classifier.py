import bz2
import gzip
import json
import lzma
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.errors import InputError
from dclm_spark.quality_classifier import QualityTrainingSettings, train_quality
from dclm_spark.quality_classifier.classifier_texts import read_labelled, read_texts

SMALL = QualityTrainingSettings(dim=8, bucket=1000, epochs=10, learning_rate=0.05)


def texts(words, count, seed):
    rng = random.Random(seed)
    return [" ".join(rng.choices(words, k=20)) for _ in range(count)]


def write(path, rows):
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path):
    good = texts(["explains", "because", "theory", "energy", "the"], 200, 1)
    bad = texts(["buy", "cheap", "click", "login", "the"], 200, 2)
    return write(tmp_path / "good.jsonl", good), write(tmp_path / "bad.jsonl", bad)


def test_the_report_shows_that_the_classes_are_told_apart(files, tmp_path):
    report = train_quality(
        positives=files[0], negatives=files[1], output=str(tmp_path / "m.bin"), settings=SMALL
    )
    assert report["heldout_auc"] > 0.99
    assert report["heldout_texts"]["hq"] > 5
    assert json.loads((tmp_path / "m.bin.report.json").read_text()) == report


def test_training_twice_gives_the_same_model(files, tmp_path):
    for name in ("a.bin", "b.bin"):
        train_quality(
            positives=files[0], negatives=files[1], output=str(tmp_path / name), settings=SMALL
        )
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


def test_a_class_without_texts_is_an_error(files, tmp_path):
    empty = write(tmp_path / "empty.jsonl", [])
    with pytest.raises(InputError, match="'cc' has no texts"):
        train_quality(positives=files[0], negatives=empty, output="x", settings=SMALL)


def test_a_line_without_text_is_named(files, tmp_path):
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"body": "b"}\n')
    with pytest.raises(InputError, match="line 2"):
        train_quality(
            positives=str(tmp_path / "broken.jsonl"), negatives=files[1], output="x", settings=SMALL
        )


def test_labels_of_an_annotator_train_the_same_model_as_the_classes_that_they_mean(files, tmp_path):
    rows = [
        {"text": json.loads(line)["text"], "label": label}
        for name, labels in zip(files, ((3, 5), (0, 2.5)), strict=True)
        for line, label in zip(Path(name).read_text().splitlines(), labels * 100, strict=True)
    ]
    labelled = tmp_path / "labelled.jsonl"
    labelled.write_text("".join(json.dumps(row) + "\n" for row in rows))
    by_label, by_class = str(tmp_path / "label.bin"), str(tmp_path / "class.bin")
    train_quality(labelled=str(labelled), positive_from=3, output=by_label, settings=SMALL)
    train_quality(positives=files[0], negatives=files[1], output=by_class, settings=SMALL)
    assert Path(by_label).read_bytes() == Path(by_class).read_bytes()
    with pytest.raises(InputError, match="'hq' has no texts"):
        train_quality(labelled=str(labelled), positive_from=9, output="x", settings=SMALL)


@pytest.mark.parametrize("line", ['{"text": "a"}', '{"text": "a", "label": "good"}', "no JSON"])
def test_a_line_without_a_number_as_label_is_named(tmp_path, line):
    (tmp_path / "broken.jsonl").write_text(f"{line}\n")
    with pytest.raises(InputError, match="line 1"):
        train_quality(labelled=str(tmp_path / "broken.jsonl"), output="x", settings=SMALL)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".json.bz2", ".ndjson.xz", ".parquet"])
def test_texts_are_read_as_in_a_run_and_damage_costs_what_it_hits(tmp_path, suffix, caplog):
    path = tmp_path / f"texts{suffix}"
    rows = [{"text": f"text {number}", "label": number} for number in range(200)]
    if suffix == ".parquet":
        rows[7]["text"] = None
        pq.write_table(pa.Table.from_pylist(rows), path)
        lost = {7}
    else:
        packs = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
        pack = packs.get(path.suffix, bytes)
        lines = [json.dumps(row).encode() + b"\n" for row in rows]
        lines[3], lost = b"{broken\n", {3}
        data = pack(b"".join(lines[:100])) + pack(b"".join(lines[100:]))
        path.write_bytes(data)
    assert list(read_texts(str(path))) == [f"text {n}" for n in range(200) if n not in lost]
    assert list(read_labelled(str(path))) == [(f"text {n}", n) for n in range(200) if n not in lost]
    assert f"line {min(lost) + 1}: " in caplog.text
    assert "1 of 200 records" in caplog.text


def test_a_held_out_fraction_of_all_is_refused():
    with pytest.raises(ValueError, match="heldout"):
        QualityTrainingSettings(heldout=1.0)
