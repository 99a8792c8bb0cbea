"""Documents that are taken out of a corpus: which they are, and what stays of their rows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.rules.banned_domains import to_punycode
from udfs.rules.urls import hosts
from udfs.storage.parquet import read_table

# What a list of removals names: ids of documents in hex, addresses, domains with all below them,
# and tables of documents (by doc_id) that lie beside the folder of the list.
TABLE = "table"
GIVEN = ("id", "url", "domain")
KINDS = (*GIVEN, TABLE)
LIST = pa.schema([pa.field("kind", pa.string()), pa.field("value", pa.string())])
# Entries of a list that name a document.
ENTRIES = pa.list_(pa.struct(list(LIST)))
# What stays of a removed document's row: where it was, and what became of it.
_STAYS = {"doc_id", "crawl", "warc_path", "warc_offset", "fate", "stage", "rule"}
_TOKENS = "tokens"
_SCHEME = r"^\s*[A-Za-z][A-Za-z0-9+.-]*://"
# Host with a user, a port or capitals; escapes, fragments and what must be escaped; tracking.
_NOT_PLAIN = r"^[^/?]*[A-Z:@]|[^!-~]|[#%]|\?utm_"
_HOST = re.compile(r"(?P<host>[^/?]*)(?P<rest>.*)", re.DOTALL)
_DEFAULT_PORT = re.compile(r":(?:80|443)?$")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_TRACKING = re.compile(r"\?utm_[^&]*(?:&utm_[^&]*)*$")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The documents that lists of removals name."""

    ids: pa.Array
    urls: pa.Array
    domains: frozenset[str]
    # Those of `ids` that lists give, and no table.
    given_ids: pa.Array

    def mask(self, doc_ids: pa.Array, urls: pa.Array) -> pa.BooleanArray:
        """Say of each document whether it is named: by its id, its address or its domain."""
        found = pc.is_in(doc_ids.cast(self.ids.type), self.ids)
        if len(self.urls):
            bare = compared_addresses(urls).cast(self.urls.type)
            found = pc.or_(found, pc.is_in(bare, self.urls))
        if self.domains:
            found = pc.or_(found, self._below_domains(hosts(urls)))
        return pc.fill_null(found, False)

    def _below_domains(self, names: pa.Array) -> pa.BooleanArray:
        distinct = pc.dictionary_encode(pc.fill_null(names, ""))
        below = [bool(self._domains_above(name)) for name in distinct.dictionary.to_pylist()]
        return pa.array(below, pa.bool_()).take(distinct.indices)

    def _domains_above(self, host: str) -> list[str]:
        labels = to_punycode(host).rstrip(".").split(".")
        names = (".".join(labels[place:]) for place in range(len(labels)))
        return [name for name in names if name in self.domains]

    def entries_of(self, doc_ids: pa.Array, urls: pa.Array) -> pa.Array:
        """Return for each document the entries (ENTRIES) that name it: tables are none.

        An address is told as it is compared (`compared_addresses`).
        """
        if not (len(self.given_ids) or len(self.urls) or self.domains):
            return pa.nulls(len(doc_ids), ENTRIES)
        bare = compared_addresses(urls).cast(self.urls.type)
        by_id = pc.is_in(doc_ids.cast(self.given_ids.type), self.given_ids).to_pylist()
        by_url = pc.is_in(bare, self.urls, skip_nulls=True).to_pylist()
        found = []
        columns = (doc_ids, bare, pc.fill_null(hosts(urls), ""))
        documents = zip(*(column.to_pylist() for column in columns), by_id, by_url, strict=True)
        for doc_id, url, host, is_id, is_url in documents:
            entries = [("domain", one) for one in self._domains_above(host)]
            entries += [("id", doc_id.hex())] if is_id else []
            entries += [("url", url)] if is_url else []
            found.append([{"kind": kind, "value": value} for kind, value in entries])
        return pa.array(found, ENTRIES)


