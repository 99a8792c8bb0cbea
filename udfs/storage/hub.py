"""Files of the Hugging Face Hub by `hf://` URI, through its own client (`huggingface_hub`)."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from udfs.storage.stream import (
    MissingObjectError,
    ReadSettings,
    StorageError,
    TransientStorageError,
    with_retries,
)

SCHEME = "hf://"
ENDPOINT = "https://huggingface.co"
# The client's own names for its cache; without them ours is used where the home folder is no use.
CACHE_VARIABLES = ("HF_HUB_CACHE", "HF_HOME")
_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TRUE = ("1", "on", "true", "yes")
# The client asks again by itself where a body breaks, but not where the first request fails.
_PATIENCE = ReadSettings(max_attempts=5, max_wait_seconds=20.0)


class UnreachableError(StorageError):
    """The hub does not answer, and the file is not in the cache."""


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a repository; `kind` is model, dataset or space, `revision` None for main."""

    kind: str
    repository: str
    revision: str | None
    path: str

    @property
    def pinned(self) -> bool:
        """Return whether the revision is a commit, whose files cannot change."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    @property
    def web_address(self) -> str:
        """Return where a browser gets the file."""
        folder = "" if self.kind == "model" else f"{self.kind}s/"
        revision = quote(self.revision or "main", safe="")
        return f"{endpoint()}/{folder}{self.repository}/resolve/{revision}/{self.path}"


def parse(uri: str) -> HubFile:
    """Return the file that `hf://[datasets/]organisation/repository[@revision]/path` names.

    A slash within a revision is written %2F. Raises StorageError for anything else.
    """
    parts = uri.removeprefix(SCHEME).split("/")
    kind = _KINDS[parts.pop(0)] if parts[0] in _KINDS and len(parts) > 3 else "model"
    name, _, revision = parts[1].partition("@") if len(parts) > 2 else ("", "", "")
    if not name or not all(parts) or "@" in parts[0] or ("@" in parts[1] and not revision):
        raise StorageError(
            f"{uri}: expected hf://organisation/repository@revision/path/of/file (the revision may "
            "be left out; hf://datasets/... for a data set)"
        )
    return HubFile(
        kind=kind,
        repository=f"{parts[0]}/{name}",
        revision=unquote(revision) or None,
        path="/".join(parts[2:]),
    )


def download(uri: str, cache_directory: Path | None, *, again: bool = False) -> Path:
    """Return a local file with the content of an `hf://` URI, from the client's cache if it can be.

    A pinned revision in the cache costs no request; HF_HUB_OFFLINE=1 asks for none at all. The
    token is the client's (HF_TOKEN, or `hf auth login`). `again` fetches what is cached once more.
    Raises StorageError, which says what to do.
    """
    file = parse(uri)
    return with_retries(uri, _PATIENCE, lambda: _download(uri, file, cache_directory, again))


def _download(uri: str, file: HubFile, cache_directory: Path | None, again: bool) -> Path:
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    except ImportError:
        raise StorageError(
            f"{uri}: hf:// needs the package huggingface_hub; run pip install huggingface_hub"
        ) from None
    # Read when called: a notebook may set variables after the client was imported.
    place: dict[str, Any] = {
        "repo_id": file.repository,
        "filename": file.path,
        "repo_type": file.kind,
        "revision": file.revision,
        "endpoint": endpoint(),
    }
    kept: dict[str, Any] = {"cache_dir": cache_directory, "library_name": "dclm-spark"}
    if _offline() or (file.pinned and not again):
        try:
            return Path(hf_hub_download(**place, **kept, local_files_only=True))
        except Exception as error:
            if _offline():
                raise translated(uri, file, error) from error
    try:
        # The download itself takes 20 s to find out that there is no network.
        get_hf_file_metadata(hf_hub_url(**place), library_name="dclm-spark")
        return Path(hf_hub_download(**place, **kept, force_download=again))
    except Exception as error:
        # Which classes a failed request raises depends on the client's version: requests or httpx.
        failure = translated(uri, file, error)
        if isinstance(failure, (MissingObjectError, TransientStorageError)) or again:
            raise failure from error
    try:
        return Path(hf_hub_download(**place, **kept, local_files_only=True))
    except Exception:
        raise failure from None


def endpoint() -> str:
    """Return the address of the hub, which HF_ENDPOINT may name."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or ENDPOINT


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE


def translated(uri: str, file: HubFile, error: Exception) -> StorageError:
    """Return our error for one of the client's, with a message for the user."""
    from huggingface_hub import errors

    place = f"{file.kind} repository {file.repository}"
    if isinstance(error, errors.GatedRepoError):
        return StorageError(
            f"{uri}: the {place} asks for consent: give it at {endpoint()}/{file.repository}, "
            "then set HF_TOKEN to a token of the same account"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return MissingObjectError(
            f"{uri}: there is no {place}, or it is private: check the name, or set HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return MissingObjectError(f"{uri}: the {place} has no revision {file.revision!r}")
    local = isinstance(error, errors.LocalEntryNotFoundError)
    if isinstance(error, errors.EntryNotFoundError) and not local:
        return MissingObjectError(f"{uri}: the {place} has no file {file.path!r}")
    status = _status(error) or _status(error.__cause__)
    if status == 429 or status >= 500:
        return TransientStorageError(f"{endpoint()} answers {status}")
    if _offline():
        reason = "HF_HUB_OFFLINE forbids to ask the hub"
    else:
        reason = f"{endpoint()} cannot be reached ({_first_line(error)})"
    return UnreachableError(f"{uri}: not in the cache, and {reason}")


def _status(error: Any) -> int:
    return int(getattr(getattr(error, "response", None), "status_code", 0) or 0)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
