"""Functions of the user's own: found, tried, called, and what is said of those that fail."""

import pyarrow as pa
import pytest

from udfs.signals.functions import ARGUMENTS, call, find_function, probe

SHARE = """
import pyarrow as pa
import pyarrow.compute as pc

EMOJI = "[\\U0001F300-\\U0001FAFF]"

def emoji_share(batch):
    found = pc.count_substring_regex(batch["text"], EMOJI)
    return pc.divide(found.cast(pa.float64()), pc.add(pc.utf8_length(batch["text"]), 1))

def words(batch):
    return [1] * batch.num_rows

def short(batch):
    return pa.array([1])

def unknown(batch):
    return pa.nulls(batch.num_rows)

def broken(batch):
    return batch["texts"]
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "mine.py").write_text(SHARE)
    return str(tmp_path / "mine.py")


def documents(*texts):
    rows = [dict.fromkeys(ARGUMENTS.names) | {"text": text} for text in texts]
    return pa.RecordBatch.from_pylist(rows, ARGUMENTS)


def test_a_function_of_a_file_goes_along_as_its_text(file):
    found = find_function(f"{file}:emoji_share")
    assert found.source == SHARE
    assert probe(found) == pa.float64()
    assert call(found, documents("ab\U0001f600", "abc")).to_pylist() == [0.25, 0.0]


def test_another_text_of_the_file_is_another_function(file, tmp_path):
    before = find_function(f"{file}:emoji_share")
    (tmp_path / "mine.py").write_text(SHARE.replace(", 1))", ", 2))"))
    after = find_function(f"{file}:emoji_share")
    assert before != after
    assert call(after, documents("ab\U0001f600")).to_pylist() == [0.2]


def test_a_function_of_a_module_stays_where_it_is():
    found = find_function("tests.udfs.signals.test_functions:first_letters")
    assert found.source is None
    assert probe(found) == pa.string()
    assert call(found, documents("ab", "")).to_pylist() == ["a", ""]


def first_letters(batch):
    return pa.array([text[:1] for text in batch["text"].to_pylist()])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none", "the module has no function none"),
        ("words", "it returned list; expected a pyarrow.Array"),
        ("short", "it returned 1 values for 2 documents"),
        ("unknown", "its column is of type null; expected numbers, booleans or text"),
        ("broken", "it failed on two made-up documents: KeyError"),
    ],
)
def test_a_function_that_gives_no_column_is_refused(file, name, reason):
    with pytest.raises(ValueError, match=reason):
        probe(find_function(f"{file}:{name}"))


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("mine.py", "expected FILE.py:FUNCTION or MODULE:FUNCTION"),
        ("nowhere.py:f", "there is no file nowhere.py"),
        ("no_such_module:f", "no module no_such_module is installed here"),
    ],
)
def test_a_place_without_a_function_is_refused(named, reason):
    with pytest.raises(ValueError, match=reason):
        find_function(named)
