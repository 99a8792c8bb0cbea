"""Every function of the library on a session, and the rows that come out, as plain values.

python every_function.py LISTING BASE MODEL TOKENIZER OUTPUT runs them on Spark Connect.
"""

import json
import sys

import dclm_spark
from dclm_spark.stages.tokenize import TokenSettings
from udfs.tokens.tokenizer import TokenizerSettings


def every_function(spark, listing, base, model, tokenizer, output):
    """Return by function the rows that it gives for the pages of a crawl."""
    pages = dclm_spark.read_warc(spark, listing, base=base)
    texts = pages.transform(dclm_spark.extract_text).where("text is not null").drop("html")
    texts = texts.selectExpr("hex(doc_id) as id", "url", "text").localCheckpoint()
    quoted = {"toy": [row["text"] for row in texts.orderBy("id").limit(2).collect()]}
    shards = TokenSettings(
        tokenizer=TokenizerSettings(uri=tokenizer),
        sequence_length=128,
        sequences_per_shard=16,
        padding_id=1,
    )
    frames = {
        "extract_text": texts,
        "identify_language": texts.transform(dclm_spark.identify_language),
        "judge_texts": texts.transform(dclm_spark.judge_texts, url="url", cleaned_text="cleaned"),
        "quality_score": texts.transform(dclm_spark.quality_score, model=model),
        "top_label": texts.transform(dclm_spark.top_label, model=model),
        "label_probabilities": texts.transform(dclm_spark.label_probabilities, model=model),
        "near_duplicate_pairs": texts.transform(dclm_spark.near_duplicate_pairs),
        "near_duplicate_clusters": texts.transform(dclm_spark.near_duplicate_clusters),
        "without_near_duplicates": texts.transform(dclm_spark.without_near_duplicates),
        "repeated_ngrams": texts.transform(dclm_spark.repeated_ngrams),
        "without_repeated_ngrams": texts.transform(dclm_spark.without_repeated_ngrams),
        "evaluation_overlap": texts.transform(dclm_spark.evaluation_overlap, evaluation=quoted),
        "count_tokens": texts.transform(dclm_spark.count_tokens, tokenizer=tokenizer),
        "token_ids": texts.transform(dclm_spark.token_ids, tokenizer=tokenizer),
    }
    rows = {
        name: sorted(json.dumps(row.asDict(), default=str) for row in frame.collect())
        for name, frame in frames.items()
    }
    manifest = dclm_spark.write_shards(texts, output, url="url", tokens=shards)
    return rows | {"write_shards": json.dumps(manifest["shards"])}


if __name__ == "__main__":
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote("local[2]").getOrCreate()
    assert "connect" in type(session).__module__
    print(json.dumps(every_function(session, *sys.argv[1:])))
    session.stop()
