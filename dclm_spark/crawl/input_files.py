"""One file of a run's input, and that no two of them are the same or are called the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from os.path import normpath

from dclm_spark.errors import InputError
from udfs import storage
from udfs.storage.stream import shown

WEB = ("http://", "https://")


@dataclass(frozen=True, kw_only=True, order=True)
class InputFile:
    """One file to read: `path` is its name within `crawl`, `uri` where it lies.

    (crawl, path) is part of every document's identity, so it must not change between runs; the
    URI may. `kind` is the name of its format (`udfs.documents.formats`).
    """

    crawl: str
    path: str
    uri: str
    kind: str
    # As the listing of a store told it; None where a file was named in another way.
    stored: storage.StoredObject | None = field(default=None, compare=False)


def name_of(uri: str) -> str:
    """Return an address without its query, which on the web is no part of a file's name."""
    return shown(uri) if uri.startswith(WEB) else uri


def check_names(files: Sequence[InputFile]) -> None:
    """Raise InputError for a name that is no text: no table could hold it."""
    for file in files:
        try:
            file.uri.encode()
        except UnicodeEncodeError as error:
            name = ascii(file.uri)[1:-1]
            raise InputError(f"--input {name}: its name is not UTF-8; rename the file") from error


def check_once(files: Sequence[InputFile]) -> None:
    """Raise InputError where two names lead to the same place."""
    named = sorted(map(_place, files))
    twice = next((first for first, second in pairwise(named) if first == second), None)
    if twice is not None:
        raise InputError(f"--input: the file {twice} is named twice; name it once")


def _place(file: InputFile) -> str:
    if storage.is_local(file.uri):
        return normpath(storage.local_path(file.uri))
    return name_of(file.uri)


def told_apart(files: Sequence[InputFile]) -> list[InputFile]:
    """Return the files in order, no two of one name.

    Names stay as they are where they differ, for the ids of documents are made of them.
    """
    found = sorted(files)
    if _alike(found) is not None:
        paths = paths_below_common_folder([_place(file) for file in found])
        found = sorted(
            file if file.path.startswith("crawl-data/") else replace(file, path=path)
            for file, path in zip(found, paths, strict=True)
        )
    if (alike := _alike(found)) is not None:
        first, second = alike
        raise InputError(
            f"--input: {_place(first)} and {_place(second)} are both {first.path} of crawl "
            f"{first.crawl}; name one of them"
        )
    return found


def _alike(files: Sequence[InputFile]) -> tuple[InputFile, InputFile] | None:
    pairs = pairwise(files)
    return next((pair for pair in pairs if len({(one.crawl, one.path) for one in pair}) == 1), None)


def common_folder(uris: Sequence[str]) -> str:
    """Return the innermost folder that all files lie below, without a slash at its end."""
    folders = [uri.rpartition("/")[0].split("/") for uri in uris]
    shared = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared)


def paths_below_common_folder(uris: Sequence[str]) -> list[str]:
    """Return the paths of files below the folder that they share, in which no two are alike.

    What they do not share may be the host, the bucket or the kind of storage; it is in the path.
    """
    folder = common_folder(uris)
    return [uri.removeprefix(folder).lstrip("/").replace("://", "/") for uri in uris]
