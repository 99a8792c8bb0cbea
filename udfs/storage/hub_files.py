"""Data sets of the Hugging Face Hub as a store: hf://datasets/owner/name[@revision]/path.

Reading is one stream over https with the client's token; listing and writing are the client's
(`huggingface_hub`). Every file that is written is a commit, and commits to a branch come one after
another, so this is for results of some hundred files and not for the work of a crawl.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from udfs.storage.http import HttpOpener
from udfs.storage.hub import HubFile, endpoint, parse, translated
from udfs.storage.stored_object import StoredObject
from udfs.storage.stream import (
    MissingObjectError,
    Opener,
    ReadSettings,
    StorageError,
    TransientStorageError,
    bucket_and_key,
    with_retries,
)

Result = TypeVar("Result")
# Two commits that meet: the second is told so and comes again.
_CONFLICTS = (409, 412)


def hub_opener(uri: str, settings: ReadSettings) -> Opener:
    """Return what opens a file of the hub at any offset."""
    from huggingface_hub import get_token

    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return HttpOpener(parse(uri).web_address, settings, headers)


def _call(uri: str, settings: ReadSettings, operation: Callable[[Any], Result]) -> Result:
    """Return operation(client), with retries."""
    from huggingface_hub import HfApi

    file = _parse_folder(uri)

    def attempt() -> Result:
        try:
            return operation(HfApi(endpoint=endpoint(), library_name="dclm-spark"))
        except Exception as error:
            # Which classes a failed request raises depends on the client's version.
            status = getattr(getattr(error, "response", None), "status_code", 0)
            if status in _CONFLICTS:
                raise TransientStorageError(f"another commit came first ({status})") from None
            failure = translated(uri, file, error)
            if status in (401, 403) and not isinstance(failure, MissingObjectError):
                failure = StorageError(
                    f"{uri}: the hub refuses; set HF_TOKEN to a token that may write there."
                )
            raise failure from None

    return with_retries(uri, settings, attempt)


def _place(file: HubFile) -> dict[str, Any]:
    return {"repo_id": file.repository, "repo_type": file.kind, "revision": file.revision}


def _parse_folder(uri: str) -> HubFile:
    """Return a folder, or a file, that may be the repository itself (the path "")."""
    file = parse(f"{uri.rstrip('/')}/.")
    return HubFile(
        kind=file.kind,
        repository=file.repository,
        revision=file.revision,
        path=file.path[:-1].rstrip("/"),
    )


def _writable(uri: str) -> HubFile:
    file = parse(uri)
    if file.kind != "dataset" or file.pinned:
        raise StorageError(
            f"{uri}: only a branch of a data set is written to; give hf://datasets/OWNER/NAME/path"
        )
    return file


def write_bytes(uri: str, data: bytes, settings: ReadSettings) -> None:
    """Store `data` under `uri` by one commit."""
    _upload(uri, data, settings)


def upload_file(local_path: str, uri: str, settings: ReadSettings) -> None:
    """Store a local file under `uri` by one commit."""
    _upload(uri, local_path, settings)


def _upload(uri: str, content: bytes | str, settings: ReadSettings) -> None:
    file = _writable(uri)

    def operation(api: Any) -> None:
        api.upload_file(path_or_fileobj=content, path_in_repo=file.path, **_place(file))

    _call(uri, settings, operation)


def write_new(uri: str, data: bytes, settings: ReadSettings) -> bool:
    """Store `data` unless there is a file; the hub cannot do this in one step."""
    try:
        size_bytes(uri, settings)
    except MissingObjectError:
        write_bytes(uri, data, settings)
        return True
    return False


def size_bytes(uri: str, settings: ReadSettings) -> int:
    """Return the size of the file."""
    file = parse(uri)

    def operation(api: Any) -> list[Any]:
        return list(api.get_paths_info(paths=[file.path], **_place(file)))

    found = [
        one for one in _call(uri, settings, operation) if getattr(one, "size", None) is not None
    ]
    if not found:
        raise MissingObjectError(f"{uri}: the data set has no such file.")
    return int(found[0].size)


def delete(uri: str, settings: ReadSettings) -> None:
    """Remove the file by one commit; a missing one is no error."""
    file = _writable(uri)
    try:
        size_bytes(uri, settings)
    except MissingObjectError:
        return
    _call(uri, settings, lambda api: api.delete_file(path_in_repo=file.path, **_place(file)))


def list_objects(uri: str, settings: ReadSettings) -> Iterator[tuple[str, StoredObject]]:
    """Yield the keys below the folder `uri` and what is there."""
    folder = _parse_folder(uri)
    root = uri.rstrip("/").removesuffix(f"/{folder.path}" if folder.path else "")

    def operation(api: Any) -> list[tuple[str, StoredObject]]:
        tree = api.list_repo_tree(
            path_in_repo=folder.path or None, recursive=True, **_place(folder)
        )
        return [
            (one.path, StoredObject(one.size, str(one.blob_id)))
            for one in tree
            if getattr(one, "size", None) is not None
        ]

    try:
        found = _call(uri, settings, operation)
    except MissingObjectError:
        return
    for path, stored in found:
        yield bucket_and_key(f"{root}/{path}")[1], stored
