"""Near duplicates and repeated n-grams of any frame, by ids of any type."""

import pytest
from pyspark.sql import functions as F

from dclm_spark.errors import SettingError
from dclm_spark.library.near_copies import (
    near_duplicate_clusters,
    near_duplicate_pairs,
    without_near_duplicates,
)
from dclm_spark.library.ngram_copies import repeated_ngrams, without_repeated_ngrams

pytestmark = pytest.mark.spark

WORDS = [f"word{number}" for number in range(120)]
# Numbers 0 to 2 are near duplicates of one another; 4 has no word, 5 no text.
TEXTS = [
    " ".join(WORDS),
    " ".join([*WORDS[:-1], "other"]),
    " ".join([*WORDS[:-2], "one", "more", "word"]),
    " ".join(f"else{number}" for number in range(120)),
    "",
    None,
]
ID_TYPES = {
    "string": "concat('page ', number)",
    "binary": "cast(concat('raw', number) as binary)",
    "struct": "struct('crawl' as crawl, cast(number as decimal(20, 3)) as place)",
}


def frame_of(spark, texts=TEXTS, expression="number"):
    rows = spark.createDataFrame(list(enumerate(texts)), "number int, text string")
    return rows.withColumn("id", F.expr(expression))


@pytest.mark.long
@pytest.mark.parametrize("kind", ID_TYPES)
def test_near_duplicates_are_found_by_ids_of_any_type(spark, kind):
    frame = frame_of(spark, expression=ID_TYPES[kind])
    kept = frame.transform(without_near_duplicates)
    assert kept.columns == frame.columns
    assert sorted(row["number"] for row in kept.collect()) == [0, 3, 4, 5]


@pytest.mark.long
def test_clusters_say_which_row_stays_by_the_preferred_columns(spark):
    frame = frame_of(spark).withColumn("a.b", F.col("number") % 2)
    found = frame.transform(near_duplicate_clusters, prefer=("-a.b",))
    rows = {row["number"]: (row["cluster"], row["duplicate_of"]) for row in found.collect()}
    assert rows == {
        0: (0, 1), 1: (0, None), 2: (0, 1), 3: (None, None), 4: (None, None), 5: (None, None)
    }  # fmt: skip


def test_pairs_have_the_real_similarity(spark):
    pairs = frame_of(spark).transform(near_duplicate_pairs).collect()
    assert {frozenset((row["id"], row["partner"])) for row in pairs} <= {
        frozenset(pair) for pair in ((0, 1), (0, 2), (1, 2))
    }
    assert {row["id"] for row in pairs} | {row["partner"] for row in pairs} == {0, 1, 2}
    # 116 shingles each, of which the last one differs.
    assert 115 / 117 in {row["similarity"] for row in pairs}


@pytest.mark.long
def test_a_later_call_with_other_rows_knows_nothing_of_an_earlier_one(spark):
    first = frame_of(spark).transform(without_near_duplicates)
    changed = [TEXTS[3], TEXTS[1], "nothing like it at all", TEXTS[3]]
    second = frame_of(spark, changed).transform(without_near_duplicates)
    assert sorted(row["number"] for row in second.collect()) == [0, 1, 2]
    assert sorted(row["number"] for row in first.collect()) == [0, 3, 4, 5]


def test_what_a_search_cannot_do_is_said_before_it_begins(spark):
    frame = frame_of(spark).withColumn("pairs", F.expr("map(1, 2)"))
    with pytest.raises(SettingError, match=r"threshold = 0.2: .* set recall=0.95"):
        frame.transform(near_duplicate_pairs, threshold=0.2)
    with pytest.raises(SettingError, match="id = 'pairs': the column is map<int,int>"):
        frame.transform(near_duplicate_pairs, id="pairs")
    with pytest.raises(SettingError, match="id = 'partner': the result has a column of this name"):
        frame.transform(near_duplicate_pairs, id="partner")
    with pytest.raises(SettingError, match="prefer = 'scor': the frame has no such column"):
        frame.transform(without_near_duplicates, prefer="-scor")


def test_repeated_lines_go_from_the_later_text(spark):
    line, own = " ".join(WORDS[:40]), " ".join(WORDS[40:80])
    texts = [line, f"{line}\n{own} and its own", line, None, ""]
    frame = frame_of(spark, texts, ID_TYPES["string"])
    found = frame.transform(repeated_ngrams).orderBy("number").collect()
    assert [row["ngram_rule"] for row in found] == [
        None, None, "contained_ngrams", None, "empty_text"
    ]  # fmt: skip
    assert found[1]["unique_text"].strip() == f"{own} and its own"
    kept = frame.transform(without_repeated_ngrams).orderBy("number").collect()
    assert [row["number"] for row in kept] == [0, 1, 3]
    assert [row["text"] for row in kept] == [line, found[1]["unique_text"], None]


def test_the_first_owner_is_chosen_by_the_order(spark):
    frame = frame_of(spark, [TEXTS[0], TEXTS[0]]).withColumn("rank", -F.col("number"))
    kept = frame.transform(without_repeated_ngrams, order=("rank",)).collect()
    assert [row["number"] for row in kept] == [1]
