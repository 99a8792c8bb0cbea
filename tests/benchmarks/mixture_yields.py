"""The four recipes of docs/recipes.md on real pages with stand-ins, and a column of one's own.

    python tests/benchmarks/mixture_yields.py INPUT QUALITY FOLDER [--limit FILES]

QUALITY is a folder with positive.jsonl.zst and negative.jsonl.zst (texts). Stand-ins: `edu` tells
these apart, `facts` and `chat` do with a half of them each, `topics` and `formats` have learnt
labels by chance. The recipes decide over the same documents, those of their base. Prints their
yields as Markdown; then what the engine costs beside a Python function that makes a column: CPU per
document of the signal's file, less that of the function itself, against the floor (reading,
decoding and parsing a page) measured in turn.
"""

import argparse
import json
import random
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.measure.chain import decode_pages, extract_pages, read_pages
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.deciding import score_candidates
from dclm_spark.session import spark_session
from dclm_spark.signals.mixture_yield import YieldRow, exact_yield
from tests.udfs.fasttext.fasttext_training import train
from udfs.cpu_clock import cpu_seconds
from udfs.documents.extract import ExtractionSettings
from udfs.signals.functions import ARGUMENTS, call, find_function
from udfs.signals.measures import FunctionMeasure
from udfs.signals.signed_files import DOC_ID, sign_file
from udfs.storage.parquet import read_table
from udfs.tokens.tokenizer import train_tokenizer
from udfs.units.output import UnitOutput

ROOT = Path(__file__).parents[2]
BLOCKS = [
    block.split("```")[0].removeprefix("yaml\n")
    for block in (ROOT / "docs" / "recipes.md").read_text().split("```")
    if block.startswith("yaml\nname: ") and "sources:" not in block
]
FUNCTION = """import pyarrow.compute as pc

def letters(batch):
    return pc.cast(pc.count_substring_regex(batch.column("text"), "[a-z]"), "double")
"""


def texts_of(path: Path) -> list[str]:
    content = zstandard.ZstdDecompressor().stream_reader(path.open("rb")).read().decode()
    return [json.loads(line)["text"] for line in content.splitlines()]


def write_models(quality: Path, folder: Path) -> None:
    models, chance = folder / "models", random.Random(7)
    models.mkdir(parents=True, exist_ok=True)
    good, bad = (texts_of(quality / f"{name}.jsonl.zst") for name in ("positive", "negative"))
    labelled = [("hq", text) for text in good[:1300]] + [("cc", text) for text in bad[:1300]]
    chance.shuffle(labelled)
    half = len(labelled) // 2
    parts = {"edu": labelled, "facts": labelled[:half], "chat": labelled[half:]}
    for name, labels in (("topics", "science shopping travel"), ("formats", "list prose")):
        parts[name] = [(chance.choice(labels.split()), text) for _, text in labelled]
    for name, part in parts.items():
        lines = [f"__label__{label} {' '.join(text.split()[:200])}" for label, text in part]
        (folder / name).mkdir(exist_ok=True)
        _, path = train(folder / name, lines, dim=8, epoch=5, lr=0.5)
        path.rename(models / f"{name}.bin")
    (folder / "tokenizer.json").write_text(train_tokenizer(good[:500] + bad[:500], 8192))
    for block in BLOCKS:
        name = block.splitlines()[0].removeprefix("name: ")
        (folder / f"{name}.yaml").write_text(block.replace("models/", f"{models}/"))


def yield_lines(name: str, rows: list[YieldRow]) -> list[str]:
    kept = [row for row in rows if row.rule is None]
    dropped: dict[str, int] = defaultdict(int)
    for row in rows:
        dropped[row.rule or ""] += row.documents if row.rule else 0
    rules = ", ".join(f"{rule} {count:,}" for rule, count in dropped.items() if rule)
    parts: dict[str, int] = defaultdict(int)
    for row in kept:
        parts[row.bucket or "-"] += row.corpus_tokens
    largest = sorted(parts.items(), key=lambda one: -one[1])[:3]
    shown = ", ".join(f"{bucket} {tokens:,}" for bucket, tokens in largest)
    sums = [sum(values) for values in zip(*(
        (row.documents, row.corpus_documents, row.tokens, row.corpus_tokens) for row in kept
    ), strict=True)]  # fmt: skip
    return [f"| {name} | {' | '.join(f'{one:,}' for one in sums)} | {rules} | {shown} |"]


