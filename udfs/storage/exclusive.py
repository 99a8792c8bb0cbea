"""Creating a file only where there is none, so that of several writers one is the first."""

import os
import secrets
from pathlib import Path

from udfs.storage.files import is_local, local_path
from udfs.storage.stream import ReadSettings, StorageError, shown

_DEFAULT = ReadSettings()


def write_new(uri: str, data: bytes, settings: ReadSettings = _DEFAULT) -> bool:
    """Store `data` under `uri` unless something is there; say whether it was stored.

    On a store that cannot do this in one step (S3's protocol without conditional writes) it may
    replace what was written a moment ago: read it back to see who was last.
    """
    if is_local(uri):
        return _write_new_file(local_path(uri), data)
    scheme = uri.partition("://")[0].lower()
    if scheme in ("s3", "s3a"):
        from udfs.storage.s3 import write_new as write_object
    elif scheme == "gs":
        from udfs.storage.gcs import write_new as write_object
    elif scheme == "abfss":
        from udfs.storage.azure import write_new as write_object
    elif scheme == "hf":
        from udfs.storage.hub_files import write_new as write_object
    else:
        raise StorageError(
            f"Cannot write to {shown(uri)}: use s3://, gs://, abfss://, hf://datasets/ or a path."
        )
    return write_object(uri, data, settings)


def _write_new_file(path: Path, data: bytes) -> bool:
    """Give a whole file its name, which fails where the name is taken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.name}.{secrets.token_hex(6)}.being-written")
    whole.write_bytes(data)
    try:
        os.link(whole, path)
    except FileExistsError:
        return False
    finally:
        whole.unlink()
    return True
