import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.errors import InputError
from dclm_spark.evaluate.tasks import TASK_BY_LABEL
from dclm_spark.measure.contamination import Planting, as_json, as_text, measure, pool_texts
from dclm_spark.measure.planted_leaks import LEAKS
from dclm_spark.report.measured import measured_decontamination
from dclm_spark.stages.decontaminate import EvaluationDataSettings, measured_kinds


def prose(seed, count):
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(10**5)}" for _ in range(count))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eval")
    task = TASK_BY_LABEL["boolq"]
    rows = [
        {
            "query": f"Passage: {prose(f'p{n // 2}', 80)}\nQuestion: {prose(f'q{n}', 20)}?",
            "choices": ["no", "yes"],
            "gold": n % 2,
        }
        for n in range(20)
    ]
    rows.append({"query": "Question: is it", "choices": ["no", "yes"], "gold": 0})
    path = folder / task.file
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(folder)


def test_planted_leaks_are_counted_by_kind_beside_clean_pages(data, tmp_path):
    pool = [prose(n, 60) for n in range(30)]
    quality = measure("boolq", data, pool, Planting(items=6))
    by_kind = {one.kind: one for one in quality.kinds}
    assert quality.unguarded == {"boolq": 1}
    assert {*LEAKS, "inside a long page"} == {one.kind for one in quality.kinds if one.leaks}
    assert (quality.leaks.pages, quality.leaks.by_items) == (42, 42)
    assert (quality.clean.pages, quality.clean.by_items) == (len(pool) + 12, 0)
    for kind in ("verbatim", "other case", "other punctuation", "inside a long page"):
        assert (by_kind[kind].pages, by_kind[kind].by_items) == (6, 6)
    source = by_kind["source of a passage"]
    assert (source.by_items, source.by_ngrams) == (0, source.pages)
    other = by_kind["other question on the passage"]
    assert (other.by_items, other.by_ngrams) == (0, other.pages)
    pages = by_kind["page of the pool"]
    assert (pages.pages, pages.by_items, pages.by_ngrams) == (30, 0, 0)
    assert "| leak: verbatim | 6 | 1.0000 | 0.6097 to 1.0000 |" in as_text(quality)
    (tmp_path / "figures.json").write_bytes(as_json(quality))
    wanted = EvaluationDataSettings(
        data=data, rule="items", measured=str(tmp_path / "figures.json")
    )
    shown = measured_decontamination(wanted)
    assert shown["Clean pages that it takes for leaks"].startswith("0 of ")
    assert measured_decontamination(EvaluationDataSettings()) == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "nosuch"), ("{", "Expecting"), ('{"kinds": [{}]}', "measure_contamination.py")],
)
def test_figures_that_cannot_be_read_are_an_error_of_the_setting(content, reason, tmp_path):
    path = tmp_path / "nosuch.json"
    if content is not None:
        path.write_text(content)
    wanted = EvaluationDataSettings(data="eval", measured=str(path))
    with pytest.raises(InputError, match=rf"decontamination\.measured = .*{reason}"):
        measured_kinds(wanted)


def test_the_pool_is_read_from_parquet_files_up_to_a_number(tmp_path):
    pq.write_table(pa.table({"text": ["a", None, "b", "c"]}), tmp_path / "one.parquet")
    assert pool_texts(str(tmp_path), 2) == ["a", "b"]
    with pytest.raises(InputError, match="no texts; expected a folder of Parquet"):
        pool_texts(str(tmp_path / "nowhere"), 2)