def function_overhead(kept: list[str], folder: Path, files: list[object]) -> None:
    path = folder / "letters.py"
    path.write_text(FUNCTION)
    function = find_function(f"{path}:letters")
    measure = FunctionMeasure(name="letters", function=function, kind=pa.float64())
    # One file, as that of a WARC would be: a unit's own cost is not that of a document.
    batches = [batch for uri in kept for batch in read_table(uri, ARGUMENTS.names)]
    table = folder / "kept.parquet"
    pq.write_table(pa.Table.from_batches(batches), table, compression="zstd")
    given = [
        pa.RecordBatch.from_arrays(
            [batch.column(one.name).cast(one.type) for one in ARGUMENTS], schema=ARGUMENTS
        )
        for batch in batches
    ]
    documents = sum(batch.num_rows for batch in given)
    size = sum(pc.sum(pc.binary_length(batch.column("text"))).as_py() for batch in given)

    def own() -> None:
        for batch in given:
            call(function, batch)

    def whole() -> None:
        schema = pa.schema([DOC_ID, *measure.fields])
        with UnitOutput(str(folder / "signed"), "unit", schema, folder="signals") as output:
            sign_file({"uri": str(table)}, output, measure)
            output.commit("key")

    policy = ExtractionSettings().effective_charset_policy

    def floor() -> int:
        return len(extract_pages(decode_pages(read_pages(files), policy)))

    pages, spent = floor(), defaultdict(list)
    for _ in range(4):
        for name, work in (("own", own), ("whole", whole), ("floor", floor)):
            start = cpu_seconds()
            work()
            spent[name].append(cpu_seconds() - start)
    own_s, whole_s, floor_s = (min(spent[name]) for name in ("own", "whole", "floor"))
    beside = (whole_s - own_s) / documents
    print(
        f"own column: {documents:,} documents, {size / 1e6:.1f} MB: function {own_s:.3f} s, whole "
        f"{whole_s:.3f} s; {beside * 1e6:.0f} us a document beside the function, "
        f"{beside / (floor_s / pages):.2%} of the floor ({floor_s / pages * 1e3:.2f} ms a page of "
        f"{pages:,})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input")
    parser.add_argument("quality", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    write_models(given.quality, given.folder)
    spark = spark_session("mixture_yields", "local[2]")
    changed = [f"tokens.tokenizer.uri={given.folder}/tokenizer.json", "tokens.padding_id=1",
               "deduplication.shards=100"]  # fmt: skip
    recipes = {
        name: load_recipe(f"{given.folder}/{name}.yaml", changed)
        for name in (block.splitlines()[0].removeprefix("name: ") for block in BLOCKS)
    }
    output = str(given.folder / "run")
    built = build_baseline(
        spark, recipe=recipes["curve"], inputs=given.input, output=output, limit=given.limit
    )
    print(f"records {built.documents.documents()}, candidates {built.candidates.rows('kept/'):,}")
    print(
        "| recipe | documents | copies | tokens | tokens of all copies | dropped | largest parts |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, recipe in recipes.items():

        def place(stage: str, name: str = name) -> str:
            return str(given.folder / name / "stages" / stage)

        scored = score_candidates(spark, recipe, built.candidates, place, with_tokens=True)
        rows = exact_yield(spark, scored.candidates, scored.decision)
        print("\n".join(yield_lines(name, rows)), flush=True)
    kept = [file["uri"] for file in built.candidates.files("kept/")]
    spark.stop()
    function_overhead(kept, given.folder, list_inputs(given.input, None, given.limit))


if __name__ == "__main__":
    main()