def read_wanted(lists: Sequence[str], found: Sequence[str] = ()) -> Wanted:
    """Return what the list files name, and the documents of the tables `found` (by doc_id)."""
    named: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for uri in lists:
        for batch in read_table(uri, LIST.names):
            for kind, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                named[kind].append(_beside(uri, value) if kind == TABLE else value)
    ids = [pa.array([bytes.fromhex(value) for value in named["id"]], pa.binary())]
    for uri in (*named[TABLE], *found):
        ids += [batch.column("doc_id").cast(pa.binary()) for batch in read_table(uri, ["doc_id"])]
    urls = pa.array(named["url"], pa.string())
    return Wanted(
        ids=pa.concat_arrays(ids),
        urls=compared_addresses(urls),
        domains=frozenset(named["domain"]),
        given_ids=ids[0],
    )


def compared_addresses(urls: pa.Array) -> pa.Array:
    """Return each address without what two addresses of one page may differ in; null stays null.

    That is scheme, a leading `www.`, the default port, slashes at the end, a fragment, the case of
    the host and of escapes, what is escaped without need or is not but should be, and a query of
    nothing but `utm_` parameters (RFC 3986, 6.2.2 and 6.2.3). No looser, since what a list does
    not name must stay.
    """
    bare = pc.replace_substring_regex(urls, _SCHEME, "")
    is_odd = pc.fill_null(pc.match_substring_regex(bare, _NOT_PLAIN), False)
    if pc.any(is_odd).as_py():
        changed = [_compared(one) for one in bare.filter(is_odd).to_pylist()]
        bare = pc.replace_with_mask(bare, is_odd, pa.array(changed, bare.type))
    return pc.utf8_rtrim(pc.replace_substring_regex(bare, r"^www\.", ""), characters="/")


def _compared(bare: str) -> str:
    """Return an address without its scheme, compared by all but `www.` and slashes at the end."""
    found = _HOST.match(bare.partition("#")[0].strip())
    assert found is not None
    host = _DEFAULT_PORT.sub("", to_punycode(found["host"].lower()))
    rest = _ESCAPE.sub(_needed, quote(found["rest"], safe=_ASCII, errors="surrogatepass"))
    return host + _TRACKING.sub("", rest)


def _needed(escape: re.Match[str]) -> str:
    letter = chr(int(escape[0][1:], 16))
    return letter if _UNRESERVED.fullmatch(letter) else escape[0].upper()


def _beside(uri: str, path: str) -> str:
    """Return where a table of the list `uri` lies: named from the folder of all lists."""
    return f"{uri.rsplit('/', 2)[0]}/{path}"


def blanked_rows(
    batch: pa.RecordBatch, removed: pa.BooleanArray, padding: np.unsignedinteger[Any]
) -> pa.RecordBatch:
    """Return the rows with nothing left in the `removed` ones but place and fate.

    Texts, addresses and other strings become empty, nested values null; as many token ids stay, all
    of them `padding`, of the type of the ids, so that shards made of them again have the same rows.
    """
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if field.name == _TOKENS:
            column = pc.if_else(removed, _padding(column, padding), column)
        elif field.name not in _STAYS:
            empty = _empty(field.type)
            column = column if empty is None else pc.if_else(removed, empty, column)
        columns.append(column.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _empty(kind: pa.DataType) -> pa.Scalar | None:
    """Return what stands for a removed value, None for numbers, which stay."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.scalar("", kind)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.scalar(b"", kind)
    return pa.scalar(None, kind) if pa.types.is_nested(kind) else None


def _padding(tokens: pa.Array, padding: np.unsignedinteger[Any]) -> pa.Array:
    """Return padding in the place of each list of ids, of the same length."""
    one = padding.tobytes()
    sizes = pc.fill_null(pc.binary_length(tokens), 0).to_pylist()
    return pa.array([one * (size // len(one)) for size in sizes], tokens.type)


def blanked_tokens(
    tokens: pa.Array,
    removed: npt.NDArray[np.bool_],
    padding: np.unsignedinteger[Any],
    end_of_text_id: int,
) -> pa.Array:
    """Return rows of ids with `padding`, of their type, in the `removed` [rows, tokens_per_row].

    The ends of documents stay.
    """
    ids = np.stack([np.frombuffer(row.as_py(), padding.dtype) for row in tokens])
    ids[removed & (ids != end_of_text_id)] = padding
    return pa.array([row.tobytes() for row in ids], tokens.type)
