"""Texts labelled once and judged by language: byte for byte what a run in one language gives."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings
from udfs.units.curate import curate_file
from udfs.units.language_texts import (
    ROUTED,
    _as_labelled,
    judge_language_file,
    label_file,
    labelled_schema,
    route_file,
)
from udfs.units.output import UnitOutput

GERMAN = (
    "Der Fluss, der durch die Stadt fließt, war den Menschen im Tal so lange vertraut, wie sie "
    "Bücher schreiben, und die ältesten davon sagen, dass er einst breit genug für Schiffe war, "
    "was heute niemand mehr von dem Bach glaubt, über den im Sommer die Kinder springen, um zu "
    "den Obstgärten auf der anderen Seite zu kommen, wo die Äpfel früh reif werden."
)
FRENCH = (
    "La rivière qui traverse la ville était connue des habitants de la vallée depuis le temps des "
    "premiers livres, et les plus anciens disent que des bateaux pouvaient y passer, ce que plus "
    "personne ne croit du petit ruisseau que les enfants sautent en été pour aller dans les "
    "vergers de l'autre côté, où les pommes sont mûres avant celles de la colline."
)
ITALIAN = "Il fiume che attraversa la città era noto agli abitanti della valle da molto tempo."
TEXTS = [
    GERMAN, FRENCH, ITALIAN, "Zu kurz, aber deutsch geschrieben.", "!!! --- ...", "",
    FRENCH.replace("enfants", "garçons"), GERMAN.replace("Kinder", "Jungen"),
]  # fmt: skip
UNIT = {"crawl": "c", "path": "a.jsonl", "kind": "json lines"}


def settings_of(language):
    return curation_settings(load_recipe("fineweb2", [f"language={language}"]))


def committed(folder, process, source, schema):
    with UnitOutput(str(folder), "unit", schema) as output:
        process(source, output)
        output.commit("key")
    return json.loads((folder / "manifests" / "unit.json").read_text())


def rows(folder, fate):
    path = folder / fate / "unit.parquet"
    return pq.read_table(path).to_pylist() if path.exists() else []


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    lines = [
        json.dumps({"url": f"https://a.example/{number}", "text": text})
        for number, text in enumerate(TEXTS)
    ]
    (folder / "a.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def labelled(place):
    settings = settings_of("fra_Latn")
    return committed(
        place / "texts",
        lambda source, output: label_file(source, output, settings),
        {**UNIT, "uri": str(place / "a.jsonl")},
        labelled_schema(settings),
    )


def test_each_language_has_row_groups_of_its_own(place, labelled):
    assert labelled["facts"]["documents_by_language"] == {
        "": 2, "deu_Latn": 3, "fra_Latn": 2, "ita_Latn": 1,
    }  # fmt: skip
    file = pq.ParquetFile(place / "texts" / "kept" / "unit.parquet")
    groups = [
        file.read_row_group(number).column("language").unique().to_pylist()
        for number in range(file.num_row_groups)
    ]
    assert groups == [[None], ["deu_Latn"], ["fra_Latn"], ["ita_Latn"]]
    assert [row["text"] for row in rows(place / "texts", "kept")[2:5]] == [
        TEXTS[0], TEXTS[3], TEXTS[7],
    ]  # fmt: skip


@pytest.mark.parametrize(("language", "kept", "rules"), [
    ("deu_Latn", [0, 7], ["top_2_gram"]),
    ("fra_Latn", [1, 6], []),
])  # fmt: skip
def test_a_language_keeps_what_its_own_run_keeps(place, labelled, language, kept, rules):
    settings = settings_of(language)
    count = labelled["facts"]["documents_by_language"][language]
    source = {
        "uri": str(place / "texts" / "kept" / "unit.parquet"), "language": language,
        "documents": count, "input": labelled["facts"]["input"],
    }  # fmt: skip
    facts = committed(
        place / language,
        lambda source, output: judge_language_file(source, output, settings),
        source,
        settings.schema,
    )
    committed(
        place / f"alone {language}",
        lambda source, output: curate_file(source, output, settings),
        {**UNIT, "uri": str(place / "a.jsonl")},
        settings.schema,
    )
    one, alone = (
        place / name / "kept" / "unit.parquet" for name in (language, f"alone {language}")
    )
    assert [row["text"] for row in rows(place / language, "kept")] == [TEXTS[n] for n in kept]
    assert one.read_bytes() == alone.read_bytes()
    assert [row["rule"] for row in rows(place / language, "dropped")] == rules
    assert facts["facts"]["records"]["response"] == count


def test_a_text_whose_language_has_no_corpus_has_a_fate_that_says_so(place, labelled):
    committed(
        place / "routed",
        lambda source, output: route_file(source, output, ["deu_Latn"], "language_not_listed"),
        {"uri": str(place / "texts" / "kept" / "unit.parquet")},
        ROUTED,
    )
    dropped = rows(place / "routed", "dropped")
    assert [(row["url"][-1], row["rule"], row["stage"]) for row in dropped] == [
        ("4", "no_language", "languages"),
        ("5", "no_language", "languages"),
        ("1", "language_not_listed", "languages"),
        ("6", "language_not_listed", "languages"),
        ("2", "language_not_listed", "languages"),
    ]
    assert len(rows(place / "routed", "kept")) == 3


def test_texts_of_rows_that_are_left_have_the_labels_on_record():
    texts = pa.array(["eins", "zwei", "eins", "drei"], pa.string())
    batch = pa.RecordBatch.from_pydict(
        {
            "text": texts,
            "language": pa.array(["deu_Latn", "nld_Latn", "deu_Latn", "deu_Latn"]),
            "language_score": pa.array([0.9, 0.6, 0.9, 0.8]),
        }
    )

    def model(_):
        raise AssertionError("the model was asked again")

    labels, scores = _as_labelled(batch, model)(texts.take(pa.array([3, 1])))
    assert labels.to_pylist() == ["deu_Latn", "nld_Latn"]
    assert scores.tolist() == [0.8, 0.6]
