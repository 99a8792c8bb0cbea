"""All that can be found out before Spark starts: recipe, models, lists, input, output, disk."""

import logging
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from dclm_spark.crawl.listing import InputFile, Inputs, describe_skipped, find_inputs
from dclm_spark.dedup.earlier import earlier_keys
from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.datasets import load_task
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.html_pages.quantities import bytes_text, count_text
from dclm_spark.limits import MISSING_TEXT
from dclm_spark.planning.output_sizes import ExpectedSizes, expected_sizes
from dclm_spark.recipes.recipe import Recipe, curation_settings, left_out, recipe_hash
from dclm_spark.settings import FileReference
from dclm_spark.stages.score import check_model
from dclm_spark.stages.tokenize import with_special_ids
from udfs import storage
from udfs.documents.preextracted import read_documents
from udfs.fasttext.model import labels_of
from udfs.html.extractors import missing_package
from udfs.languages.codes import code_of, is_code
from udfs.languages.segmenters import missing_segmenter
from udfs.storage import hub
from udfs.storage.cache import ChecksumError, fetch
from udfs.storage.stream import shown
from udfs.units.curate import url_lists

LOGGER = logging.getLogger("dclm_spark")
_READERS = 16
_FIRST_RECORDS = 100
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


def check_run(
    recipe: Recipe, inputs: str, output: str, *, base: str | None = None, limit: int | None = None
) -> CheckedRun:
    """Check everything that a run will need; SettingError, InputError or StorageError if not."""
    check_recipe(recipe)
    found = find_inputs(inputs, base, limit)
    size = size_of(found.files)
    _check_readable(found.files[0])
    _check_texts(recipe, found.files)
    expected = None if size is None else expected_sizes(found.files, size)
    check_writable(output)
    _check_space(output, expected)
    return CheckedRun(inputs=found, input_size_bytes=size, expected=expected)


def check_recipe(recipe: Recipe) -> None:
    """Fetch and open every list, model and tokenizer of a recipe, and look at what is in them."""
    _check_extractors(recipe)
    check_model(recipe.quality)
    check_references(recipe)
    url_lists(curation_settings(recipe))
    if recipe.heuristics.enabled:
        _check_language(recipe)
    if recipe.quality.enabled:
        _check_classifier(recipe)
    with_special_ids(recipe.tokens, recipe.quirks)
    earlier_keys(recipe.deduplication)
    if recipe.decontamination.data is not None:
        for task in select_tasks(recipe.decontamination.tasks):
            load_task(task, recipe.decontamination.data)


def describe(recipe: Recipe, run: CheckedRun) -> list[str]:
    """Return the plan of a run as lines: what is read, which stages follow, what comes out."""
    kinds = Counter(file.kind for file in run.inputs.files)
    files = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    size = "unknown" if run.input_size_bytes is None else bytes_text(run.input_size_bytes)
    lines = [
        f"recipe   {recipe.name} ({recipe_hash(recipe)}), quirks {recipe.quirks}",
        f"input    {len(run.inputs.files)} files ({files}), {size}",
        f"stages   {' > '.join(stages_of(recipe))}",
    ]
    if run.expected is not None:
        lines.append(
            f"expected about {bytes_text(run.expected.text_size_bytes)} of text, "
            f"{count_text(run.expected.tokens)} tokens, "
            f"{bytes_text(run.expected.output_size_bytes)} written (rough)"
        )
    if run.inputs.skipped:
        lines.append(f"skipped  {describe_skipped(run.inputs.skipped)}")
    return lines + [f"left out {key}: {meaning}" for key, meaning in left_out(recipe).items()]


def stages_of(recipe: Recipe) -> list[str]:
    """Return the stages that a recipe runs, with what decides in each."""
    deduplication = recipe.deduplication
    copies = [*deduplication.exact]
    copies += [deduplication.method_name] if deduplication.method.compares else []
    rules = recipe.heuristics.rules if recipe.heuristics.enabled else "no rules"
    stages = [f"documents ({rules})", f"deduplicate ({', '.join(copies) or 'nothing'})"]
    if recipe.decontamination.data is not None:
        stages.append(f"decontaminate ({recipe.decontamination.tasks})")
    quality = recipe.quality
    if quality.enabled:
        best = f"score >= {quality.threshold}" if quality.top is None else f"best {quality.top:.1%}"
        stages += ["score", f"select ({best})"]
    return [*stages, "tokenize", "shards"]


