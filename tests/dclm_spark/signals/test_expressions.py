"""Expressions of a recipe: what they read and compare, and what is refused before Spark starts."""

import pyarrow as pa
import pytest

from dclm_spark.errors import SettingError
from dclm_spark.signals.expressions import ANY, BOOLEAN, NUMBER, understand

COLUMNS = {
    "edu": pa.float64(), "num_words": pa.int32(), "url": pa.string(), "topic": pa.string(),
    "fair": pa.bool_(), "doc_id": pa.binary(),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "columns", "left", "threshold"),
    [
        ("edu >= 0.018112D", {"edu"}, "edu", 0.018112),
        ("0.5 < EDU", {"edu"}, "EDU", 0.5),
        ("(num_words + 1 <= -3)", {"num_words"}, "num_words + 1", -3.0),
        ("edu > 0.5 AND fair", {"edu", "fair"}, None, None),
        ("topic IN ('a', 'b')", {"topic"}, None, None),
        ("topic = 'a'", {"topic"}, None, None),
        ("edu BETWEEN 0 AND 1", {"edu"}, None, None),
        ("exists(split(url, '/'), part -> part = 'a')", {"url"}, None, None),
        ("CASE WHEN edu > 0.5 THEN true END", {"edu"}, None, None),
        ("length(url) % 10 < 3", {"url"}, "LENGTH(url) % 10", 3.0),
    ],
)
def test_a_condition_says_what_it_reads_and_what_it_compares(text, columns, left, threshold):
    found = understand("rules.a", text, COLUMNS, BOOLEAN)
    assert found.columns == columns
    assert (found.left, found.threshold) == (left, threshold)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("eduu > 1", "no column is called 'eduu': did you mean edu"),
        ("t.edu > 1", "no column is called 't.edu'"),
        ("zzz > 1", "known are edu, num_words, url"),
        ("edu + 1", "it gives DOUBLE; expected a condition"),
        ("url", "it gives STRING; expected a condition"),
        ("edu >", "not a Spark SQL expression: an argument of GT is missing in line 1, column 5"),
        ("edu > (1", "not a Spark SQL expression: Expecting"),
        ("", "expected one Spark SQL expression"),
        ("edu > 1; DROP TABLE x", "expected one Spark SQL expression"),
        ("rand() < 0.5", r"rand\(\) says something else each time"),
        ("now() > '2020-01-01'", r"now\(\) says something else each time"),
        ("current_date > '2020-01-01'", r"current_date\(\) says something else each time"),
        ("uuid() = url", r"uuid\(\) says something else each time"),
        ("avg(edu) > 1", "it has an aggregate over other documents"),
        ("rank() OVER (ORDER BY edu) > 1", "it has a window over other documents"),
        ("edu > (SELECT 1)", "it has a query"),
        ("edu > :limit", "it has a parameter"),
        (
            "regexp_cont(url, 'a') > 1",
            r"unknown function .*: did you mean regexp_count",
        ),
    ],
)
def test_what_cannot_be_a_condition_on_a_document_is_refused(text, reason):
    with pytest.raises(SettingError, match=rf"^rules\.a = .*{reason}"):
        understand("rules.a", text, COLUMNS, BOOLEAN)


def test_the_type_that_is_asked_for_counts():
    assert understand("repeat", "IF(fair, 2, 0.5)", COLUMNS, NUMBER).kind == pa.float64()
    assert understand("bucket", "concat(topic, '-', num_words)", COLUMNS, ANY).kind == pa.string()
    with pytest.raises(SettingError, match="repeat = 'fair': it gives BOOLEAN; expected a number"):
        understand("repeat", "fair", COLUMNS, NUMBER)
    with pytest.raises(SettingError, match="gives ARRAY<STRING>; expected a value"):
        understand("bucket", "split(url, '/')", COLUMNS, ANY)
