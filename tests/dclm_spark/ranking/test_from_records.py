"""A leaderboard from records, of this project and of DCLM's database."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dclm_spark.errors import InputError
from dclm_spark.evaluate.tasks import EXTENDED
from dclm_spark.ranking.dclm_database import export_to_dclm, import_from_dclm
from dclm_spark.ranking.leaderboard import every_record, leaderboard_of_records, recorded_runs
from dclm_spark.ranking.records import (
    DatasetRecord,
    EvaluationRecord,
    ModelRecord,
    record_uuid,
    write_record,
)

BITS = {"raw": 1.5, "filtered": 1.2}


def record_run(output: Path, recipe: str, seed: int, folder: str = "") -> None:
    """Write what a ranking leaves of one run: items, and the three records that lead to them."""
    folder = folder or f"{recipe}-{seed}"
    items = output / "runs" / folder / "evaluation"
    (items / "heldout").mkdir(parents=True)
    texts = [
        {"row": row, "nats": 500 * BITS[recipe] + seed + row % 3, "bytes": 700, "tokens": 9}
        for row in range(30)
    ]
    (items / "heldout" / "news.json").write_text(json.dumps({"records": texts}))
    dataset = DatasetRecord(uuid=record_uuid("dataset", recipe), name=recipe, recipe_hash="h")
    model = ModelRecord(
        uuid=record_uuid("model", recipe, folder),
        name=folder,
        dataset_uuid=dataset.uuid,
        extra={"seed": seed, "commit": "abc", "command": f"again {recipe}/{seed}"},
    )
    evaluation = EvaluationRecord(
        uuid=record_uuid("evaluation", model.uuid),
        name="rank",
        model_uuid=model.uuid,
        model_name=model.name,
        results_url=f"../runs/{folder}/evaluation/results.json",
    )
    for record in (dataset, model, evaluation):
        write_record(record, output / "records")


def ranking(output: Path, recipes: tuple[str, ...] = ("raw", "filtered")) -> str:
    for recipe in recipes:
        for seed in (1, 2, 3):
            record_run(output, recipe, seed)
    return str(output / "records")


def verdict(leaderboard: dict[str, Any]) -> str:
    return str(leaderboard["comparisons"][0]["verdicts"][0]["verdict"])


def test_rankings_of_two_machines_make_one_leaderboard(tmp_path: Path) -> None:
    folders = [
        ranking(tmp_path / "here", ("raw",)),
        ranking(tmp_path / "there", ("filtered",)),
    ]
    leaderboard = leaderboard_of_records(folders, str(tmp_path / "board"))
    assert verdict(leaderboard) == "filtered is better"
    assert {row["command"] for row in leaderboard["rows"]} >= {"again raw/1", "again filtered/3"}
    assert (tmp_path / "board" / "leaderboard.html").is_file()


def test_a_ranking_that_was_moved_still_has_its_items(tmp_path: Path) -> None:
    ranking(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert len(recorded_runs([tmp_path / "b" / "records"])) == 6


def test_two_runs_of_one_recipe_and_seed_are_refused_unless_one_is_chosen(tmp_path: Path) -> None:
    folder = ranking(tmp_path)
    record_run(tmp_path, "raw", 1, "raw-1-with-more-tokens")
    with pytest.raises(InputError, match="raw, seed 1 is on record twice"):
        recorded_runs([folder])
    older = record_uuid("evaluation", record_uuid("model", "raw", "raw-1"))
    (chosen,) = recorded_runs([folder], [older])
    assert (chosen.recipe, chosen.seed) == ("raw", 1)


def test_records_go_to_the_layout_of_dclm_and_back(tmp_path: Path) -> None:
    folder = ranking(tmp_path / "ours")
    export_to_dclm(every_record(folder), tmp_path / "exp_data")
    assert import_from_dclm(tmp_path / "exp_data", tmp_path / "again") == 2 + 6 + 6
    assert every_record(tmp_path / "again") == every_record(folder)


def test_an_evaluation_without_items_is_listed_with_its_aggregates(tmp_path: Path) -> None:
    folder = ranking(tmp_path / "ours")
    dataset = DatasetRecord(uuid="d", name="baseline", is_tokenized=True)
    model = ModelRecord(uuid="m", name="7b", dataset_uuid="d")
    known = EvaluationRecord(
        uuid="e", name="heavy", model_uuid="m", model_name="7b",
        accuracies=dict.fromkeys(EXTENDED, 0.75),
    )  # fmt: skip
    export_to_dclm([dataset, model, replace(known, results_url="s3://b/r.json")], tmp_path / "exp")
    import_from_dclm(tmp_path / "exp", folder)
    leaderboard = leaderboard_of_records([folder], str(tmp_path))
    (row,) = leaderboard["accuracy_only"]
    assert row["model"] == "7b"
    assert row["Core_v2"] == pytest.approx(0.62, abs=0.05)
    assert f"{row['Core_v2']:.4f}" in (tmp_path / "leaderboard.html").read_text()
    assert verdict(leaderboard) == "filtered is better"


def file_of(folder: Path, uuid: str, /, **facts: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{uuid}.json").write_text(json.dumps({"uuid": uuid, "name": uuid} | facts))


def dataset_file(folder: Path, name: str, sources: Any) -> None:
    file_of(folder, name, sources=sources)


def test_records_that_link_to_nothing_stop_no_leaderboard(tmp_path: Path) -> None:
    # As in DCLM's database: "" for a dataset, no model at all, one that is not there, and the
    # name of an architecture where that of a model is asked for.
    exp, folder = tmp_path / "exp", ranking(tmp_path / "ours")
    icl = {"icl": dict.fromkeys(EXTENDED, 0.75)}
    file_of(exp / "models", "m1", name="jsc_mix", dataset_uuid="")
    file_of(exp / "evals", "e1", model_uuid="m1", model="open_lm_7b", eval_metrics=icl)
    beside = {"_filename": "exp_data/evals/evaluation_Qwen2-7B.json", "eval_metrics": icl}
    file_of(exp / "evals", "e2", model="open_lm_1b", **beside)
    file_of(exp / "evals", "e3", name="/mnt/heavy", model_uuid="gone", model="x", eval_metrics=icl)
    file_of(exp / "evals", "e4", model="open_lm_1b", model_name="alexf", eval_metrics=icl)
    file_of(exp / "evals", "nameless", eval_metrics=icl)
    assert import_from_dclm(exp, folder) == 6
    leaderboard = leaderboard_of_records([folder], str(tmp_path))
    listed = [(row["model"], row["evaluation"]) for row in leaderboard["accuracy_only"]]
    assert listed == [
        ("Qwen2-7B", "e2"), ("alexf", "e4"), ("jsc_mix", "e1"), ("nameless", "nameless"),
        ("x", "heavy"),
    ]  # fmt: skip
    assert verdict(leaderboard) == "filtered is better"


def test_records_of_one_name_have_files_of_their_own(tmp_path: Path) -> None:
    place = tmp_path / "exp" / "datasets"
    for number in range(3):
        file_of(place, f"u{number}", name="CC_full_v4_pre2023")
    file_of(place, "u3", name="d=96_" * 60)
    assert import_from_dclm(tmp_path / "exp", tmp_path / "records") == 4
    files = export_to_dclm(every_record(tmp_path / "records"), tmp_path / "out")
    assert len({file for file in files if file.is_file()}) == 4
    assert import_from_dclm(tmp_path / "out", tmp_path / "again") == 4
    assert every_record(tmp_path / "again") == every_record(tmp_path / "records")


def test_of_two_files_with_one_uuid_the_second_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "exp" / "datasets"
    file_of(place, "tud", uuid="u")
    file_of(place, "tud_one_shard", uuid="u")
    assert import_from_dclm(tmp_path / "exp", tmp_path / "records") == 1
    assert "tud_one_shard.json: skipped" in caplog.text


def test_a_size_that_is_no_number_of_bytes_is_kept_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "exp" / "datasets"
    file_of(place, "a", size=20)
    file_of(place, "b", size="26 TB")
    file_of(place, "c", size=-1)
    file_of(place, "d", size=512, seed=123)  # The length of a list of names.
    import_from_dclm(tmp_path / "exp", tmp_path / "records")
    found = every_record(tmp_path / "records")
    sizes = [(one.size_bytes, one.extra.get("size")) for one in found]  # type: ignore[union-attr]
    assert sizes == [(20, None), (None, "26 TB"), (None, -1), (None, 512)]
    files = export_to_dclm(found, tmp_path / "out")
    assert [json.loads(file.read_text())["size"] for file in files] == [20, "26 TB", -1, 512]


@pytest.mark.parametrize("facts", [{"uuid": "../../x"}, {"uuid": 5}, {"name": ["a"]}])
def test_names_and_uuids_that_are_none_are_skipped(tmp_path: Path, facts: dict[str, Any]) -> None:
    file_of(tmp_path / "exp" / "datasets", "good")
    file_of(tmp_path / "exp" / "datasets", "bad", **facts)
    assert import_from_dclm(tmp_path / "exp", tmp_path / "records") == 1


def test_what_is_no_accuracy_is_left_out(tmp_path: Path) -> None:
    metrics = {"icl": {"copa": None, "boolq": 0.5}}
    file_of(tmp_path / "exp" / "evals", "e", model="m", eval_metrics=metrics)
    import_from_dclm(tmp_path / "exp", tmp_path / "records")
    (found,) = every_record(tmp_path / "records")
    assert found.accuracies == {"boolq": 0.5}  # type: ignore[union-attr]
    leaderboard_of_records([str(tmp_path / "records")], str(tmp_path))


def test_sources_of_every_form_in_dclms_database_are_taken(tmp_path: Path) -> None:
    place, known = tmp_path / "exp/datasets/tokenized", record_uuid("dataset", "x")
    dataset_file(place, "one text", "rw_v2")
    dataset_file(place, "texts", ["rw_v2", known])
    dataset_file(place, "objects", [{"uuid": known, "name": "rw"}, {"name": "c4", "uuid": None}])
    dataset_file(place, "none", None)
    dataset_file(place, "empty", "")
    assert import_from_dclm(tmp_path / "exp", tmp_path / "records") == 5
    found = {one.name: one.sources for one in every_record(tmp_path / "records")}  # type: ignore[union-attr]
    assert found == {
        "one text": (("", "rw_v2"),),
        "texts": (("", "rw_v2"), (known, "")),
        "objects": ((known, "rw"), ("", "c4")),
        "none": (),
        "empty": (),
    }


def test_broken_files_are_named_and_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "exp/models"
    dataset_file(tmp_path / "exp/datasets", "good", [])
    place.mkdir()
    (place / "cut.json").write_text('{"uuid": "u"')
    (place / "list.json").write_text("[]")
    (place / "nameless.json").write_text('{"uuid": "u"}')
    assert import_from_dclm(tmp_path / "exp", tmp_path / "records") == 1
    for name in ("cut.json", "list.json", "nameless.json"):
        assert f"{name}: skipped, no ModelRecord" in caplog.text


def test_what_is_no_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no record in it"):
        import_from_dclm(tmp_path, tmp_path / "records")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "x.json").write_text('{"uuid": "u"}')
    with pytest.raises(InputError, match=r"no record in it \(1 files skipped\)"):
        import_from_dclm(tmp_path, tmp_path / "records")
    with pytest.raises(InputError, match="no evaluation on record"):
        leaderboard_of_records([str(tmp_path / "none")], str(tmp_path))
