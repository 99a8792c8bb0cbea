"""The input files of a run: named by a listing, a glob, a directory or one by one."""

import codecs
import gzip
import logging
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from dclm_spark.crawl.input_files import (
    WEB,
    InputFile,
    check_names,
    check_once,
    common_folder,
    name_of,
    told_apart,
)
from dclm_spark.crawl.local_files import files_below, is_file
from dclm_spark.crawl.patterns import GLOB, folder_of, matching
from dclm_spark.errors import InputError
from udfs import storage
from udfs.documents.formats import format_of, known_suffixes
from udfs.storage.stream import shown

__all__ = ["InputFile", "Inputs", "describe_skipped", "find_inputs", "list_inputs"]

LOGGER = logging.getLogger("dclm_spark")
UNKNOWN_CRAWL = "unknown"
_CRAWL = re.compile(r"(?:crawl-data|crawl)/([^/]+)/|\b(CC-MAIN-\d{4}-\d{2}(?:-\d{2})?)\b")
_SHOWN_NAMES = 5
# Names of files a line: Common Crawl's listings, and those of DCLM's pool (.txt).
_LISTINGS = (".paths.gz", ".paths", ".txt", ".txt.gz")
_GZIP_MAGIC = b"\x1f\x8b"
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_ENDS = re.compile(r"[\r\n]+")
# What a listing told of files, by their URIs; None for those that it did not list.
Told = Mapping[str, storage.StoredObject | None]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The files to read, sorted by (crawl, path), and those of a folder that no reader knows.

    Hidden names, which begin with "." or "_", are in neither, as in Spark.
    """

    files: tuple[InputFile, ...]
    skipped: tuple[str, ...] = ()


def find_inputs(inputs: str, base: str | None = None, limit: int | None = None) -> Inputs:
    """Return the files that `inputs` names, the first `limit` of them when it is given.

    `inputs` is one or more of, separated by commas: a listing (`.paths`, `.txt`, or either with
    `.gz`) whose lines lie below `base` or are addresses themselves, a directory, a glob, a file.
    A local name that exists is that file, whatever commas, brackets or stars are in it. A query,
    such as a signature, is part of an address but not of a file's name. A file that is named alone
    is called by its last name; where that makes two files alike, all are called as below the folder
    that they share. Raises InputError for what does not exist, has an unknown suffix or is named
    twice, and for no file at all.
    """
    files: list[InputFile] = []
    skipped: list[str] = []
    for item in _items(inputs):
        if _is_listing(item):
            files += _listed(item, base)
        else:
            found = _named(item, base)
            files += found.files
            skipped += found.skipped
    if not files:
        raise _nothing(inputs, skipped)
    check_names(files)
    check_once(files)
    return Inputs(files=tuple(told_apart(files)[:limit]), skipped=tuple(skipped))


def list_inputs(inputs: str, base: str | None = None, limit: int | None = None) -> list[InputFile]:
    """Return the files of `find_inputs`; those that are skipped are named in the log."""
    found = find_inputs(inputs, base, limit)
    if found.skipped:
        LOGGER.warning("--input: %s", describe_skipped(found.skipped))
    return list(found.files)


def describe_skipped(names: Sequence[str]) -> str:
    """Return how many files were left out for their names, and some of them."""
    some = ", ".join(shown(name).rpartition("/")[2] for name in names[:_SHOWN_NAMES])
    more = ", ..." if len(names) > _SHOWN_NAMES else ""
    some_are_known = any(map(_has_kind, names))
    reason = "finds texts in them" if some_are_known else "knows their suffix"
    return f"{len(names)} files are not read, for no reader {reason}: {some}{more}"


def _nothing(inputs: str, skipped: Sequence[str]) -> InputError:
    named = ", ".join(shown(item) for item in _items(inputs)) or "(empty)"
    reason = f"; {describe_skipped(skipped)}" if skipped else ""
    return InputError(f"--input {named}: it names no file{reason}")


def _items(inputs: str) -> list[str]:
    """Split at commas, but not within a local name that exists."""
    parts = inputs.split(",")
    items: list[str] = []
    while parts:
        # An address begins an item of its own.
        most = next((at for at in range(1, len(parts)) if "://" in parts[at]), len(parts))
        ends = (end for end in range(most, 1, -1) if _exists(",".join(parts[:end]).strip()))
        end = next(ends, 1)
        items.append(",".join(parts[:end]).strip())
        parts = parts[end:]
    return [item for item in items if item]


def _exists(item: str) -> bool:
    return bool(item) and storage.is_local(item) and storage.local_path(item).exists()


def _is_listing(item: str) -> bool:
    is_folder = storage.is_local(item) and storage.local_path(item).is_dir()
    return name_of(item).lower().endswith(_LISTINGS) and not is_folder


def _listed(listing: str, base: str | None) -> list[InputFile]:
    lines = _lines(listing)
    is_here = base is None or storage.is_local(base)
    whole: list[str] = []
    paths: list[str] = []
    for line in lines:
        is_whole = "://" in line or (is_here and line.startswith("/"))
        (whole if is_whole else paths).append(line)
    return (_named_uris(whole, base) if whole else []) + _below(listing, paths, base)


def _lines(listing: str) -> list[str]:
    """Return the names in a listing; other lines are blank or begin with "#"."""
    try:
        content = storage.read_bytes(listing)
    except storage.MissingObjectError as error:
        raise InputError(f"--input {shown(listing)}: there is no such list of files") from error
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            # Files that it does not name any more would be missed without a word.
            raise InputError(f"--input {shown(listing)}: a damaged listing ({error})") from error
    charset = "utf-16" if content.startswith(_WIDE_MARKS) else "utf-8-sig"
    lines = map(str.strip, _LINE_ENDS.split(content.decode(charset, "replace")))
    return [line for line in lines if line and not line.startswith("#")]


def _below(listing: str, paths: Sequence[str], base: str | None) -> list[InputFile]:
    """Return the files whose names in a listing lie below `base`, or below one of its folders."""
    if not paths:
        return []
    base = base if base is not None else _base_of(listing, paths[0])
    crawl = _crawl_of(paths[0]) or _crawl_of(listing) or UNKNOWN_CRAWL
    return [
        InputFile(
            crawl=_crawl_of(path) or crawl,
            path=path,
            uri=storage.join(base, path),
            kind=_kind(path),
        )
        for path in paths
    ]


def _base_of(listing: str, first: str) -> str:
    """Return the ancestor of `listing` below which its first line lies."""
    if storage.is_local(listing):
        for folder in storage.local_path(listing).absolute().parents:
            if (folder / first).exists():
                return str(folder)
    elif "/crawl-data/" in listing and first.startswith("crawl-data/"):
        return listing[: listing.index("/crawl-data/")]
    raise InputError(
        f"--input {shown(listing)}: its first line {first} lies below none of the listing's "
        "folders; give the folder, bucket or URL that the lines are below with --base"
    )


def _named(item: str, base: str | None) -> Inputs:
    found = _expanded(item)
    uris = list(found)
    if not uris:
        raise InputError(f"--input {shown(item)}: there is no such file, and no file below it")
    if len(uris) == 1:
        # A file that is asked for by its own name is read or refused, never passed over.
        return Inputs(files=tuple(_named_uris(uris, base, found)))
    kinds = [format_of(name_of(uri)) for uri in uris]
    only_documents = any(kind is not None and kind.has_documents for kind in kinds)
    wanted = [kind is not None and kind.has_documents >= only_documents for kind in kinds]
    return Inputs(
        files=tuple(_named_uris(list(compress(uris, wanted)), base, found)),
        skipped=tuple(uri for uri, is_wanted in zip(uris, wanted, strict=True) if not is_wanted),
    )


def _named_uris(uris: Sequence[str], base: str | None, told: Told | None = None) -> list[InputFile]:
    names = [name_of(uri) for uri in uris]
    root = base or common_folder(names)
    return [
        InputFile(
            crawl=_crawl_of(name) or UNKNOWN_CRAWL,
            path=_path_below(root, name),
            uri=uri,
            kind=_kind(name),
            stored=(told or {}).get(uri),
        )
        for name, uri in zip(names, uris, strict=True)
    ]


def _expanded(item: str) -> Told:
    """Return the URIs that `item` names, each with what a listing told of it."""
    if item.startswith(WEB):
        return {item: None}
    if _exists(item):
        path = storage.local_path(item).absolute()
        if not (path.is_dir() or path.is_file()):
            raise InputError(f"--input {item}: it is neither a file nor a folder")
        below = files_below(path) if path.is_dir() else [str(path)]
        return dict.fromkeys(_visible(str(path), below) if path.is_dir() else below)
    if GLOB.search(item) and (found := _globbed(item)):
        return found
    if storage.is_local(item):
        return {}
    return {item: None} if _has_kind(item) else _told(item, storage.list_objects(item))


def _told(folder: str, found: Mapping[str, storage.StoredObject]) -> Told:
    return {uri: found[uri] for uri in _visible(folder, list(found))}


def _globbed(pattern: str) -> Told:
    if not storage.is_local(pattern):
        folder = folder_of(pattern)
        below = storage.list_objects(folder)
        return _told(folder, {uri: below[uri] for uri in matching(pattern, list(below))})
    pattern = str(storage.local_path(pattern))
    folder = folder_of(pattern)
    root = Path(folder or ("/" if pattern.startswith("/") else ".")).absolute()
    try:
        found = list(root.glob(pattern[len(folder) :].lstrip("/")))
    except ValueError as error:
        raise InputError(f"--input {pattern}: no pattern of names ({error})") from error
    files = {str(path) for path in found if is_file(path)}
    # As in Spark, a folder that fits stands for what is below it.
    files.update(name for path in found if path.is_dir() for name in files_below(path))
    return dict.fromkeys(_visible(str(root), sorted(files)))


def _visible(folder: str, uris: Sequence[str]) -> list[str]:
    """Leave out what is hidden below `folder`: leftovers of writers, editors and systems."""
    return [uri for uri in uris if not any(map(_hidden, uri[len(folder) :].split("/")))]


def _hidden(name: str) -> bool:
    # A folder of a partitioned table may be called _key=value.
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _path_below(root: str, uri: str) -> str:
    root = root.rstrip("/") + "/"
    found = re.search(r"crawl-data/.*", uri)
    if found:
        return found.group()
    return uri[len(root) :] if uri.startswith(root) else uri.rpartition("/")[2]


def _crawl_of(text: str) -> str | None:
    found = _CRAWL.search(text)
    return (found.group(1) or found.group(2)) if found else None


def _has_kind(name: str) -> bool:
    return format_of(name) is not None


def _kind(name: str) -> str:
    if (found := format_of(name)) is not None:
        return found.name
    allowed = ", ".join(known_suffixes())
    raise InputError(f"--input {name}: unknown kind of file; its name must end in one of {allowed}")
