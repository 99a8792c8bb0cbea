"""Whether a job can write where it is told to, found out before it begins."""

import secrets
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from dclm_spark.errors import SettingError
from udfs import storage
from udfs.storage.stream import shown


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
