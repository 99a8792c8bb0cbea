"""Methods by name: settings as a union, and a method that someone adds."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from pyspark.sql import Window
from pyspark.sql import functions as F

from dclm_spark.dedup import methods
from dclm_spark.dedup.method import ORDER, DedupMethod
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.engine.tables import Extent
from dclm_spark.errors import SettingError
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.settings import from_dict, to_dict
from dclm_spark.stages.deduplicate import _warn_of_small_shards, deduplicate
from tests.dclm_spark.dedup.committed import committed
from udfs.dedup.minhash import candidate_probability
from udfs.units.documents import DOCUMENTS


@dataclass(frozen=True, kw_only=True)
class SameStart(DedupMethod):
    """Of the documents whose first characters are equal the first one stays."""

    characters: int = 4
    rule: ClassVar[str] = "same_start"

    def verdicts(self, given):
        texts = given.documents.select("doc_id", "text", *ORDER)
        first = Window.partitionBy(F.substring("text", 1, self.characters)).orderBy(*ORDER)
        partner = texts.withColumn("partner", F.first("doc_id").over(first))
        one = F.lit(1.0)
        return partner.where("partner != doc_id").select(
            "doc_id", F.lit(self.rule).alias("rule"), one.alias("value"), one.alias("threshold"),
            "partner",
        )  # fmt: skip


def settings_of(*assignments, base="dclm_baseline"):
    return load_recipe(base, [f"deduplication.{text}" for text in assignments]).deduplication


@pytest.mark.long
@pytest.mark.spark
def test_a_new_method_is_one_class_and_one_line(spark, tmp_path, monkeypatch):
    monkeypatch.setitem(methods.METHODS, "same_start", SameStart)
    settings = settings_of("method=same_start", "same_start.characters=3", "shards=2")
    documents = committed(tmp_path / "in", ["abcd one", "abce two", "xyz three", "abc"])
    output = deduplicate(spark, documents, DOCUMENTS, settings, str(tmp_path / "out"))
    counts = output.totals["counts"]
    by_rule = {(c["fate"], c["rule"]): 0 for c in counts}
    for entry in counts:
        by_rule[entry["fate"], entry["rule"]] += entry["documents"]
    assert by_rule == {("kept", ""): 2, ("dropped", "same_start"): 2}


def test_a_method_is_chosen_by_name_and_its_settings_by_the_key_of_that_name():
    settings = settings_of("minhash.threshold=0.85", "method=minhash")
    assert settings.method == MinHash(threshold=0.85)
    assert settings.method_name == "minhash"


def test_choosing_the_method_again_keeps_its_settings():
    fineweb = load_recipe("fineweb").deduplication.method
    assert settings_of("method=minhash", base="fineweb").method == fineweb
    assert fineweb != MinHash()


def test_a_recipe_in_yaml_may_name_the_method_after_its_settings(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("deduplication:\n  minhash: {threshold: 0.9}\n  method: minhash\n")
    assert load_recipe(str(path)).deduplication.method == MinHash(threshold=0.9)


@pytest.mark.parametrize("name", methods.METHODS)
def test_a_recipe_survives_the_way_through_plain_data_with_one_method_only(name):
    recipe = load_recipe("dclm_baseline", [f"deduplication.method={name}"])
    values = to_dict(recipe)
    assert values["deduplication"]["method"] == name
    assert not (set(methods.METHODS) - {name}) & set(values["deduplication"])
    assert from_dict(Recipe, values) == recipe


@pytest.mark.parametrize(
    ("assignments", "named"),
    [
        (["minhash.threshold=0.7"], r"deduplication.minhash belongs to .* = 'minhash', but .*shar"),
        (["method=minhash", "sharded.threshold=0.7"], "belongs to .* = 'sharded', but"),
        (["method=minhash", "ngrams.threshold=0.7"], "belongs to .* = 'sharded', but"),
        (["method=minhash", "minhash.treshold=0.7"], "did you mean .*minhash.threshold"),
        (["method=minhsh"], "expected one of sharded, global, minhash, lines, passages, none"),
        (["method.threshold=1"], "expected one of sharded"),
        (["minhas.threshold=1"], "did you mean deduplication.minhash"),
    ],
)
def test_a_key_of_another_method_is_an_error_that_names_the_method(assignments, named):
    with pytest.raises(SettingError, match=named):
        settings_of(*assignments)


@pytest.mark.parametrize(
    ("method", "former", "key"),
    [
        ("sharded", "ngrams.threshold=0.7", "sharded.threshold=0.7"),
        ("global", "global_ngrams.sample_one_in=3", "global.sample_one_in=3"),
        ("minhash", "near_duplicates.verification=sketch", "minhash.verification=sketch"),
    ],
)
def test_the_keys_of_earlier_recipes_still_set_the_method_they_belong_to(method, former, key):
    choice = f"method={method}"
    assert settings_of(choice, former) == settings_of(choice, key) != settings_of(choice)


def test_the_switch_for_quirks_reaches_the_method():
    recipe = load_recipe("dclm_baseline", ["quirks=none"])
    assert recipe.deduplication.method.quirks == "none"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("minhash.threshold=0.6", r"93 bands of 15 rows find 4.3% .* recall=0.95, which chooses"),
        ("minhash.threshold=0.7", r"find 35.[0-9]% .* datatrove, 14 bands of 8, which find 56%"),
        ("minhash.recall=1.0", "recall = 1.0: expected a fraction above 0 and below 1"),
        ("guard.max_removed_share=2", "max_removed_share = 2.*0.0 to 1.0"),
        ("guard.by=[host]", "by = .*source, domain, language"),
    ],
)
def test_what_cannot_be_found_or_guarded_is_refused(assignment, message):
    with pytest.raises(SettingError, match=message):
        settings_of("method=minhash", assignment)


def test_recall_chooses_bands_and_follows_the_threshold():
    method = settings_of("method=minhash", "near_duplicates.recall=0.95").method
    assert (method.signatures.bands, method.signatures.rows) == (84, 15)
    lower = settings_of("method=minhash", "minhash.recall=0.95", "minhash.threshold=0.6").method
    found = candidate_probability(0.6, lower.signatures)
    assert 0.95 <= found < 0.96
    assert lower.signatures.num_rows <= 1395
    assert from_dict(Recipe, to_dict(load_recipe(
        "dclm_baseline", ["deduplication.method=minhash", "deduplication.minhash.recall=0.9"]
    ))).deduplication.method.recall == 0.9  # fmt: skip


def test_the_guard_only_warns_where_nothing_is_removed():
    assert settings_of("guard.max_removed_share=0.5").guard_of_mode.action == "stop"
    annotated = settings_of("guard.max_removed_share=0.5", "mode=annotate")
    assert annotated.guard_of_mode.action == "warn"


@pytest.mark.parametrize(
    ("given", "text_size_bytes", "shards"),
    [(None, 0, 1), (None, 2**26, 1), (None, 2**26 + 1, 2), (None, 2**40, 100), (7, 2**40, 7)],
)
def test_shards_follow_the_text_unless_they_are_given(given, text_size_bytes, shards):
    settings = methods.DeduplicationSettings(shards=given)
    assert settings.sized(text_size_bytes).shards == shards


def test_shards_that_are_far_too_small_are_named(caplog):
    chosen = settings_of("shards=100", "method=sharded")
    few = Extent(key="", num_rows=24, text_size_bytes=19_000)
    _warn_of_small_shards(chosen, few)
    assert "deduplication.shards = 100: 24 documents" in caplog.text
    caplog.clear()
    _warn_of_small_shards(replace(chosen, shards=1), few)
    _warn_of_small_shards(settings_of("shards=100", "method=minhash"), few)
    _warn_of_small_shards(replace(chosen, shards=2), few._replace(text_size_bytes=2**22))
    assert not caplog.text