def references(settings: Any, prefix: str = "") -> Iterator[tuple[str, FileReference]]:
    """Yield every file that a settings tree names, with its dotted key."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, FileReference):
            yield f"{prefix}{field.name}", value
        elif is_dataclass(value):
            yield from references(value, f"{prefix}{field.name}.")


def check_references(recipe: Recipe) -> None:
    """Fetch the files that a recipe names and uses; one error names all that are out of reach."""
    missing: list[tuple[str, str]] = []
    reasons: list[str] = []
    for key, file in references(recipe):
        if key == "quality.model" and not recipe.quality.enabled:
            continue
        try:
            fetch(file.uri, file.sha256)
        except hub.UnreachableError as error:
            missing.append((key, hub.parse(file.uri).web_address))
            reasons.append(str(error))
        except (storage.StorageError, ChecksumError, OSError) as error:
            raise InputError(f"{key}: {error}") from error
        _warn_of_unpinned(key, file)
    if missing:
        raise InputError(_without_network(missing, reasons[0]))


def _without_network(missing: Sequence[tuple[str, str]], reason: str) -> str:
    addresses = " and ".join(address for _, address in missing)
    settings = " ".join(f"--set {key}.uri=FILE" for key, _ in missing)
    return (
        f"{reason}. Where there is a network, fetch {addresses}; then give {settings} "
        "(a path or URI that every executor can read)"
    )


def _warn_of_unpinned(key: str, file: FileReference) -> None:
    if file.uri.startswith(hub.SCHEME) and not (file.sha256 or hub.parse(file.uri).pinned):
        LOGGER.warning(
            "%s.uri = %s: the file may change between runs and hosts; name a commit (@REVISION) "
            "or give %s.sha256", key, file.uri, key,
        )  # fmt: skip


def _check_extractors(recipe: Recipe) -> None:
    key = "extraction.views" if recipe.extraction.views else "extraction.extractor"
    for name in recipe.extraction.extractors:
        if package := missing_package(name):
            raise SettingError(
                f"{key}: {name!r} needs the package {package}, which is not installed; install "
                "dclm-spark[extractors] here and on every executor"
            )


def _check_language(recipe: Recipe) -> None:
    known = labels_of(fetch(recipe.language_model.uri, recipe.language_model.sha256))
    language = recipe.heuristics.language
    if is_code(language):
        known = tuple(code_of(label) for label in known)
    if recipe.heuristics.family.segments_words and (package := missing_segmenter(language)):
        raise SettingError(
            f"language = {language!r}: its words need the package {package}, which is not "
            "installed; install dclm-spark[languages] here and on every executor"
        )
    if language not in known:
        raise SettingError(
            f"heuristics.language = {language!r}: the language model does not know it; expected "
            f"one of {', '.join(sorted(known))}"
        )


def _check_classifier(recipe: Recipe) -> None:
    settings = recipe.quality
    assert settings.model is not None
    try:
        labels = labels_of(fetch(settings.model.uri, settings.model.sha256))
    except ValueError as error:
        raise InputError(f"quality.model: {error}") from error
    expected = (settings.positive_label, settings.negative_label)
    if set(labels) != set(expected):
        raise SettingError(
            f"quality.positive_label, quality.negative_label = {expected!r}: the model "
            f"{shown(settings.model.uri)} has the labels {', '.join(labels[:10])}; expected the "
            "two labels of the model"
        )


def size_of(files: Sequence[InputFile]) -> int | None:
    """Return the bytes of `files`, from a spread sample where they are many; None if unknown."""
    step = max(1, len(files) // _SIZED_FILES)
    sample = files[::step]
    try:
        with ThreadPoolExecutor(_READERS) as pool:
            sizes = list(pool.map(lambda file: storage.size_bytes(file.uri), sample))
    except storage.MissingObjectError as error:
        raise InputError(f"--input: {error}") from error
    except storage.StorageError:
        # Some web servers do not say.
        return None
    return round(sum(sizes) / len(sizes) * len(files))


def _check_readable(file: InputFile) -> None:
    try:
        with storage.open_stream(file.uri) as stream:
            first = stream.read(1)
    except (storage.StorageError, OSError) as error:
        raise InputError(f"--input {shown(file.uri)}: {error}") from error
    if not first:
        LOGGER.warning("--input %s: the first file is empty", shown(file.uri))


def _check_texts(recipe: Recipe, files: Sequence[InputFile]) -> None:
    """Raise InputError where the first records of pre-extracted input all lack a text."""
    first = next((file for file in files if file.kind == "preextracted"), None)
    if first is None:
        return
    few = replace(recipe.extraction, batch_rows=_FIRST_RECORDS)
    batches = read_documents(first.uri, first.crawl, first.path, few, columns=recipe.input)
    batch = next(batches, None)
    if batch is not None and set(batch.column("rule").to_pylist()) == {MISSING_TEXT}:
        raise InputError(f"--input {shown(first.uri)}: {batch.column('error')[0]}")


def check_writable(output: str) -> None:
    """Write a small file below `output` and delete it; SettingError where that is not possible."""
    probe = storage.join(storage.absolute(output), f"writable-{secrets.token_hex(4)}.probe")
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


def _check_space(output: str, expected: ExpectedSizes | None) -> None:
    location = storage.absolute(output)
    if expected is None or not storage.is_local(location):
        return
    if storage.exists(storage.join(location, "run.json")):
        # Some of it is written already.
        return
    free = shutil.disk_usage(storage.local_path(location)).free
    words = f"{bytes_text(free)} are free there, and about {bytes_text(expected.output_size_bytes)}"
    if free < expected.output_size_bytes * _CERTAIN_SHARE:
        raise SettingError(
            f"--output {output}: {words} will be written; choose another disk, or fewer files with "
            "--limit"
        )
    if free < expected.output_size_bytes:
        LOGGER.warning("--output %s: %s may be written", output, words)
