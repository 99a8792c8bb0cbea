"""What another run in the same folder ended with goes when a run begins, and only then."""

import json

import pytest

from dclm_spark.engine.run_record import finished_run, run_identity, write_run_record
from dclm_spark.errors import InputError
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import recipe_hash

RESULTS = ("report.html", "report.json", "mixture.json", "shards/manifest.json")


def begin(folder, name):
    recipe = load_recipe(name)
    identity = run_identity(recipe.name, recipe_hash(recipe), [])
    write_run_record(str(folder), recipe, [], identity)


@pytest.fixture
def ended(tmp_path):
    begin(tmp_path, "raw")
    (tmp_path / "shards").mkdir()
    report = {"complete": True, "recipe_hash": recipe_hash(load_recipe("raw"))}
    for name in RESULTS:
        (tmp_path / name).write_text(json.dumps(report))
    return tmp_path


def test_the_same_run_keeps_its_results(ended):
    begin(ended, "raw")
    assert all((ended / name).exists() for name in RESULTS)
    finished_run(str(ended))


def test_another_recipe_takes_them_away_and_the_run_counts_as_unfinished(ended):
    begin(ended, "c4")
    assert not any((ended / name).exists() for name in RESULTS)
    with pytest.raises(InputError, match="did not end: give its own command again"):
        finished_run(str(ended))


def test_a_run_whose_reports_a_compaction_took_has_ended(ended):
    (ended / "report.json").unlink()
    finished_run(str(ended))
    (ended / "report.json").write_text(json.dumps({"complete": False}))
    with pytest.raises(InputError, match="did not end"):
        finished_run(str(ended))


def test_where_no_run_is_it_says_so(tmp_path):
    with pytest.raises(InputError, match=r"no run is here \(run\.json is missing\)"):
        finished_run(str(tmp_path / "nowhere"))
