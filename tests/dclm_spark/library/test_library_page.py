"""The examples of docs/library.md run as they stand, in order, on the pages of a small crawl."""

import re
import shutil
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "library.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def test_there_are_ten_examples_and_the_first_has_three_lines():
    assert len(EXAMPLES) == 10
    assert len([line for line in EXAMPLES[0].splitlines() if line]) == 3


def test_every_function_has_an_example_or_is_named():
    import dclm_spark

    text = PAGE.read_text()
    assert [name for name in dclm_spark.__all__ if name not in text] == []


@pytest.mark.long
@pytest.mark.spark
def test_the_examples_run(spark, run, tmp_path, monkeypatch, capsys):
    listing = tmp_path / "crawl-data" / "CC-MAIN-2024-10" / "warc.paths.gz"
    shutil.copytree(run.crawl.base / "crawl-data", tmp_path / "crawl-data")
    listing.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(run.crawl.listing, listing)
    shutil.copy(run.recipe.quality.model.uri, tmp_path / "quality.bin")
    shutil.copy(run.recipe.tokens.tokenizer.uri, tmp_path / "tokenizer.json")
    monkeypatch.chdir(tmp_path)
    names = {"spark": spark}
    for example in EXAMPLES:
        exec(compile(example, str(PAGE), "exec"), names)
    assert "dropped" in capsys.readouterr().out
    assert names["english"].count() >= names["kept"].count() > 0
    assert names["scored"].count() >= names["unique"].count() > 0
    assert names["pairs"].columns == ["doc_id", "partner", "similarity"]
    assert names["labelled"].where("kind = 'hq'").count() > 0
    whole = names["partition"].selectExpr("abs(kind_hq + kind_cc - 1) < 1e-6 as whole")
    assert {row["whole"] for row in whole.distinct().collect()} == {True}
    assert 0 <= names["shares"].collect()[0][0] < 1
    assert names["clean"].count() == names["texts"].count()
    assert names["counted"].collect()[0][0] == sum(
        len(row["token_ids"]) for row in names["ids"].select("token_ids").collect()
    )
    assert names["manifest"]["sequence_length"] == 256
    assert (tmp_path / "corpus" / "shards" / "manifest.json").is_file()
