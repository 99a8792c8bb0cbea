import hashlib
import json
from pathlib import Path

import pytest
import zstandard

from dclm_spark.errors import InputError
from dclm_spark.evaluate.datasets import MissingDataError, load_task
from dclm_spark.evaluate.tasks import TASK_BY_LABEL
from tests.shared_data import SHARED, needs_shared

COPA = TASK_BY_LABEL["copa"]
ROWS = b'{"query": " It rained. ", "choices": [" so ", "but"], "gold": 0}\n'


def write_copa(root: Path, content: bytes = ROWS) -> None:
    file = root / COPA.file
    file.parent.mkdir(parents=True)
    file.write_bytes(content)


def test_top_level_strings_are_stripped_and_strings_in_lists_are_not(tmp_path: Path) -> None:
    write_copa(tmp_path)
    data = load_task(COPA, tmp_path)
    assert data.rows == [{"query": "It rained.", "choices": [" so ", "but"], "gold": 0}]
    assert data.status == "unknown"


def test_a_root_can_be_a_uri_and_its_files_compressed(tmp_path: Path) -> None:
    write_copa(tmp_path)
    plain = load_task(COPA, tmp_path)
    file = tmp_path / COPA.file
    file.with_name("copa.jsonl.zst").write_bytes(zstandard.compress(file.read_bytes()))
    file.unlink()
    assert load_task(COPA, tmp_path.as_uri()).rows == plain.rows


def test_an_absent_file_is_reported_as_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"copa.*no local_data"):
        load_task(COPA, tmp_path)


@pytest.mark.parametrize("changed", [False, True])
def test_a_file_that_differs_from_its_digest_is_refused(tmp_path: Path, changed: bool) -> None:
    write_copa(tmp_path, ROWS + (ROWS if changed else b""))
    facts = f"label\tstatus\tsha256_uncompressed\ncopa\texact\t{hashlib.sha256(ROWS).hexdigest()}\n"
    (tmp_path / "tasks.tsv").write_text(facts)
    if changed:
        with pytest.raises(InputError, match="SHA-256"):
            load_task(COPA, tmp_path)
    else:
        assert load_task(COPA, tmp_path).status == "exact"


def test_categories_come_alphabetically_with_their_file_rows(tmp_path: Path) -> None:
    jeopardy = TASK_BY_LABEL["jeopardy"]
    file = tmp_path / jeopardy.file
    file.parent.mkdir(parents=True)
    rows = [{"context": "c", "continuation": "d", "category": name} for name in "bab"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert load_task(jeopardy, tmp_path).categories() == {"a": [1], "b": [0, 2]}


@needs_shared
def test_a_wrong_password_for_gpqa_is_an_error_and_not_a_traceback() -> None:
    with pytest.raises(InputError, match="cannot decrypt"):
        load_task(TASK_BY_LABEL["gpqa_diamond"], SHARED / "eval", gpqa_password="wrong")


@needs_shared
def test_gpqa_is_decrypted_in_memory_with_four_choices_each() -> None:
    data = load_task(TASK_BY_LABEL["gpqa_diamond"], SHARED / "eval")
    assert len(data.rows) == 198
    assert all(len(row["choices"]) == 4 and 0 <= row["gold"] < 4 for row in data.rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"copa: local_data/.*copa\.jsonl at .*: the file is empty; fetch it again"),
        (ROWS + b"\nthis is no json\n", r"copa\.jsonl at .*, line 3: not JSON"),
        (
            ROWS + b'{"question": "What?", "choices": ["a", "b"], "gold": 0}\n',
            r"line 2: no row of a task, .* query, context, context_options .*"
            r"found: question, choices, gold",
        ),
        (b'["query"]\n', r"line 1: no row of a task.*found: list"),
    ],
)
def test_a_file_that_asks_nothing_is_named_with_its_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    write_copa(tmp_path, content)
    with pytest.raises(InputError, match=message):
        load_task(COPA, tmp_path)
