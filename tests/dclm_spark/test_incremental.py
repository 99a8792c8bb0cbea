"""Two crawls through the main job: the second brings only what the first does not hold."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe

pytestmark = [pytest.mark.spark, pytest.mark.slow]


def kept_texts(output):
    folder = output / "stages" / "deduplicate" / "kept"
    return {
        text
        for path in folder.glob("*.parquet")
        for text in pq.read_table(path, columns=["text"]).column("text").to_pylist()
    }


@pytest.mark.parametrize("method", ["global", "minhash"])
def test_a_second_crawl_brings_its_new_tokens_only(spark, tmp_path, method):
    crawl = generate_crawl(tmp_path / "crawl", seed=5, num_pages=300)
    settings = [
        f"deduplication.method={method}", "deduplication.shards=2",
        "tokens.sequence_length=128", "tokens.sequences_per_shard=64",
    ]  # fmt: skip
    recipe = sample_recipe(load_recipe("sample", settings), crawl, crawl.base)
    files = sorted(str(path) for path in crawl.base.rglob("*.warc.gz"))
    half = len(files) // 2
    first, second = ",".join(files[:half]), ",".join(files[:1] + files[half:])

    def run(name, inputs, earlier=()):
        changed = replace(recipe, deduplication=replace(recipe.deduplication, earlier=earlier))
        output = tmp_path / name
        build_baseline(
            spark, recipe=changed, inputs=inputs, output=str(output), base=str(crawl.base)
        )
        return output

    april = run("april", first)
    alone = kept_texts(run("may", second))
    tokens_alone = json.loads((tmp_path / "may/shards/manifest.json").read_text())["num_tokens"]
    may = run("may", second, earlier=(str(april),))
    manifest = json.loads((may / "shards/manifest.json").read_text())
    assert manifest["num_tokens"] < tokens_alone
    assert kept_texts(may) < alone or method == "global"
    assert not {text for text in kept_texts(april) & kept_texts(may) if len(text.split()) > 40}
    new = manifest["num_tokens"] - manifest["num_padding_tokens"]
    assert f"{new:,} that these do not hold" in (may / "report.html").read_text()
    assert 'class="pair"' in (april / "report.html").read_text()
    # Off the list, and the crawl is what it was.
    assert kept_texts(run("may", second)) == alone
