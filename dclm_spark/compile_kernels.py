"""Compile the kernels ahead of a first run, without Spark.

    python -m dclm_spark.compile_kernels

The first process that calls a kernel compiles it, and keeps the machine code for all processes of
the machine (`__pycache__` beside the sources, or NUMBA_CACHE_DIR). For a whole run that is a minute
of CPU, which several tasks that begin together would each spend: so the set-up does it once. What
is compiled already costs nothing; what is left out here is compiled when it is called.
"""

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dclm_spark.crawl.listing import find_inputs
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import Recipe, curation_settings
from dclm_spark.sample.generate import SampleCrawl, generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from udfs.dedup.duplicate_lines import line_keys, remove_lines
from udfs.dedup.global_ngrams import GlobalNgramSettings, ngram_occurrences, remove_seen
from udfs.dedup.minhash import MinHashSettings, signatures
from udfs.dedup.ngrams import NgramDedupSettings, ShardDeduplicator, count_ngrams
from udfs.dedup.passages import PassageSettings, passage_keys
from udfs.dedup.shingles import jaccard
from udfs.documents.formats import InputUnit
from udfs.documents.schema import KEPT
from udfs.fasttext.quality import QualityModel
from udfs.storage.cache import fetch
from udfs.tokens.order import permuted_positions
from udfs.tokens.tokenizer import encode, load_encoder
from udfs.units.curate import curated
from udfs.warc.reader import RecordCounts

# Enough for every kind of page that the sample has.
NUM_PAGES = 700
# By the time that they take to compile; each process takes the next.
PARTS = ("sample", "fineweb", "c4", "dedup")


def _kept_texts(sample: SampleCrawl, recipe: Recipe) -> Iterator[pa.Array]:
    """Yield what the documents stage keeps of one file of the sample."""
    settings = curation_settings(recipe)
    file = find_inputs(str(sample.listing), str(sample.base), 1).files[0]
    source = InputUnit(crawl=file.crawl, path=file.path, uri=file.uri, kind=file.kind)
    for batch in curated(source, settings, RecordCounts()):
        yield batch.filter(pc.equal(batch.column("fate"), KEPT)).column("text")


def _compile_run(sample: SampleCrawl, recipe: Recipe) -> None:
    """Take a file through what the stages of a run call, up to its tokens."""
    settings = NgramDedupSettings()
    deduplicator = ShardDeduplicator(100_000, settings, 0)
    encoder = load_encoder(recipe.tokens.tokenizer)
    for texts in _kept_texts(sample, recipe):
        count_ngrams(texts, settings)
        left = deduplicator.deduplicate(texts).text
        if recipe.quality.model is not None:
            QualityModel(fetch(recipe.quality.model.uri)).score(left)
        encode(left, encoder)
    permuted_positions(0, 1, 1, recipe.tokens.seed)


def _compile_dedup(texts: pa.Array) -> None:
    """Call what the other methods of dedup are made of."""
    signatures(texts, MinHashSettings())
    jaccard(texts, texts, MinHashSettings().ngram)
    line_keys(texts)
    none = np.zeros(len(texts) + 1, np.int64)
    remove_lines(texts, none, np.empty(0, np.int32))
    ngram_occurrences(texts, GlobalNgramSettings())
    counts = np.empty(0, np.int64)
    remove_seen(texts, none, np.empty(0, np.int32), counts, GlobalNgramSettings())
    passage_keys(texts, PassageSettings())


def _compile(part: str, folder: str) -> None:
    # One text of many kinds of characters is enough where only texts are looked at.
    if part == "dedup":
        _compile_dedup(pa.array(["One line.\nAnother, 7 words long, with ä and 中.", ""]))
        return
    sample = generate_crawl(Path(folder), num_pages=NUM_PAGES)
    recipe = load_recipe(part, [])
    if part == "sample":
        _compile_run(sample, sample_recipe(recipe, sample, Path(folder)))
        return
    for _ in _kept_texts(sample, recipe):
        pass


def compile_kernels() -> None:
    """Compile what the runs of all recipes call most, in as many processes as there are cores."""
    processes = min(len(PARTS), os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        generate_crawl(Path(folder), num_pages=NUM_PAGES)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, context) as pool:
            for _ in pool.map(_compile, PARTS, [folder] * len(PARTS)):
                pass


if __name__ == "__main__":
    compile_kernels()
