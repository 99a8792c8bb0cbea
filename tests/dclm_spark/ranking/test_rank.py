"""A ranking of two recipes on the embedded sample: what is shared, controlled, resumed, redone."""

import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dclm_spark.errors import InputError, SettingError
from dclm_spark.ranking import planted
from dclm_spark.ranking.budgets.cells import fitted
from dclm_spark.ranking.corpora import DUPLICATED, SHUFFLED, shared_places
from dclm_spark.ranking.options import ModelSettings, model_options
from dclm_spark.ranking.prepared import PREPARED
from dclm_spark.ranking.rank import RankSettings, rank_recipes
from dclm_spark.ranking.records import DatasetRecord, EvaluationRecord, read_records
from dclm_spark.ranking.train_models import rank_models
from dclm_spark.recipes import load_recipe
from dclm_spark.train.scales import scale

pytestmark = [pytest.mark.spark, pytest.mark.long]

ROOT = Path(__file__).parents[3]
ROWS = ("refinedweb", "dclm_baseline", "dclm_baseline-shuffled", "dclm_baseline-duplicated")


@pytest.fixture(scope="module", autouse=True)
def few_articles():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planted, "NUM_ARTICLES", 4)
        yield


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return RankSettings(
        recipes=("refinedweb", "dclm_baseline"),
        output=str(tmp_path_factory.mktemp("ranking")),
        scales=("test",),
        seeds=2,
        tokens=(1024,),
        max_passes=50.0,
        num_pages=300,
        assignments=("tokens.sequences_per_shard=16",),
        training=("checkpoint.interval_steps=100",),
    )


@pytest.fixture(scope="module")
def leaderboard(spark, settings):
    return rank_recipes(spark, settings)


def finished(settings):
    return {
        path: path.stat().st_mtime_ns for path in Path(settings.output).glob("runs/*/*/run.json")
    }


def kept_documents(settings, name):
    stage = Path(settings.output) / "recipes" / name / "stages" / "select" / "stage.json"
    counts = json.loads(stage.read_text())["counts"]
    return sum(entry["documents"] for entry in counts if entry["fate"] == "kept")


def test_every_recipe_and_control_has_a_row_for_each_seed(leaderboard):
    rows = {(row["recipe"], row["seed"]): row["control"] for row in leaderboard["rows"]}
    controls = dict(zip(ROWS, ("", "", SHUFFLED, DUPLICATED), strict=True))
    assert rows == {(name, seed): controls[name] for name in ROWS for seed in (1, 2)}
    assert all(row["recipe_hash"] and row["commit"] for row in leaderboard["rows"])
    fingerprints = {row["recipe"]: row["corpus_fingerprint"] for row in leaderboard["rows"]}
    assert len(set(fingerprints.values())) == len(ROWS)


def test_unseen_articles_and_planted_answers_are_compared(leaderboard):
    found = {one["metric"]: one for one in leaderboard["comparisons"]}
    assert set(found) == {"bits_per_byte/unseen_articles", "bits_per_byte/planted_answers"}
    assert all(len(one["verdicts"]) == 6 for one in found.values())
    assert found["bits_per_byte/planted_answers"]["items"] == 60
    assert set(leaderboard["fact_accuracy"]) == set(ROWS)


def test_recipes_share_the_stages_that_they_have_in_common(leaderboard, settings):
    folders = [path for path in (Path(settings.output) / "shared").iterdir() if path.is_dir()]
    stages = sorted(path.name.split("-")[0] for path in folders)
    assert stages == ["deduplicate", "documents", "score"]


def test_the_shuffled_control_keeps_about_as_many_documents(leaderboard, settings):
    filtered = kept_documents(settings, "dclm_baseline")
    every = kept_documents(settings, "refinedweb")
    assert filtered < 0.7 * every
    assert kept_documents(settings, "dclm_baseline-shuffled") == pytest.approx(filtered, rel=0.25)


def test_the_duplicated_control_reads_a_part_of_the_data_again(leaderboard):
    passes = {
        row["recipe"]: row["model_configuration"]["passes over the corpus"]
        for row in leaderboard["rows"]
    }
    tokens = {row["model_configuration"]["tokens"] for row in leaderboard["rows"]}
    assert passes["dclm_baseline-duplicated"] >= passes["dclm_baseline"]
    assert tokens == {1024}


def test_records_link_evaluations_to_corpora(leaderboard, settings):
    folder = Path(settings.output) / "records"
    assert {one.name for one in read_records(DatasetRecord, folder)} == set(ROWS)
    assert len(read_records(EvaluationRecord, folder)) == 2 * len(ROWS)
    assert (Path(settings.output) / "leaderboard.html").is_file()


