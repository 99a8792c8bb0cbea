"""What a run reads: files named by a listing, a glob, a directory or one by one."""

import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from dclm_spark.errors import InputError
from udfs import storage
from udfs.storage.stream import shown

WARC_SUFFIXES = (".warc.gz", ".warc", ".warc.zst", ".warc.lz4", ".arc.gz", ".arc")
PREEXTRACTED_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".json.zst", ".parquet")
UNKNOWN_CRAWL = "unknown"
_CRAWL = re.compile(r"(?:crawl-data|crawl)/([^/]+)/|\b(CC-MAIN-\d{4}-\d{2}(?:-\d{2})?)\b")
_GLOB = re.compile(r"[*?\[]")
_WEB = ("http://", "https://")


@dataclass(frozen=True, kw_only=True, order=True)
class InputFile:
    """One file to read: `path` is its name within `crawl`, `uri` where it lies.

    (crawl, path) is part of every document's identity, so it must not change between runs; the
    URI may. `kind` is "warc" or "preextracted".
    """

    crawl: str
    path: str
    uri: str
    kind: str


def list_inputs(inputs: str, base: str | None = None) -> list[InputFile]:
    """Return the files that `inputs` names, sorted by (crawl, path).

    `inputs` is one or more of, separated by commas: a `*.paths.gz` (or `.paths`) listing whose
    lines lie below `base` or are addresses themselves, a directory, a glob, a file. A query, such
    as a signature, is part of an address but not of a file's name. Raises InputError for what does
    not exist, has an unknown suffix or is named twice, and for no file at all.
    """
    files: list[InputFile] = []
    for item in filter(None, (part.strip() for part in inputs.split(","))):
        files += _listed(item, base) if _is_listing(item) else _named(item, base)
    if not files:
        named = ", ".join(shown(item) for item in inputs.split(","))
        raise InputError(f"--input {named}: it names no file")
    files.sort()
    for first, second in pairwise(files):
        if (first.crawl, first.path) == (second.crawl, second.path):
            raise InputError(f"--input: {second.path} of crawl {second.crawl} is named twice")
    return files


def _is_listing(item: str) -> bool:
    return _name(item).endswith((".paths.gz", ".paths"))


def _listed(listing: str, base: str | None) -> list[InputFile]:
    content = storage.read_bytes(listing)
    text = (gzip.decompress(content) if _name(listing).endswith(".gz") else content).decode()
    paths = [line.strip() for line in text.splitlines() if line.strip()]
    if not paths:
        return []
    if "://" in paths[0]:
        return _named_uris(paths, base)
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


def _named(item: str, base: str | None) -> list[InputFile]:
    uris = _expanded(item)
    if not uris:
        raise InputError(f"--input {shown(item)}: there is no such file, and no file below it")
    return _named_uris(uris, base)


def _named_uris(uris: Sequence[str], base: str | None) -> list[InputFile]:
    names = [_name(uri) for uri in uris]
    root = base or _common_root(names)
    return [
        InputFile(
            crawl=_crawl_of(name) or UNKNOWN_CRAWL,
            path=_path_below(root, name),
            uri=uri,
            kind=_kind(name),
        )
        for name, uri in zip(names, uris, strict=True)
    ]


def _expanded(item: str) -> list[str]:
    if item.startswith(_WEB):
        return [item]
    if _GLOB.search(item):
        return _globbed(item)
    if storage.is_local(item):
        path = storage.local_path(item).absolute()
        if path.is_dir():
            return [str(found) for found in sorted(path.rglob("*")) if _has_kind(str(found))]
        return [str(path)] if path.exists() else []
    if _has_kind(item):
        return [item]
    return [uri for uri in storage.list_files(item) if _has_kind(uri)]


def _globbed(pattern: str) -> list[str]:
    fixed = _GLOB.split(pattern, maxsplit=1)[0]
    folder = fixed.rpartition("/")[0]
    if storage.is_local(pattern):
        root = Path(folder or ".").absolute()
        found = root.glob(pattern[len(folder) :].lstrip("/"))
        return sorted(str(path) for path in found if path.is_file())
    expression = re.compile(_as_expression(pattern))
    return [uri for uri in storage.list_files(folder) if expression.fullmatch(uri)]


def _as_expression(pattern: str) -> str:
    pieces = {"*": "[^/]*", "?": "[^/]"}
    return "".join(pieces.get(letter, re.escape(letter)) for letter in pattern)


def _common_root(uris: Sequence[str]) -> str:
    folders = [uri.rpartition("/")[0].split("/") for uri in uris]
    shared = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared)


def _path_below(root: str, uri: str) -> str:
    root = root.rstrip("/") + "/"
    found = re.search(r"crawl-data/.*", uri)
    if found:
        return found.group()
    return uri[len(root) :] if uri.startswith(root) else uri.rpartition("/")[2]


def _name(uri: str) -> str:
    """Return an address without its query, which on the web is no part of a file's name."""
    return shown(uri) if uri.startswith(_WEB) else uri


def _crawl_of(text: str) -> str | None:
    found = _CRAWL.search(text)
    return (found.group(1) or found.group(2)) if found else None


def _has_kind(name: str) -> bool:
    return name.endswith(WARC_SUFFIXES + PREEXTRACTED_SUFFIXES)


def _kind(name: str) -> str:
    if name.endswith(WARC_SUFFIXES):
        return "warc"
    if name.endswith(PREEXTRACTED_SUFFIXES):
        return "preextracted"
    allowed = ", ".join(WARC_SUFFIXES + PREEXTRACTED_SUFFIXES)
    raise InputError(f"--input {name}: unknown kind of file; its name must end in one of {allowed}")
