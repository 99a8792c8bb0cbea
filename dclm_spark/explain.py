"""The history of one page: every record of its URL (or id), what each stage decided, its text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.run_record import check_one_source, check_readable, source_runs
from dclm_spark.errors import InputError
from dclm_spark.mixture.mix import STAGE as MIX
from dclm_spark.page_index.lookup import INDEXED, PageIndex, read_row, usable_index
from udfs import storage
from udfs.documents.formats import InputFormat, InputUnit, Reading, format_of, read_unit
from udfs.documents.one_page import extract_one
from udfs.documents.parts import WHOLE, parts_of
from udfs.documents.sites import site_of
from udfs.storage.parquet import python_values

if TYPE_CHECKING:
    from dclm_spark.recipes.recipe import Recipe

# Rows of a registered domain in a page of `list_site`.
LISTED = 50
_HIDDEN = {"text", "tokens", "text_hash", "order_key", "cell"}
_ID_HEX_DIGITS = 32
_COLUMN_WIDTH = 54


@dataclass(frozen=True, kw_only=True)
class StageRow:
    """What one stage committed about a document: its row without the text, and the text's bytes."""

    stage: str
    row: dict[str, Any]
    text: str | None
    # The folder of the run; of a run of several sources, that of the source.
    run: str = ""


def explain(output: str, page: str) -> list[list[StageRow]]:
    """Return the history of each document that `page` (a URL or 32 hex digits of an id) names.

    One list per document (of a run of several sources, of each source), in the order of the stages.
    Raises InputError when no stage has it, and SettingError for a run of another version's format.
    """
    check_readable(output)
    sources = source_runs(output)
    found = [
        history
        for run in sources.values() or [output]
        for history in _histories(run, page).values()
    ]
    for history in found:
        if sources and history[-1].stage == "tokenize":
            history += _mixed(output, history[0])
    if not found:
        raise InputError(
            f"{page}: no record of {output} has this URL or id; URLs are compared as they stand "
            "in the WARC, scheme included"
        )
    return found


def _histories(output: str, page: str) -> dict[bytes, list[StageRow]]:
    index = usable_index(output)
    rows = _scanned(output, page) if index is None else _looked_up(index, page)
    found: dict[bytes, list[StageRow]] = {}
    for stage, row in rows:
        found.setdefault(row["doc_id"], []).append(_stage_row(output, stage, row))
    return found


def _stage_row(run: str, stage: str, row: dict[str, Any]) -> StageRow:
    shown = {name: value for name, value in row.items() if name not in _HIDDEN}
    return StageRow(run=run, stage=stage, row=shown, text=row.get("text"))


def _mixed(output: str, first: StageRow) -> list[StageRow]:
    """Return what the mix stage says of a document of a source; nothing where it was dropped."""
    source = first.run.rpartition("/")[2]
    rows = _rows(storage.join(output, "stages", MIX), first.row["doc_id"].hex())
    return [_stage_row(first.run, MIX, row) for row in rows if row["source"] == source]


def list_site(output: str, site: str, *, page: int) -> list[dict[str, Any]]:
    """Return the first stage's rows of a registered domain, LISTED a page, from page 1 on.

    Raises InputError where the run has no index of its present data.
    """
    check_readable(output)
    check_one_source(output)
    index = usable_index(output)
    if index is None:
        raise InputError(f"{output} has no index: python jobs/index_pages.py --output {output}")
    places = index.by_site(site_of(site.lower()), (page - 1) * LISTED, LISTED)
    return [read_row(place) for place in places]


