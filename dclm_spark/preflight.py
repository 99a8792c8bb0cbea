"""All that can be found out before Spark starts: recipe, models, lists, input, output, disk."""

import json
import logging
import secrets
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from pathlib import Path

import pyarrow as pa

import udfs
from dclm_spark.crawl.listing import InputFile, Inputs, describe_skipped, find_inputs
from dclm_spark.errors import InputError, SettingError
from dclm_spark.html_pages.quantities import bytes_text, count_text
from dclm_spark.limits import MISSING_TEXT, WITHOUT_RECORD
from dclm_spark.planning.output_sizes import ExpectedSizes, expected_sizes
from dclm_spark.planning.text_shares import text_share
from dclm_spark.recipes.checks import check_recipe
from dclm_spark.recipes.recipe import Recipe, left_out, recipe_hash
from dclm_spark.signals.signal_tables import stage_name
from udfs import storage
from udfs.documents.formats import FORMATS, InputUnit, Reading, read_unit
from udfs.documents.given import ALL_COLUMNS
from udfs.documents.schema import OWN_COLUMNS
from udfs.home_folder import has_compiled_kernels
from udfs.storage.stream import shown
from udfs.tokens.tokenizer import load_encoder

LOGGER = logging.getLogger("dclm_spark")
_READERS = 16
_FIRST_RECORDS = 100
# Files and batches of so many records are gone through for one that is not empty.
_FIRST_FILES = 4
_FIRST_BATCHES = 10
# An estimate of the output may be twice too large; beyond that a full disk is certain.
_CERTAIN_SHARE = 0.5
# Sizes are asked for of so many files, spread over the input; the others are taken for alike.
_SIZED_FILES = 64


@dataclass(frozen=True, kw_only=True)
class CheckedRun:
    """A run that may start: its files, and their bytes as far as some of them tell."""

    inputs: Inputs
    input_size_bytes: int | None
    expected: ExpectedSizes | None
    # The first file, where it is empty: maybe others are, too.
    empty_file: str | None = None


def check_run(
    recipe: Recipe, inputs: str, output: str, *, base: str | None = None, limit: int | None = None
) -> CheckedRun:
    """Check everything that a run will need; SettingError, InputError or StorageError if not."""
    check_recipe(recipe)
    found = find_inputs(inputs, base, limit)
    size = size_of(found.files)
    empty = _empty(found.files[0])
    _check_texts(recipe, found.files)
    expected = None if size is None else _expected(recipe, found.files, size)
    check_writable(output)
    _check_space(output, expected)
    return CheckedRun(inputs=found, input_size_bytes=size, expected=expected, empty_file=empty)


def describe(recipe: Recipe, run: CheckedRun) -> list[str]:
    """Return the plan of a run as lines: what is read, which stages follow, what comes out."""
    kinds = Counter(file.kind for file in run.inputs.files)
    files = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    size = "unknown" if run.input_size_bytes is None else bytes_text(run.input_size_bytes)
    lines = [
        recipe_line(recipe),
        f"input    {len(run.inputs.files)} files ({files}), {size}",
        f"stages   {' > '.join(stages_of(recipe))}",
    ]
    if run.expected is not None:
        lines.append(
            f"expected about {bytes_text(run.expected.text_size_bytes)} of text, "
            f"{count_text(run.expected.tokens)} tokens, "
            f"{bytes_text(run.expected.output_size_bytes)} written (rough)"
        )
    if run.empty_file is not None:
        lines.append(f"warning  the first file is empty: {run.empty_file}")
    if run.inputs.skipped:
        lines.append(f"skipped  {describe_skipped(run.inputs.skipped)}")
    if not has_compiled_kernels(Path(udfs.__file__).parent):
        lines.append(
            "kernels  are not compiled here yet, which takes the first tasks a minute or two, once "
            "(ahead of a run: python -m dclm_spark.compile_kernels)"
        )
    return lines + [f"left out {key}: {meaning}" for key, meaning in left_out(recipe).items()]


def recipe_line(recipe: Recipe) -> str:
    """Return the line of a plan that names the recipe."""
    return f"recipe   {recipe.name} ({recipe_hash(recipe)}), quirks {recipe.quirks}"


def stages_of(recipe: Recipe) -> list[str]:
    """Return the stages that a recipe runs, with what decides in each."""
    deduplication = recipe.deduplication
    copies = [*deduplication.exact]
    copies += [deduplication.method_name] if deduplication.method.compares else []
    rules = recipe.heuristics.rules if recipe.heuristics.enabled else "no rules"
    quality, first = recipe.quality, recipe.quality.before_deduplication
    best = f"score >= {quality.threshold}" if quality.top is None else f"best {quality.top:.1%}"
    stages = [f"documents ({rules})", *(["score", f"quality ({best})"] if first else [])]
    stages.append(f"deduplicate ({', '.join(copies) or 'nothing'})")
    if recipe.decontamination.data is not None:
        stages.append(f"decontaminate ({recipe.decontamination.tasks})")
    stages += ["score"] if quality.enabled and not first else []
    stages += [stage_name(name) for name in recipe.signals]
    choices = [best] if quality.enabled and not first else []
    choices += [*recipe.rules, *(["repeat"] if recipe.repeat is not None else [])]
    if choices:
        stages.append(f"select ({', '.join(choices)})")
    return [*stages, "tokenize", "shards"]


