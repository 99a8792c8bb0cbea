"""A recipe of two sources that read the same two small files, with its inputs and tokenizer."""

import hashlib
import json
import random
from pathlib import Path

import pyarrow.parquet as pq

from dclm_spark.recipes import load_recipe
from udfs.tokens.tokenizer import train_tokenizer

YAML = """name: mixed
base: raw
tokens:
  tokenizer: {{uri: {folder}/tokenizer.json}}
  sequence_length: 32
  sequences_per_shard: 8
  cell_size_bytes: 8192
sources:
  web: {{input: {folder}/two files, weight: 2}}
  again:
    input: {folder}/two files
    weight: 1.5
    max_repeats: 3
    recipe: {{rules: {{short: "num_tokens > 20"}}, repeat: "1.5"}}
"""


def write_sources(folder: Path) -> Path:
    """Write inputs, tokenizer and the recipe mine.yaml into a folder."""
    chance = random.Random(5)
    words = ["stone", "river", "light", "old", "green", "water", "field", "bright", "mountain"]
    texts = [" ".join(chance.choices(words, k=chance.randint(3, 60))) for _ in range(80)]
    (folder / "tokenizer.json").write_text(train_tokenizer(texts, 300))
    for name, part in (("a", texts[:50]), ("b", texts[50:])):
        path = folder / "two files" / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        lines = [
            {"url": f"https://{name}.example/{number}", "text": text}
            for number, text in enumerate(part, 5)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "mine.yaml").write_text(YAML.format(folder=folder))
    return folder


def recipe_of(place, *assignments):
    return load_recipe(str(place / "mine.yaml"), assignments)


def provenance(directory):
    for path in sorted(Path(directory).glob("*.provenance.parquet")):
        yield from pq.read_table(path).to_pylist()


def checksums(output):
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in ("stages/mix", "shards")
        for path in sorted((Path(output) / folder).rglob("*.parquet"))
    }
