"""How large input files are and of which version: as a listing told, or as each is asked."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from dclm_spark.crawl.input_files import InputFile
from udfs import storage

_READERS = 16
# Of so many files that no listing told of, each is asked for its size: one request each.
MAX_ASKED_FILES = 128


def with_sizes(files: Sequence[InputFile], needed: Collection[InputFile] = ()) -> list[InputFile]:
    """Return the files with what is stored there (`InputFile.stored`), None where nobody tells.

    Local files are asked, those `needed` too, and others where they are few (MAX_ASKED_FILES): a
    crawl's list of paths names a hundred thousand.
    """
    asked = {file for file in files if file.stored is None and storage.is_local(file.uri)}
    others = [file for file in files if file.stored is None and file not in asked]
    asked.update(others if len(others) <= MAX_ASKED_FILES else needed)

    def told(file: InputFile) -> InputFile:
        return replace(file, stored=file.stored or (_asked(file) if file in asked else None))

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(told, files))


def _asked(file: InputFile) -> storage.StoredObject | None:
    try:
        size = storage.size_bytes(file.uri)
        is_local = storage.is_local(file.uri)
        version = str(storage.local_path(file.uri).stat().st_mtime_ns) if is_local else ""
        return storage.StoredObject(size, version)
    except (storage.StorageError, OSError):
        # Reading will say what is wrong.
        return None