def _expected(recipe: Recipe, files: Sequence[InputFile], size_bytes: int) -> ExpectedSizes | None:
    given = [file for file in files if not FORMATS[file.kind].has_pages]
    share = text_share(given, recipe.extraction, recipe.input) if given else None
    id_size = load_encoder(recipe.tokens.tokenizer).id_type.itemsize
    return expected_sizes(files, size_bytes, id_size, share)


def size_of(files: Sequence[InputFile]) -> int | None:
    """Return the bytes of `files`, from a spread sample where they are many; None if unknown."""
    step = max(1, len(files) // _SIZED_FILES)
    sample = files[::step]
    try:
        with ThreadPoolExecutor(_READERS) as pool:
            sizes = list(pool.map(_size_bytes, sample))
    except storage.MissingObjectError as error:
        raise InputError(f"--input: {error}") from error
    except storage.StorageError:
        # Some web servers do not say.
        return None
    return round(sum(sizes) / len(sizes) * len(files))


def _size_bytes(file: InputFile) -> int:
    return storage.size_bytes(file.uri) if file.stored is None else file.stored.size_bytes


def _empty(file: InputFile) -> str | None:
    """Return the name of a file that is empty; InputError for one that cannot be read."""
    try:
        with storage.open_stream(file.uri) as stream:
            first = stream.read(1)
    except (storage.StorageError, OSError) as error:
        place = shown(file.uri)
        told = str(error).removeprefix(f"{place}: ")
        raise InputError(f"--input {place}: {told}") from error
    return None if first else shown(file.uri)


def _check_texts(recipe: Recipe, files: Sequence[InputFile]) -> None:
    """Raise InputError where the first records of pre-extracted input, by format, lack a text."""
    given: dict[str, list[InputFile]] = defaultdict(list)
    for file in files:
        if not FORMATS[file.kind].has_pages:
            given[file.kind].append(file)
    for alike in given.values():
        _check_first_texts(recipe, alike[:_FIRST_FILES])


def _check_first_texts(recipe: Recipe, files: Sequence[InputFile]) -> None:
    few = replace(recipe.extraction, batch_rows=_FIRST_RECORDS)
    for file in files:
        unit = InputUnit(crawl=file.crawl, path=file.path, uri=file.uri, kind=file.kind)
        batches = read_unit(unit, Reading(extraction=few, columns=recipe.input))
        for batch in islice(batches, _FIRST_BATCHES):
            rules = batch.column("rule").to_pylist()
            if not (found := set(rules) - WITHOUT_RECORD):
                continue
            if found == {MISSING_TEXT}:
                reason = batch.column("error")[rules.index(MISSING_TEXT)]
                raise InputError(f"--input {shown(file.uri)}: {reason}")
            _warn_of_absent_columns(recipe, batch, file)
            return


def _warn_of_absent_columns(recipe: Recipe, batch: pa.RecordBatch, file: InputFile) -> None:
    """Warn of own columns of which the first records have no value: maybe they are misspelt."""
    named = [name for name in recipe.input.columns if name != ALL_COLUMNS]
    if not named:
        return
    own = batch.column(OWN_COLUMNS.name).to_pylist()
    known = {name for text in own if text for name in json.loads(text)}
    if absent := [name for name in named if name not in known]:
        LOGGER.warning(
            "input.columns: the first %d records of %s have no value of %s",
            batch.num_rows, shown(file.uri), ", ".join(absent),
        )  # fmt: skip


def check_writable(output: str) -> None:
    """Write a small file below `output` and delete it; SettingError where that is not possible.

    Folders that were not there before are deleted, too.
    """
    location = storage.absolute(output)
    probe = storage.join(location, f"writable-{secrets.token_hex(4)}.probe")
    made = _absent_folders(location)
    try:
        storage.write_bytes(probe, b"")
        storage.delete(probe)
    except OSError as error:
        raise SettingError(
            f"--output {shown(output)}: it cannot be written ({error.strerror}); give a folder or "
            "prefix that you may write to"
        ) from error
    except storage.StorageError as error:
        raise SettingError(f"--output {shown(output)}: it cannot be written: {error}") from error
    finally:
        # Another run may have begun there meanwhile, or none of them is made.
        with suppress(OSError):
            for folder in made:
                folder.rmdir()


def _absent_folders(location: str) -> list[Path]:
    """Return the folders that writing to a local location would make, the innermost first."""
    if not storage.is_local(location):
        return []
    path = storage.local_path(location)
    return list(takewhile(lambda folder: not folder.exists(), (path, *path.parents)))


def _check_space(output: str, expected: ExpectedSizes | None) -> None:
    location = storage.absolute(output)
    if expected is None or not storage.is_local(location):
        return
    if storage.exists(storage.join(location, "run.json")):
        # Some of it is written already.
        return
    path = storage.local_path(location)
    free = shutil.disk_usage(next(one for one in (path, *path.parents) if one.exists())).free
    words = f"{bytes_text(free)} are free there, and about {bytes_text(expected.output_size_bytes)}"
    if free < expected.output_size_bytes * _CERTAIN_SHARE:
        raise SettingError(
            f"--output {output}: {words} will be written; choose another disk, or fewer files with "
            "--limit"
        )
    if free < expected.output_size_bytes:
        LOGGER.warning("--output %s: %s may be written", output, words)
