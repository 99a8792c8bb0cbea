"""Files of bytes, published whole under fixed names."""

import hashlib

from udfs import storage
from udfs.storage.scratch import ScratchFile
from udfs.units.parquet_output import FileEntry


class FileOutput:
    """A file that is written from the front; it appears when it is closed."""

    def __init__(self, directory: str, path: str) -> None:
        self._directory, self._path = directory, path
        self._temporary = ScratchFile()
        self._file = self._temporary.path.open("wb")
        self._digest, self._size_bytes = hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._file.write(data)
        self._digest.update(data)
        self._size_bytes += len(data)

    def close(self, rows: int) -> FileEntry:
        """Publish the file, which holds so many rows, under its final name."""
        self._file.close()
        storage.upload(self._temporary.path, storage.join(self._directory, self._path))
        self._temporary.close()
        return FileEntry(
            path=self._path,
            rows=rows,
            size_bytes=self._size_bytes,
            sha256=self._digest.hexdigest(),
        )

    def abandon(self) -> None:
        """Drop what was written so far; nothing happens once it is closed."""
        self._file.close()
        self._temporary.close()
