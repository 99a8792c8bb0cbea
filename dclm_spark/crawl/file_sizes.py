"""How large input files are: as the listing of a store told, or as each is asked."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from dclm_spark.crawl.input_files import InputFile
from udfs import storage

_READERS = 16
# Of so many files that no listing told of, each is asked for its size: one request each.
MAX_ASKED_FILES = 128


def sizes_of(files: Sequence[InputFile], needed: Collection[InputFile] = ()) -> list[int | None]:
    """Return the bytes of each file, None where nobody tells them.

    Local files are asked, those `needed` too, and others where they are few (MAX_ASKED_FILES): a
    crawl's list of paths names a hundred thousand.
    """
    asked = {file for file in files if file.size_bytes is None and storage.is_local(file.uri)}
    others = [file for file in files if file.size_bytes is None and file not in asked]
    asked.update(others if len(others) <= MAX_ASKED_FILES else needed)

    def size(file: InputFile) -> int | None:
        return _asked(file) if file in asked and file.size_bytes is None else file.size_bytes

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(size, files))


def _asked(file: InputFile) -> int | None:
    try:
        return storage.size_bytes(file.uri)
    except (storage.StorageError, OSError):
        # Reading will say what is wrong.
        return None
