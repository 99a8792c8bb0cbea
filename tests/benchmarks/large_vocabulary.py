"""A corpus with a vocabulary of 131,072 ids, trained on for some steps.

    python tests/benchmarks/large_vocabulary.py INPUT FOLDER [--limit FILES] [--steps N]

Trains a byte-level BPE on the texts of INPUT as `raw` extracts them (which are then the corpus, so
that the losses say that ids are learnt and not how well a model does), writes 32-bit shards, and
takes so many steps of a model of width 64 on a CPU. Prints what the manifest and the log say.
"""

import argparse
import json
from pathlib import Path

from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.session import spark_session
from dclm_spark.settings import override
from dclm_spark.train.logs import read_log
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from udfs.storage.parquet import read_table
from udfs.tokens.tokenizer import train_tokenizer

VOCABULARY, BATCH, LENGTH = 131_072, 8, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    spark = spark_session("large_vocabulary", "local[2]")
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / "tokenizer.json"
    run = {"inputs": given.input, "output": str(given.folder / "run"), "limit": given.limit}

    def recipe(tokenizer: str):
        changes = [f"tokenizer.uri={tokenizer}", f"sequence_length={LENGTH}", "padding_id=1"]
        return load_recipe("raw", [f"tokens.{change}" for change in changes])

    # Texts do not depend on the tokenizer: the second run reads no page again.
    path.write_text(train_tokenizer(["a first run"], 300))
    texts = build_baseline(spark, recipe=recipe(str(path)), **run)
    uris = [file["uri"] for file in texts.candidates.files("kept/")]
    pages = (
        text
        for uri in uris
        for batch in read_table(uri, ["text"])
        for text in batch.column("text").to_pylist()
    )
    whole = given.folder / "large.json"
    whole.write_text(train_tokenizer(pages, VOCABULARY))
    built = build_baseline(spark, recipe=recipe(str(whole)), **run, overwrite=True)
    spark.stop()
    facts = built.shard_manifest
    names = ("dtype", "vocabulary_size", "num_tokens", "num_padding_tokens", "num_sequences")
    print(json.dumps({name: facts[name] for name in names}))
    settings = override(
        scale("test"),
        [
            f"model.sequence_length={LENGTH}", "model.width=64", f"batch_sequences={BATCH}",
            "micro_batch_sequences=2", f"tokens={given.steps * BATCH * LENGTH}",
            "observe.interval_steps=10", "observe.tensorboard=false", "loss_chunk_tokens=512",
        ],
    )  # fmt: skip
    model = given.folder / "model"
    result = train(settings, shards=built.shards.directory, output=model)
    for line in read_log(model / "log.jsonl"):
        if line["kind"] == "train":
            print(line["step"], round(line["cross_entropy"], 3), round(line["tokens_per_second"]))
    print(f"guessing evenly {result.uniform_loss:.3f}, after {given.steps} {result.final_loss:.3f}")


if __name__ == "__main__":
    main()
