"""A family of rules added as one file and one line of the registry, through a run of each kind."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILE = '''
"""Pages with too many emoji."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.checks import FRACTION
from udfs.rules.batch import JudgedBatch, ratio
from udfs.rules.family import RuleFamily, Step, Tools
from udfs.rules.settings import check_fields, limit
from udfs.text.columns import Bytes, Offsets, string_column, utf8_buffers

EMOJI = "[\\U0001f300-\\U0001faff]"


@dataclass(frozen=True, kw_only=True)
class EmojiSettings:
    max_emoji_fraction: float = limit(0.1, FRACTION)

    def __post_init__(self) -> None:
        check_fields(self)


class EmojiShare(RuleFamily[EmojiSettings]):
    rules = ("emoji_share",)
    signals = (pa.field("emoji_fraction", pa.float64()),)
    settings = EmojiSettings

    def steps(self) -> tuple[Step, ...]:
        return (Step(measure=self._measure, limit=self._limit),)

    def clean(self, data: Bytes, offsets: Offsets, lists: object) -> tuple[Bytes, Offsets]:
        texts = string_column(data, offsets)
        return utf8_buffers(pc.replace_substring_regex(texts, EMOJI, ""))

    def _measure(self, batch: JudgedBatch, tools: Tools) -> None:
        texts = string_column(*batch.text)
        counts = pc.count_substring_regex(texts, EMOJI)
        batch.store("emoji_fraction", ratio(np.asarray(counts), np.asarray(pc.utf8_length(texts))))
        batch.text = self.clean(*batch.text, tools.lists)

    def _limit(self, batch: JudgedBatch) -> None:
        fraction, most = batch.signal("emoji_fraction"), self.own.max_emoji_fraction
        batch.fail("emoji_share", fraction > most, fraction, most)
'''
REGISTRY_LINE = '    "toy_emoji": EmojiShare,\n'
RUN = """
import json, sys
from dclm_spark.crawl.listing import list_inputs
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings
from dclm_spark.session import spark_session
from dclm_spark.stages.documents import write_documents
from dclm_spark.stages.scored_table import decide
from udfs.storage.parquet import read_table

spark = spark_session("toy", master="local[1]")
files = list_inputs(sys.argv[1])


def rows(stage):
    columns = ["url", "fate", "rule", "value", "threshold"]
    tables = [(f, read_table(f["uri"], columns)) for f in stage.files("")]
    found = [row for _, batches in tables for batch in batches for row in batch.to_pylist()]
    kept = [b for f in stage.files("kept/") for b in read_table(f["uri"], ["text"])]
    texts = [text for batch in kept for text in batch.column("text").to_pylist()]
    return sorted(found, key=lambda row: row["url"]), texts


def runs(*changes):
    recipe = load_recipe("raw", ["heuristics.enabled=true", "heuristics.rules=toy_emoji", *changes])
    settings = curation_settings(recipe)
    name = str(len(changes))
    read = write_documents(spark, files, settings, f"{sys.argv[2]}/read{name}")
    table = f"{sys.argv[2]}/table"
    return rows(read), rows(decide(spark, files, settings, f"{sys.argv[2]}/decided{name}", table))


print(json.dumps([runs(), runs("heuristics.toy_emoji.max_emoji_fraction=0.9")]))
"""


@pytest.fixture
def house(tmp_path):
    """Return a copy of the packages with one more file and one more line."""
    house = tmp_path / "house"
    for package in ("udfs", "dclm_spark"):
        # With the machine code of the kernels, which their unchanged times of change keep valid.
        skip = shutil.ignore_patterns("*.pyc")
        shutil.copytree(ROOT / package, house / package, ignore=skip)
    (house / "udfs/rules/toy_emoji.py").write_text(FILE)
    registry = house / "udfs/rules/families.py"
    source = registry.read_text()
    changed = re.sub(r"(FAMILIES: [^{]*\{\n)", rf"\1{REGISTRY_LINE}", source)
    assert changed.count(REGISTRY_LINE) == 1
    registry.write_text(
        changed.replace(
            "from udfs.rules.c4 import",
            "from udfs.rules.toy_emoji import EmojiShare\nfrom udfs.rules.c4 import",
        )
    )
    return house


@pytest.mark.long
@pytest.mark.spark
def test_a_family_is_one_file_and_one_line(house, tmp_path):
    pages = {
        "a": "Plain words.",
        "b": "\U0001f600\U0001f600 so",
        "c": "One \U0001f600 in all of this.",
    }
    source = tmp_path / "pages.jsonl"
    lines = [json.dumps({"url": f"http://e.org/{name}", "text": pages[name]}) for name in pages]
    source.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(source), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        cwd=house,
        env=os.environ | {"PYTHONPATH": str(house)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    strict, lax = json.loads(done.stdout.splitlines()[-1])
    for read, decided in (strict, lax):
        assert read == decided
    assert [row["rule"] for row in strict[0][0]] == [None, "emoji_share", None]
    assert strict[0][0][1]["threshold"] == 0.1
    assert strict[0][1] == ["Plain words.", "One  in all of this."]
    assert [row["rule"] for row in lax[0][0]] == [None, None, None]


def test_no_family_is_named_outside_the_registry():
    names = re.compile(r"""[=!]= *["'](?:refinedweb|c4|fineweb)["']|RULES_OF|_LISTS_OF""")
    sources = [*(ROOT / "udfs").rglob("*.py"), *(ROOT / "dclm_spark").rglob("*.py")]
    assert [str(path) for path in sources if names.search(path.read_text())] == []
