# %% [markdown]
# # A first look at a crawl
#
# From WARC files to a filtered, deduplicated corpus of token shards, in a notebook. The crawl is
# the embedded sample: pages that are generated on this machine, so nothing is downloaded.
# `docs/library.md` tells what each function does; `docs/execute_notebook.py` made this notebook
# of `docs/quickstart.py`.

# %%
import logging
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import dclm_spark
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe

logging.disable(logging.WARNING)
builder = SparkSession.builder.master("local[2]").config("spark.sql.shuffle.partitions", 2)
spark = builder.getOrCreate()
folder = Path(tempfile.mkdtemp())
crawl = generate_crawl(folder / "sample", seed=7, num_pages=300)

# %% [markdown]
# ## Pages and their texts
#
# A row of `pages` is a record of a WARC; `extract_text` parses its HTML.

# %%
pages = dclm_spark.read_warc(spark, str(crawl.listing), base=str(crawl.base))
texts = pages.transform(dclm_spark.extract_text).drop("html").cache()
texts.groupBy("extraction_rule").count().orderBy(F.desc("count"), "extraction_rule").show()

# %% [markdown]
# ## What a recipe says
#
# The rules of DCLM-BASELINE with the sample's lists of addresses. Nothing is filtered: each text
# gets a fate, and the rule that decided it.

# %%
recipe = sample_recipe(load_recipe("sample"), crawl, folder / "sample")
with_text = texts.where("text is not null and text != ''")
judged = with_text.transform(
    dclm_spark.judge_texts, recipe=recipe, url="url", cleaned_text="cleaned"
).cache()
rules = judged.groupBy("fate", "rule").count().orderBy(F.desc("count"), "rule")
rules.show(12, truncate=False)

# %%
counts = rules.where("rule is not null").limit(12).collect()[::-1]
plt.figure(figsize=(8, 4))
plt.barh([row["rule"] for row in counts], [row["count"] for row in counts], color="#4472a8")
plt.title("Texts dropped, by rule")
plt.xlabel("texts")
plt.tight_layout()
plt.show()

# %% [markdown]
# ## Copies and quality
#
# Near duplicates leave first, the better one of each pair staying; then the classifier chooses.

# %%
kept = judged.where("fate = 'kept'").select("doc_id", "url", F.col("cleaned").alias("text"))
scored = kept.transform(dclm_spark.quality_score, model=recipe.quality.model).cache()
unique = scored.transform(
    dclm_spark.without_near_duplicates, id="doc_id", prefer=("-quality_score",)
).cache()
good = unique.where("quality_score >= 0.5")
for name, frame in (("kept", kept), ("unique", unique), ("good", good)):
    print(f"{name:8} {frame.count():5} texts")

# %%
scores = [row["quality_score"] for row in unique.select("quality_score").collect()]
plt.figure(figsize=(8, 3))
plt.hist(scores, bins=40, range=(0, 1), color="#4472a8")
plt.axvline(0.5, color="#b03030")
plt.title("Quality scores; the texts right of the line stay")
plt.xlabel("score")
plt.ylabel("texts")
plt.tight_layout()
plt.show()

# %% [markdown]
# ## Tokens and shards

# %%
tokens = recipe.tokens
counted = good.transform(dclm_spark.count_tokens, tokenizer=tokens.tokenizer)
counted.select(
    F.count("*").alias("texts"), F.sum("num_tokens").alias("tokens"),
    F.round(F.avg("num_tokens"), 1).alias("tokens a text"),
).show()  # fmt: skip
corpus = str(folder / "corpus")
manifest = dclm_spark.write_shards(good, corpus, id="doc_id", url="url", tokens=tokens)
for shard in manifest["shards"]:
    print(shard["path"], shard["num_sequences"], "sequences of", manifest["tokens_per_row"], "ids")

# %% [markdown]
# `jobs/train_model.py --shards CORPUS/shards` trains on these. For a crawl of any size run
# `dclm-spark build_baseline`: it resumes, keeps books of every record, and writes a report.