def _looked_up(index: PageIndex, page: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield stage and row of a page by the index, whose hashes may be another's too."""
    column, value = _key(page)
    ids = [value]
    if column == "url":
        rows = map(read_row, index.by_url(page))
        ids = [row["doc_id"] for row in rows if row["url"] == page]
    for doc_id in ids:
        assert isinstance(doc_id, bytes)
        for place in index.by_id(doc_id):
            row = read_row(place)
            if row["doc_id"] == doc_id:
                yield place.stage, row


def _scanned(output: str, page: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield stage and row of a page by reading the keys of all files."""
    for stage in INDEXED:
        for row in _rows(storage.join(output, "stages", stage), page):
            yield stage, row


def _rows(directory: str, page: str) -> Iterator[dict[str, Any]]:
    column, value = _key(page)
    for uri in storage.list_files(directory):
        if not uri.endswith(".parquet"):
            continue
        with storage.open_seekable(uri) as source:
            file = pq.ParquetFile(source)
            for group in range(file.num_row_groups):
                keys = file.read_row_group(group, columns=[column]).column(column)
                mask = pc.equal(keys, value)
                if pc.any(mask).as_py():
                    table = file.read_row_group(group).filter(mask)
                    columns = {name: python_values(table[name]) for name in table.column_names}
                    yield from (
                        {name: values[row] for name, values in columns.items()}
                        for row in range(table.num_rows)
                    )


def _key(page: str) -> tuple[str, str | bytes]:
    if len(page) == _ID_HEX_DIGITS and all(letter in "0123456789abcdef" for letter in page):
        return "doc_id", bytes.fromhex(page)
    return "url", page


def final_text(output: str, history: list[StageRow], inputs: Sequence[InputFile] = ()) -> str:
    """Return the document's latest text; a page without one is extracted again from its WARC.

    `inputs` say where the input files lie now; without them, where they lay in the run. Raises
    InputError for a file whose address was signed: what signs it is not on record.
    """
    texts = [entry.text for entry in history if entry.text is not None]
    if texts:
        return texts[-1]
    return _text_from_input(output, history[0].row, inputs)


def _text_from_input(output: str, row: dict[str, Any], inputs: Sequence[InputFile]) -> str:
    from dclm_spark.recipes.recipe import Recipe
    from dclm_spark.settings import from_dict

    uri = _input_uri(output, (row["crawl"], row["warc_path"]), inputs)
    recipe = from_dict(Recipe, _yaml(output))
    found = format_of(row["warc_path"])
    if found is None or found.has_pages:
        return extract_one(uri, row["warc_offset"], recipe.extraction)
    return _given_text(uri, found, row, recipe)


def _given_text(uri: str, found: InputFormat, row: dict[str, Any], recipe: "Recipe") -> str:
    """Return the text that stands at a position of a file, "" for none; the file is read again."""
    path, parts = row["warc_path"], [WHOLE]
    if found.is_divisible(path):
        parts = parts_of(storage.size_bytes(uri), recipe.input.part_size_bytes)
    reading = Reading(extraction=recipe.extraction, columns=recipe.input)
    for part in parts:
        unit = InputUnit(
            crawl=row["crawl"], path=path, uri=uri, kind=found.name, start=part.start, end=part.end
        )
        for batch in read_unit(unit, reading):
            is_there = pc.equal(batch.column("warc_offset"), row["warc_offset"])
            for text in batch.filter(is_there).column("text").to_pylist():
                return text or ""
    return ""


def _input_uri(output: str, file: tuple[str, str], inputs: Sequence[InputFile]) -> str:
    given = {(one.crawl, one.path): one.uri for one in inputs}
    if file in given:
        return given[file]
    recorded = json.loads(storage.read_bytes(storage.join(output, "inputs.json")))
    entry = next(one for one in recorded if (one["crawl"], one["path"]) == file)
    if inputs or entry.get("signed"):
        reason = "--input does not name it" if inputs else "what signed its address is not kept"
        raise InputError(
            f"{entry['uri']}: the text has to be read from this input again, but {reason}; "
            "give the --input and --base of the run, freshly signed"
        )
    return str(entry["uri"])


def _yaml(output: str) -> dict[str, Any]:
    from dclm_spark.yaml_text import read_yaml

    uri = storage.join(output, "recipe.yaml")
    content: dict[str, Any] = read_yaml(storage.read_bytes(uri).decode(), uri)
    return content


def describe(history: list[StageRow]) -> str:
    """Return the history as lines for a terminal: one block per stage, the verdict last."""
    first = history[0].row
    lines = [
        f"{first['url']}",
        f"  id {first['doc_id'].hex()}  {first['warc_path']} at {first['warc_offset']}",
    ]
    for entry in history:
        lines.append(f"  {entry.stage}: {_verdict(entry.row)}")
        lines += [
            f"    {name} = {_shown(value)}"
            for name, value in entry.row.items()
            if value is not None and name not in _ALREADY_SHOWN
        ]
    return "\n".join(lines)


_ALREADY_SHOWN = {
    "doc_id", "url", "crawl", "warc_path", "warc_offset", "fate", "stage", "rule", "value",
    "threshold", "error", "evaluation_hits",
}  # fmt: skip


def side_by_side(output: str, history: list[StageRow]) -> str:
    """Return the evaluation items that a page holds beside what it says there, in two columns.

    "" for a page that holds none, or a run that did not look for items.
    """
    lines: list[str] = []
    before = ""
    for entry in history:
        for hit in entry.row.get("evaluation_hits") or ():
            item = _item(output, hit["task"], hit["item"])
            said = before.encode()[hit["start"] : hit["end"]].decode(errors="replace")
            lines.append(
                f"  {hit['task']} item {hit['item']}, {hit['part']}: coverage "
                f"{hit['coverage']:.2f}, score {hit['score']:.2f}, "
                + ("leaks" if hit["leaks"] else "does not leak")
            )
            parts = ("question", "answer") if hit["part"] == "question" else (hit["part"],)
            lines += _columns(" ".join(item[part] for part in parts if item[part]), said)
        before = entry.text if entry.text is not None else before
    return "\n".join(lines)


def _item(output: str, task: str, number: int) -> dict[str, Any]:
    uri = storage.join(output, "stages", "decontaminate", "items.jsonl")
    for line in storage.read_bytes(uri).decode().split("\n"):
        item: dict[str, Any] = json.loads(line)
        if (item["task"], item["number"]) == (task, number):
            return item
    raise InputError(f"{uri} has no item {number} of {task}; the run wrote another index since")


def _columns(left: str, right: str) -> list[str]:
    pairs = zip_longest(wrap(left, _COLUMN_WIDTH), wrap(right, _COLUMN_WIDTH), fillvalue="")
    return [f"    {one:<{_COLUMN_WIDTH}} | {other}" for one, other in pairs]


def _verdict(row: dict[str, Any]) -> str:
    if "source" in row:
        return f"{row['repeats']} copies in the corpus"
    if "fate" not in row:
        return f"{row['num_tokens']:,} tokens"
    if row["fate"] == "kept":
        return "kept"
    parts = [f"{row['fate']} by {row['rule']}"]
    if row["value"] is not None:
        parts.append(f"value {row['value']:.6g} against {_shown(row['threshold'])}")
    if row["error"]:
        parts.append(row["error"])
    return ", ".join(parts)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return f"{value:.6g}" if isinstance(value, float) else str(value)
