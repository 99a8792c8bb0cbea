"""Held-out texts without those that the pool holds, whatever a recipe keeps of it."""

import json
from pathlib import Path
from random import Random

import pytest

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.errors import InputError
from dclm_spark.ranking.corpora import clean_heldout
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings
from dclm_spark.stages.scored_table import add_to_table

pytestmark = pytest.mark.spark

WORDS = ("river", "stone", "letter", "garden", "window", "copper", "meadow", "engine", "harbour")


def prose(seed, count=200):
    rng = Random(seed)
    return " ".join(f"{rng.choice(WORDS)}{rng.randint(0, 99)}" for _ in range(count))


def write(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


@pytest.fixture(scope="module")
def pool(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    write(folder / "pool.jsonl", [f"Menu\n{prose(number)}\nImprint" for number in range(20)])
    files = list_inputs(str(folder / "pool.jsonl"))
    texts, signals = add_to_table(
        spark, files, curation_settings(load_recipe("raw")), str(folder / "table")
    )
    assert signals is None
    return [texts]


def test_a_text_that_the_pool_quotes_is_left_out_and_one_that_shares_a_line_stays(
    spark, pool, tmp_path
):
    own = [prose(f"own {number}") for number in range(3)]
    quoted = prose(7).upper().replace(" ", ", ")
    little = f"{prose('little', 300)} {prose(3)[:160]}"
    news = write(tmp_path / "news.jsonl", [own[0], quoted, own[1], little])
    Path(news).write_text(Path(news).read_text() + '{"txt": 1}\n')
    short = write(tmp_path / "short.jsonl", ["too short to be looked for", own[2]])
    found = clean_heldout(spark, pool, (news, short), tmp_path / "heldout")
    assert [(one.num_texts, one.num_left_out) for one in found] == [(4, 1), (2, 0)]
    left = [json.loads(line)["text"] for line in Path(found[0].uri).read_text().splitlines()]
    assert left == [own[0], own[1], little]
    assert "news: 1 of 4 texts left out" in found[0].conclusion
    assert "Of the file, passed over 1: line 5 is no JSON object" in found[0].conclusion
    assert found[1].lost == ""


def test_the_pool_is_not_searched_again_for_the_same_texts(spark, pool, tmp_path):
    news = write(tmp_path / "news.jsonl", [prose("a"), prose(2)])
    first = clean_heldout(spark, pool, (news,), tmp_path / "heldout")
    assert clean_heldout(None, pool, (news,), tmp_path / "heldout") == first


def test_nothing_left_and_two_of_a_name_are_errors(spark, pool, tmp_path):
    news = write(tmp_path / "news.jsonl", [prose(4), prose(5)])
    with pytest.raises(InputError, match="the pool holds all of its 2 texts"):
        clean_heldout(spark, pool, (news,), tmp_path / "heldout")
    with pytest.raises(InputError, match="two files have the same name"):
        clean_heldout(spark, pool, (news, f"{tmp_path}/x/../news.jsonl"), tmp_path / "heldout")
