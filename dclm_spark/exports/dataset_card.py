"""The card of a data set of texts: what it is, how it came about, checksums of its files."""

import json
from collections.abc import Sequence
from typing import Any

from dclm_spark.engine.books import STAGE_MANIFEST
from dclm_spark.engine.stage_output import StageOutput
from dclm_spark.html_pages.quantities import bytes_text
from udfs import storage

CARD, CHECKSUMS, RECIPE = "README.md", "SHA256SUMS", "recipe.yaml"
_TOP_RULES = 10
_LICENCE = """The texts are those of web pages and belong to their authors; this card grants no
right to them. What was read from Common Crawl is under its terms of use
(https://commoncrawl.org/terms-of-use). Statements of pages on their use are columns where the
recipe asks for them (`courteous`)."""


def write_card(
    stages: Sequence[StageOutput], written: StageOutput, *, run: str, recipe: str, output: str
) -> None:
    """Write README.md (a card as Hugging Face shows it), recipe.yaml and SHA256SUMS.

    `stages` are those of the run that gave fates, in order, and `recipe` is its recipe as YAML.
        `sha256sum -c SHA256SUMS` checks the files.
    """
    files = written.files("")
    sums = "".join(f"{file['sha256']}  {file['path']}\n" for file in files)
    texts = {CHECKSUMS: sums, RECIPE: recipe, CARD: _card(stages, files, run)}
    for name, text in texts.items():
        storage.write_bytes(storage.join(output, name), text.encode())


def _card(stages: Sequence[StageOutput], files: list[dict[str, Any]], run: str) -> str:
    rows = sum(file["rows"] for file in files)
    size = sum(file["size_bytes"] for file in files)
    suffix = files[0]["path"].partition(".")[2] if files else "parquet"
    record = json.loads(storage.read_bytes(storage.join(run, "run.json")))
    tokens = _tokens(run)
    return "\n".join(
        [
            *_front_matter(suffix),
            f"# {record['recipe_name']}",
            "",
            f"{rows:,} documents in {len(files)} files, {bytes_text(size)}"
            + (f"; {tokens:,} tokens in the shards of the run." if tokens else "."),
            f"Made by dclm-spark {record['versions'].get('dclm-spark', '')}, recipe "
            f"`{record['recipe_name']}` ({record['recipe_hash']}), input {record['input_hash']}, "
            f"code {record['code_version']}.",
            "",
            "## What became of the pages",
            "",
            *_funnel(stages),
            "",
            "## Why pages were dropped",
            "",
            *_rules(stages),
            "",
            "## Recipe",
            "",
            f"[{RECIPE}]({RECIPE}) has every setting.",
            "",
            "## Licence",
            "",
            _LICENCE,
            "",
            "## Checksums",
            "",
            f"`sha256sum -c {CHECKSUMS}`",
            "",
        ]
    )


def _front_matter(suffix: str) -> list[str]:
    """Return what tells `datasets` which files are the data."""
    return [
        "---",
        "license: other",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        f"    path: data/*.{suffix}",
        "---",
    ]


def _funnel(stages: Sequence[StageOutput]) -> list[str]:
    lines = ["| stage | documents in | kept | dropped | quarantined |", "|---|--:|--:|--:|--:|"]
    for stage in stages:
        fates = stage.documents()
        counts = [sum(fates.values()), *fates.values()]
        lines.append(f"| {stage.stage} | {' | '.join(f'{count:,}' for count in counts)} |")
    return lines


def _rules(stages: Sequence[StageOutput]) -> list[str]:
    counts: dict[tuple[str, str], int] = {}
    for stage in stages:
        summary = json.loads(storage.read_bytes(storage.join(stage.directory, STAGE_MANIFEST)))
        for entry in summary["counts"]:
            if entry["rule"]:
                key = (stage.stage, entry["rule"])
                counts[key] = counts.get(key, 0) + entry["documents"]
    top = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_TOP_RULES]
    lines = [f"| {stage} | {rule} | {count:,} |" for (stage, rule), count in top]
    return ["| stage | rule | documents |", "|---|---|--:|", *lines]


def _tokens(run: str) -> int:
    """Return the tokens of the run's shards but of removed documents, 0 where it has none."""
    try:
        manifest = json.loads(storage.read_bytes(storage.join(run, "shards", "manifest.json")))
    except storage.MissingObjectError:
        return 0
    removed = sum(spans["num_tokens"] for spans in manifest.get("removed", ()))
    return int(manifest["num_tokens"] - manifest["num_padding_tokens"] - removed)
