"""Keys by which two documents are the same: their text or address after declared steps."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.compute as pc

Step = Callable[[pa.Array], pa.Array]
_KEY_SIZE_BYTES = 16
# Parameters that say where a reader came from, and nothing of the page.
TRACKING = re.compile(
    r"utm_\w+|gclid|dclid|fbclid|msclkid|yclid|twclid|igshid|mc_cid|mc_eid|_ga|_gl|_hsenc|_hsmi"
    r"|ref|ref_src|referrer|feed|cmpid|ncid"
)


def _replaced(pattern: str, replacement: str) -> Step:
    return lambda texts: pc.replace_substring_regex(texts, pattern, replacement)


# In the order in which they are applied, whatever the order in which they are declared.
TEXT_STEPS: Mapping[str, Step] = {
    "nfc": lambda texts: pc.utf8_normalize(texts, form="NFC"),
    "case": pc.utf8_lower,
    "punctuation": _replaced(r"[\p{P}\p{S}]+", ""),
    "digits": _replaced(r"\p{Nd}+", "0"),
    "white_space": lambda texts: pc.utf8_trim_whitespace(
        pc.replace_substring_regex(texts, r"[\s\p{Z}\x{85}]+", " ")
    ),
}


def _each(change: Callable[[str], str]) -> Step:
    def changed(urls: pa.Array) -> pa.Array:
        return pa.array(
            [None if url is None else _unless_unreadable(change, url) for url in urls.to_pylist()],
            urls.type,
        )

    return changed


def _unless_unreadable(change: Callable[[str], str], url: str) -> str:
    """Return the changed address; one that cannot be split stays as it is."""
    try:
        return change(url)
    except ValueError:
        return url


def _lower_host(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.lower()))


def _with_parameters(change: Callable[[list[str]], list[str]]) -> Step:
    def changed(url: str) -> str:
        parts = urlsplit(url)
        query = "&".join(change(parts.query.split("&"))) if parts.query else ""
        return urlunsplit(parts._replace(query=query))

    return _each(changed)


def _without_tracking(parameters: list[str]) -> list[str]:
    return [one for one in parameters if not TRACKING.fullmatch(one.partition("=")[0].lower())]


URL_STEPS: Mapping[str, Step] = {
    "host_case": _each(_lower_host),
    "fragment": _replaced(r"(?s)#.*$", ""),
    "tracking": _with_parameters(_without_tracking),
    "sort": _with_parameters(sorted),
    "www": _replaced(r"^([A-Za-z][A-Za-z0-9+.-]*://)?www\d*\.", r"\1"),
    "scheme": _replaced(r"^[A-Za-z][A-Za-z0-9+.-]*://", ""),
    "slash": lambda urls: pc.utf8_rtrim(urls, characters="/"),
}
STEPS: Mapping[str, Mapping[str, Step]] = {"text": TEXT_STEPS, "url": URL_STEPS}


def keys_by_step(key: str, values: pa.Array, steps: Sequence[str]) -> pa.ListArray:
    """Return for each value a list of keys: as it is, then after each of `steps` too.

    `key` is "text" or "url". Two values with the same last key are the same; the first key that
    they share says which step made them so. Null has a null in place of the list.
    """
    levels = [values]
    for name, step in STEPS[key].items():
        if name in steps:
            levels.append(step(levels[-1]))
    hashed = [list(_hashed(level)) for level in levels]
    rows = [None if row[0] is None else list(row) for row in zip(*hashed, strict=True)]
    return pa.array(rows, pa.list_(pa.binary()))


def _hashed(values: pa.Array) -> Iterator[bytes | None]:
    for value in values.to_pylist():
        if value is None:
            yield None
        else:
            yield hashlib.blake2b(value.encode(), digest_size=_KEY_SIZE_BYTES).digest()
