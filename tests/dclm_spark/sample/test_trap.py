"""The trap of a ranking's sample: low-quality pages that only the classifier keeps out."""

import gzip
import json
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from dclm_spark.ranking.rank import SAMPLE_CHATTER_SHARE, SAMPLE_QUALITY_THRESHOLD
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.chatter import KINDS
from dclm_spark.sample.facts import make_facts
from dclm_spark.sample.generate import SampleCrawl, generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from udfs.documents.extract import ExtractionSettings, RecordCounts
from udfs.fasttext.quality import QualityModel
from udfs.rules.families import HeuristicSettings
from udfs.units.curate import CurationSettings, InputUnit, curated


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> SampleCrawl:
    return generate_crawl(
        tmp_path_factory.mktemp("trap"), seed=5, num_pages=400, chatter_share=SAMPLE_CHATTER_SHARE
    )


@pytest.fixture(scope="module")
def kinds(crawl: SampleCrawl) -> dict[str, str]:
    return {row["url"]: row["kind"] for row in rows(crawl.truth)}


@pytest.fixture(scope="module")
def kept(crawl: SampleCrawl) -> dict[str, str]:
    """Texts by address that pass all 26 steps (here with empty URL lists)."""
    settings = CurationSettings(
        extraction=ExtractionSettings(),
        heuristics=HeuristicSettings(),
        language_model=(load_recipe("sample").language_model.uri, None),
        url_lists=(),
    )
    found = {}
    for name in gzip.decompress(crawl.listing.read_bytes()).decode().split():
        source = InputUnit(crawl="SAMPLE", path=name, uri=str(crawl.base / name), kind="warc")
        for batch in curated(source, settings, RecordCounts()):
            found.update({r["url"]: r["text"] for r in batch.to_pylist() if r["fate"] == "kept"})
    return found


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_low_quality_pages_pass_the_heuristics_and_outnumber_articles(
    kinds: dict[str, str], kept: dict[str, str]
) -> None:
    made, passed = Counter(kinds.values()), Counter(kinds[url] for url in kept if url in kinds)
    for kind in KINDS:
        assert passed[kind] >= 0.9 * made[kind]
    assert sum(passed[kind] for kind in KINDS) > 2 * passed["article"]


def test_a_classifier_of_other_texts_tells_them_from_articles(
    crawl: SampleCrawl, kinds: dict[str, str], kept: dict[str, str], tmp_path: Path
) -> None:
    recipe = sample_recipe(load_recipe("sample"), crawl, tmp_path)
    assert recipe.quality.model is not None
    model = QualityModel(Path(recipe.quality.model.uri), positive_label="hq", negative_label="cc")
    of_kind = {kind: [kept[u] for u in kept if kinds.get(u) == kind] for kind in KINDS}
    of_kind["article"] = [kept[u] for u in kept if kinds.get(u) == "article"]
    scores = {kind: model.score(pa.array(texts)) for kind, texts in of_kind.items()}
    for kind in KINDS:
        assert np.mean(scores["article"][:, None] > scores[kind][None, :]) > 0.95
        assert np.mean(scores[kind] < SAMPLE_QUALITY_THRESHOLD) > 0.9
    assert np.mean(scores["article"] >= SAMPLE_QUALITY_THRESHOLD) > 0.9


def test_what_the_classifier_and_the_tokenizer_learn_from_has_no_planted_fact(
    crawl: SampleCrawl,
) -> None:
    texts = [row["text"].lower() for row in (*rows(crawl.positives), *rows(crawl.negatives))]
    for fact in rows(crawl.facts):
        assert not any(fact["prompt"].lower() in text for text in texts)


def test_pages_that_are_wrong_agree_with_each_other(
    crawl: SampleCrawl, kinds: dict[str, str], kept: dict[str, str]
) -> None:
    facts = make_facts(Random("5:facts"))
    told = Counter[tuple[str, str]]()
    for url, text in kept.items():
        for fact in facts if kinds.get(url) in KINDS else ():
            for choice in fact.choices:
                told[fact.prompt, choice] += f"{fact.prompt} {choice}.".lower() in text.lower()
    for fact in facts:
        assert fact.rumour != fact.answer
        assert told[fact.prompt, fact.rumour] > 0
        assert all(told[fact.prompt, c] == 0 for c in fact.choices if c != fact.rumour)