def test_a_finished_ranking_trains_nothing_again(spark, leaderboard, settings):
    before = finished(settings)
    again = rank_recipes(spark, settings)
    assert finished(settings) == before
    assert again == leaderboard


def test_one_row_done_again_gives_the_same_numbers(spark, leaderboard, settings):
    before = finished(settings)
    (row,) = (r for r in leaderboard["rows"] if (r["recipe"], r["seed"]) == ("refinedweb", 2))
    words = shlex.split(row["command"])
    assert words[words.index("--only") + 1] == "refinedweb/2@test"
    again = rank_recipes(spark, replace(settings, only="refinedweb/2"))
    changed = {path for path, time in finished(settings).items() if before[path] != time}
    assert {path.parts[-3] for path in changed} == {"refinedweb"}
    assert len(changed) == 1
    value = again["comparisons"][0]["scores"][0]["values"][0]
    (first,) = (s for s in leaderboard["comparisons"][0]["scores"] if s["recipe"] == "refinedweb")
    assert value == pytest.approx(first["values"][1], rel=1e-5)


def test_a_copied_ranking_goes_on_without_spark(leaderboard, settings, tmp_path):
    for name in ("recipes", "heldout", "tokenizers", "runs"):
        shutil.copytree(Path(settings.output) / name, tmp_path / name)
    shutil.copy(Path(settings.output) / PREPARED, tmp_path)
    prepared = (tmp_path / PREPARED).read_text().splitlines()
    # Where the tokenizer came from is told, not used.
    assert all('"tokenizer":' in line for line in prepared if settings.output in line)
    (removed,) = (tmp_path / "runs" / "refinedweb").glob("seed-2-*")
    shutil.rmtree(removed)
    copied = replace(settings, output=str(tmp_path))
    before = finished(copied)
    words = ["jobs/rank_models.py", *model_options(copied, "")]
    code = (
        "import runpy, sys\nsys.modules['pyspark'] = None\n"
        f"sys.argv = {words!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = finished(copied)
    assert {path for path in after if before.get(path) != after[path]} == {removed / "run.json"}
    again = json.loads((tmp_path / "leaderboard.json").read_text())
    assert again["conclusions"] == leaderboard["conclusions"]
    (row,) = (r for r in again["rows"] if (r["recipe"], r["seed"]) == ("refinedweb", 2))
    assert row["command"].startswith("python jobs/rank_models.py --output")


def test_models_without_prepared_corpora_are_refused(tmp_path):
    with pytest.raises(InputError, match="give the --output of"):
        rank_models(ModelSettings(output=str(tmp_path)))


def test_an_output_that_cannot_be_written_is_told_before_anything_is_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"--output .*: it cannot be written"):
        rank_models(ModelSettings(output=str(tmp_path / "file" / "below")))


def test_a_threshold_does_not_decide_where_scores_lie():
    one = load_recipe("dclm_baseline")
    other = replace(one, quality=replace(one.quality, top=0.1))
    refined = load_recipe("refinedweb")
    places = [shared_places(recipe, "/out") for recipe in (one, other, refined)]
    assert places[0]("score") == places[1]("score")
    assert places[0]("deduplicate") == places[2]("deduplicate")
    assert places[0]("select") != places[2]("select")
    fewer = load_recipe("refinedweb", ["deduplication.shards=3"])
    assert shared_places(fewer, "/out")("deduplicate") != places[2]("deduplicate")
    assert shared_places(fewer, "/out")("documents") == places[2]("documents")


def test_a_scale_keeps_its_tokens_per_step_at_another_length():
    tiny = scale("tiny")
    assert fitted(tiny, 256).tokens_per_step == tiny.tokens_per_step


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"inputs": "w.warc.gz"}, InputError, "--heldout is not given"),
        ({"tasks": "core"}, InputError, "--tasks needs --data"),
        ({"seeds": 0}, SettingError, "--seeds 0"),
        ({"output": "s3://bucket/x"}, SettingError, "local folder"),
        ({"scales": ("80mm",)}, ValueError, "did you mean 80m"),
        ({"training": ("model.wdth=8",)}, ValueError, "wdth"),
        ({"tasks": "cor", "data": "eval"}, SettingError, "not a task"),
    ],
)
def test_what_cannot_be_ranked_is_refused_before_any_work(settings, change, error, message):
    with pytest.raises(error, match=message):
        rank_recipes(None, replace(settings, **change))
