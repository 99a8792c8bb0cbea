"""Signals beside documents: their columns, their version, and a table of somebody else's."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.engine.file_stage import FileStage, UnitSource
from dclm_spark.errors import SettingError
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.deciding import check_decisions, known_columns
from dclm_spark.recipes.recipe import curation_settings
from dclm_spark.signals.signal_tables import write_signal
from udfs.documents.schema import EXTRACTED
from udfs.signals.signal_settings import SignalSettings
from udfs.units.fates import with_fate

RAW = load_recipe("raw")
LENGTH = """
import pyarrow.compute as pc

def length(batch):
    return pc.utf8_length(batch["text"])
"""


def write_pages(source, output):
    names = [f"{source['name']}{number}" for number in range(50)]
    rows = [
        dict.fromkeys(EXTRACTED.names)
        | {"doc_id": name.encode().ljust(16), "url": f"https://{name}.example/", "text": name}
        for name in names
    ]
    batch = pa.RecordBatch.from_pylist(rows, EXTRACTED)
    none = pa.nulls(batch.num_rows, pa.string())
    output.write(with_fate(batch, stage="pages", rule=none, value=none, threshold=none))


@pytest.fixture(scope="module")
def documents(spark, tmp_path_factory):
    stage = FileStage(name="pages", schema=EXTRACTED, process=write_pages)
    given = [UnitSource(unit=name, identity=name, source={"name": name}) for name in "ab"]
    return stage.run(spark, given, str(tmp_path_factory.mktemp("pages")))


@pytest.fixture
def function(tmp_path):
    (tmp_path / "mine.py").write_text(LENGTH)
    return SignalSettings(function=f"{tmp_path}/mine.py:length")


def values(table, unit):
    return pq.read_table(f"{table.output.directory}/signals/{unit}.parquet").to_pydict()


@pytest.mark.spark
def test_a_function_is_called_on_the_executors_and_its_text_is_part_of_the_key(
    spark, documents, function, tmp_path
):
    curation = curation_settings(RAW)
    place = str(tmp_path / "length")
    table = write_signal(spark, documents, ("length", function), curation, place)
    assert values(table, "a")["length"] == [2] * 10 + [3] * 40
    assert table.output.totals["columns"]["length"]["nulls"] == 0
    assert table.ranks("length").shares.tolist() == [0.0, 0.2]
    before = table.output.units["key"].to_pylist()
    (tmp_path / "mine.py").write_text(LENGTH.replace("(batch", "(batch  "))
    again = write_signal(spark, documents, ("length", function), curation, place)
    assert set(again.output.units["key"].to_pylist()).isdisjoint(before)
    assert again.output.fingerprint == table.output.fingerprint


@pytest.mark.spark
@pytest.mark.parametrize("key", ["url", "doc_id"])
def test_a_table_is_joined_by_its_key_in_the_order_of_the_documents(
    spark, documents, tmp_path, key
):
    names = [f"{unit}{number}" for unit in "cba" for number in range(0, 50, 2)]
    keys = {
        "url": [f"https://{name}.example/" for name in names],
        "doc_id": [name.encode().ljust(16).hex() for name in names],
    }
    rows = {key: [*keys[key], keys[key][-1]], "rank": [*range(len(names)), 0]}
    pq.write_table(pa.table(rows), tmp_path / "ranks.parquet")
    settings = SignalSettings(table=f"{tmp_path}/ranks.parquet", key=key)
    table = write_signal(
        spark, documents, ("rank", settings), curation_settings(RAW), str(tmp_path / key)
    )
    expected = [None if number % 2 else 50 + number // 2 for number in range(50)]
    # Of two rows with one key the smaller counts.
    expected[48] = 0
    found = values(table, "a")
    assert found["doc_id"] == [f"a{number}".encode().ljust(16) for number in range(50)]
    assert found["rank"] == expected
    assert table.output.totals["columns"]["rank"]["nulls"] == 50


def test_columns_are_known_before_spark_starts(function, tmp_path):
    pq.write_table(pa.table({"url": ["a"], "rank": [1], "site": ["b"]}), tmp_path / "t.parquet")
    recipe = replace(
        RAW,
        signals={
            "length": function,
            "host": SignalSettings(table=f"{tmp_path}/t.parquet", key="url"),
            "c4": SignalSettings(family="c4"),
        },
    )
    known = known_columns(recipe)
    assert known["length"] == pa.int64()
    assert known["length_rank"] == pa.float64()
    assert (known["host_rank"], known["host_site"]) == (pa.int64(), pa.string())
    assert known["c4_language"] == pa.string()
    assert known["num_words"] == pa.int32()
    assert known["num_tokens"] == pa.int64()


@pytest.mark.parametrize(
    "name", ["num_words", "Value", "text", "rule", "repeats", "bucket", "unit", "quality_score"]
)
def test_a_signal_cannot_have_the_name_of_a_column_that_is_there_or_comes(name, function):
    with pytest.raises(SettingError, match=rf"signals\.{name}: there is a column '{name}' already"):
        known_columns(replace(RAW, signals={name: function}))
    with pytest.raises(SettingError, match="there is a column 'MINE' already"):
        known_columns(replace(RAW, signals={"mine": function, "MINE": function}))


def test_expressions_see_the_columns_of_the_rule_that_decontaminates():
    known = known_columns(
        load_recipe("raw", ["decontamination.data=eval", "decontamination.rule=items"])
    )
    assert known["masked_size_bytes"] == pa.int64()
    assert "evaluation_ngrams" not in known
    assert "evaluation_ngrams" in known_columns(load_recipe("raw", ["decontamination.data=eval"]))
    assert "evaluation_ngrams" not in known_columns(RAW)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("signals.a.tabel", "x", "did you mean signals.a.table"),
        ("signals.a.labels", "[b]", r"signals\.a\.model: a signal has one of .* not none of them"),
        (
            "signals.a.family",
            "gopher",
            r"signals\.a\.family = .*expected one of refinedweb",
        ),
    ],
)
def test_a_signal_that_says_too_little_is_refused(key, value, reason):
    with pytest.raises(SettingError, match=reason):
        check_decisions(load_recipe("raw", [f"{key}={value}"]))


@pytest.mark.parametrize(
    ("assignments", "reason"),
    [
        (["signals.a.function=nowhere.py:f"], r"signals\.a\.function: .*there is no file"),
        (["signals.a.table=nowhere.parquet"], r"signals\.a\.table = 'nowhere\.parquet': "),
        (["signals.url.family=c4", "rules.r=url_languag = 'en'"], "did you mean url_language"),
        (["rules.repeat=num_words > 1"], "rules: 'repeat' cannot name a rule"),
        (["rules.r=quality_score > 1"], "no column is called 'quality_score'"),
        (["rules.r=bucket > 1"], "no column is called 'bucket'"),
        (["rules.r=text > ''"], "no column is called 'text'"),
        (["repeat=url"], "it gives STRING; expected a number"),
        (["signals.num_tokens.family=c4"], "'num_tokens' is there already"),
    ],
)
def test_what_a_recipe_cannot_have_is_an_error_before_spark_starts(assignments, reason):
    with pytest.raises(SettingError, match=reason):
        check_decisions(load_recipe("raw", assignments))


def test_names_of_the_user_s_own_are_added_changed_and_removed():
    given = ["rules.b=num_words > 1", "rules.a=num_words > 2"]
    recipe = load_recipe("raw", given)
    assert list(recipe.rules) == ["b", "a"]
    assert dict(load_recipe("raw", [*given, "rules.b=null"]).rules) == {"a": "num_words > 2"}
