"""Limits derived from texts: tails by the declared rule, a file that `language_limits` reads."""

import json

import numpy as np
import pyarrow as pa
import pytest

from dclm_spark.errors import InputError, SettingError
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.derived_limits import derive_limits, texts_of
from dclm_spark.yaml_text import read_yaml, write_yaml

SENTENCE = (
    "Il fiume che attraversa la città era noto agli abitanti della valle da molto tempo, e i più "
    "anziani dicono che un tempo ci passavano le barche, cosa che oggi nessuno crede."
)


def page(number: int) -> str:
    """Return a page of `number` % 10 headings without marks among 10 sentences of prose."""
    lines = ["Il titolo della pagina italiana"] * (number % 10)
    return "\n".join([*lines, *[f"{SENTENCE} Numero {number}, {n}." for n in range(10)]])


def test_limits_are_where_tails_of_the_prose_begin():
    pages = [page(number) for number in range(100)]
    others = ["Der Fluss, der durch die Stadt fließt, war den Menschen vertraut."] * 20
    short = ["Solo una riga italiana senza segno"] * 20
    limits, counts = derive_limits([pa.array(pages + others), pa.array(short)], "ita_Latn")
    assert counts == {"read": 140, "in_language": 120, "reference": 100}
    shares = [10 / (10 + number % 10) for number in range(100)]
    assert limits["line_punct_thr"] == round(float(np.quantile(shares, 0.1)), 3)
    repeated = [max(number % 10 - 1, 0) / (10 + number % 10) for number in range(100)]
    assert limits["dup_line_frac"] == round(float(np.quantile(repeated, 0.98)), 3)
    assert [n for n, _ in limits["top_n_grams"]] == [2, 3, 4]
    assert [n for n, _ in limits["dup_n_grams"]] == [5, 6, 7, 8, 9, 10]
    assert limits["min_avg_word_length"] < limits["max_avg_word_length"]
    assert limits["stopwords"][0] == "che"
    assert len(limits["stopwords"]) == 15
    assert 0.3 <= limits["language_score"] <= 0.9


def test_the_file_is_one_that_language_limits_reads(tmp_path):
    path = tmp_path / "pool.jsonl"
    lines = [json.dumps({"content": page(number)}) for number in range(60)]
    path.write_text("\n".join(lines))
    limits, counts = derive_limits(texts_of(str(path), None, "content", 50), "it")
    assert counts["read"] == 50
    (tmp_path / "ita_Latn.yml").write_text(write_yaml(limits))
    recipe = load_recipe(
        "fineweb2", ["language=ita_Latn", f"language_limits={tmp_path / 'ita_Latn.yml'}"]
    )
    assert recipe.heuristics.stop_words == tuple(limits["stopwords"])
    assert recipe.heuristics.fineweb2.max_newlines_per_word == limits["new_line_ratio"]
    assert read_yaml((tmp_path / "ita_Latn.yml").read_text(), "file") == limits


def test_too_few_texts_and_what_is_no_language_are_refused():
    with pytest.raises(InputError, match="of 2 texts 1 are in ita_Latn and 1 of these are prose"):
        derive_limits([pa.array([page(3), "Solo una"])], "ita_Latn")
    with pytest.raises(SettingError, match="it is no code; expected a code of language and"):
        derive_limits([], "italian")
    with pytest.raises(SettingError, match=r"did you mean ita_Latn\? the language model"):
        derive_limits([], "ita_Latm")
