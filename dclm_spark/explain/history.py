"""The history of one page: every record of its URL (or id), what each stage decided, its text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.run_record import (
    existing_run,
    language_runs,
    run_of_source,
    source_runs,
)
from dclm_spark.errors import InputError
from dclm_spark.mixture.mix import STAGE as MIX
from dclm_spark.page_index.lookup import INDEXED, PageIndex, read_row, usable_index
from dclm_spark.removal.removed_by import removed_by
from udfs import storage
from udfs.documents.formats import InputFormat, InputUnit, Reading, format_of, read_unit
from udfs.documents.one_page import extract_one
from udfs.documents.parts import WHOLE, parts_of
from udfs.documents.schema import KEPT, document_id
from udfs.storage.parquet import python_values
from udfs.units.language_texts import ROUTE_STAGE

if TYPE_CHECKING:
    from dclm_spark.recipes.recipe import Recipe

_HIDDEN = {"text", "tokens", "text_hash", "order_key", "cell"}
_ID_HEX_DIGITS = 32
# Files that a message names.
_NAMED_FILES = 3


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
    existing_run(output)
    sources, languages = source_runs(output), language_runs(output)
    found = [
        history
        for run in sources.values() or [output]
        for history in _histories(run, page).values()
    ]
    if languages:
        found = [_in_its_language(output, history) for history in found]
    for history in found:
        if sources and history[-1].stage == "tokenize":
            history += _mixed(output, history[0])
        history += _removal(history)
    if not found:
        raise InputError(_not_there(output, page))
    return found


def _not_there(output: str, page: str) -> str:
    """Return why no record has what was asked for: it was compacted, or never there."""
    column, value = _key(page)
    if column == "url":
        for run in (output, *language_runs(output).values()):
            (removal,) = removed_by(corpus_of(run), [(b"", str(value))])
            if removal:
                return (
                    f"{page}: removed by {removal}. No record of {output} has this URL: the run "
                    "read none, or --compact blanked it, and only its id finds it"
                )
    return (
        f"{page}: no record of {output} has this URL or id; URLs are compared as they stand "
        "in the WARC, scheme included; a record without one is found by --file and --offset"
    )


def corpus_of(run: str) -> str:
    """Return the folder of the shards that documents of a run are in."""
    whole = run_of_source(run)
    return storage.join(whole[0] if whole else run, "shards")


def _removal(history: list[StageRow]) -> list[StageRow]:
    """Return what took a document out of the corpus; nothing for one that stays or never was in."""
    first, run = history[0].row, history[-1].run
    if history[-1].row.get("fate", KEPT) != KEPT:
        return []
    (removal,) = removed_by(corpus_of(run), [(first["doc_id"], first["url"])])
    row = {"removed": f"removed by {removal}"}
    return [StageRow(run=run, stage="removal", row=row, text=None)] if removal else []


def _in_its_language(output: str, history: list[StageRow]) -> list[StageRow]:
    """Add to what a run in several languages read what became of it in its language."""
    language, page = history[0].row.get("language"), history[0].row["doc_id"].hex()
    rows = _rows(storage.join(output, "stages", ROUTE_STAGE), page)
    history = [*history, *(_stage_row(output, ROUTE_STAGE, row) for row in rows)]
    own = language_runs(output).get(language or "")
    return history + (_histories(own, page).get(history[0].row["doc_id"], []) if own else [])


def _histories(output: str, page: str) -> dict[bytes, list[StageRow]]:
    index = usable_index(output)
    rows = _scanned(output, page) if index is None else _looked_up(index, page)
    found: dict[bytes, list[StageRow]] = {}
    for stage, row in rows:
        url = index.address(row["partner"]) if index and row.get("partner") else None
        told = row | {"partner_url": url} if url else row
        found.setdefault(row["doc_id"], []).append(_stage_row(output, stage, told))
    return found


def _stage_row(run: str, stage: str, row: dict[str, Any]) -> StageRow:
    shown = {name: value for name, value in row.items() if name not in _HIDDEN}
    return StageRow(run=run, stage=stage, row=shown, text=row.get("text"))


def _mixed(output: str, first: StageRow) -> list[StageRow]:
    """Return what the mix stage says of a document of a source; nothing where it was dropped."""
    source = first.run.rpartition("/")[2]
    rows = _rows(storage.join(output, "stages", MIX), first.row["doc_id"].hex())
    return [_stage_row(first.run, MIX, row) for row in rows if row["source"] == source]


def id_at(output: str, file: str, offset: int) -> str:
    """Return the id, in hex, of the record at `offset` of an input file of a run.

    `file` is the path of the file in its listing, or the end of it. Raises InputError where the
    run has read no such file, or several.
    """
    existing_run(output)
    listed = json.loads(storage.read_bytes(storage.join(output, "inputs.json")))
    found = [one for one in listed if one["path"] == file]
    found = found or [one for one in listed if one["path"].endswith(f"/{file.lstrip('/')}")]
    if len(found) != 1:
        told = ", ".join(one["path"] for one in (found or listed)[:_NAMED_FILES])
        raise InputError(
            f"--file {file}: {len(found)} of the {len(listed)} input files of {output} are named "
            f"so; some of {'these' if found else 'all'}: {told}"
        )
    return document_id(found[0]["crawl"], found[0]["path"], offset).hex()


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
    if len(page) == _ID_HEX_DIGITS and all(letter in "0123456789abcdefABCDEF" for letter in page):
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
    uri = _input_uri(output, (row["crawl"], row["warc_path"]), inputs)
    recipe = run_recipe(output)
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


def run_recipes(history: Sequence[StageRow]) -> "dict[str, Recipe]":
    """Return the recipe that judged each row, by its run: that of a language is its own.

    What became of a document in a mixture of sources is told by the recipe of its source.
    """
    first = history[0].run
    runs = {entry.run for entry in history}
    return {run: run_recipe(run if run.startswith(first) else first) for run in runs}


def run_recipe(output: str) -> "Recipe":
    """Return the recipe of a run, as it was resolved."""
    from dclm_spark.recipes.recipe import Recipe
    from dclm_spark.settings import from_dict
    from dclm_spark.yaml_text import read_yaml

    uri = storage.join(output, "recipe.yaml")
    return from_dict(Recipe, read_yaml(storage.read_bytes(uri).decode(), uri))
