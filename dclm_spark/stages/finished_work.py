"""Finished work of another run in the same output: found before anything is overwritten."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.manifests import check_format, committed_names, delete_many, file_of_unit
from dclm_spark.engine.run_record import RunIdentity, read_run_record
from dclm_spark.errors import SettingError
from dclm_spark.stages.documents import unit_name
from udfs import storage
from udfs.storage.stream import shown
from udfs.units.commit import FORMAT_VERSION, MANIFESTS, manifest_uri


def check_finished_work(
    output: str, identity: RunIdentity, files: Sequence[InputFile], documents: str
) -> None:
    """Raise SettingError when running `identity` on `files` would replace or remove finished units.

    `output` says itself which recipe and which input it holds. More input files are no error; files
    that are missing now are one where their units in the folder `documents` are finished.
    """
    before = read_run_record(output)
    if before is None:
        return
    check_format(before, output)
    if before["recipe_hash"] != identity.recipe_hash:
        _refuse_recipe(output, before, identity)
    if before["input_hash"] != identity.input_hash:
        _refuse_input(output, files, documents)


def remove_other_formats(output: str, directories: Iterable[str]) -> None:
    """Remove what other versions of this package committed: of a run, and of stages elsewhere."""
    before = read_run_record(output)
    if before is not None and before.get("format_version") != FORMAT_VERSION:
        for folder in ("stages", "shards"):
            delete_many(storage.list_files(storage.join(output, folder)))
    for directory in directories:
        names = committed_names(directory)
        first = _read(manifest_uri(directory, names[0])) if names else None
        if first is not None and first.get("format_version") != FORMAT_VERSION:
            delete_many(storage.list_files(directory))


def _refuse_recipe(output: str, before: dict[str, Any], identity: RunIdentity) -> None:
    units = sum(f"/{MANIFESTS}/" in uri for uri in storage.list_files(output))
    if units:
        raise SettingError(
            f"--output {shown(output)} holds {units} finished units of the recipe "
            f"{before['recipe_name']} ({before['recipe_hash']}), and this is "
            f"{identity.recipe_name} ({identity.recipe_hash}): give another --output, or "
            "--overwrite to replace what the two do not have in common"
        )


def _refuse_input(output: str, files: Sequence[InputFile], documents: str) -> None:
    listed = _read(storage.join(output, "inputs.json")) or []
    given = {(file.crawl, file.path) for file in files}
    gone = {
        unit_name(InputFile(crawl=one["crawl"], path=one["path"], uri="", kind="")): one["path"]
        for one in listed
        if (one["crawl"], one["path"]) not in given
    }
    names = committed_names(documents) if gone else []
    finished = [file for name in names if (file := file_of_unit(name)) in gone]
    if finished:
        raise SettingError(
            f"--output {shown(output)} holds {len(finished)} finished input files that --input "
            f"does not name (first {gone[finished[0]]}): name them too, give another --output, or "
            "--overwrite to remove what came of them"
        )


def _read(uri: str) -> Any:
    try:
        return json.loads(storage.read_bytes(uri))
    except storage.MissingObjectError:
        return None
