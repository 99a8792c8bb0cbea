"""Functions of the user's own: found on the driver, sent to the executors, called on batches."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

# What a function gets of each document.
ARGUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("crawl", pa.string()),
        pa.field("warc_path", pa.string()),
        pa.field("warc_offset", pa.int64()),
        pa.field("url", pa.string()),
        pa.field("text", pa.large_string()),
    ]
)
_FILE = ".py"


@dataclass(frozen=True, kw_only=True)
class ShippedFunction:
    """A function by what a process needs to call it: the text of its file, or its module."""

    # FILE.py:FUNCTION or MODULE:FUNCTION, as it was given.
    named: str
    sha256: str
    # None: the module is installed where the function is called.
    source: str | None

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.named.rpartition(":")[2]


def find_function(named: str) -> ShippedFunction:
    """Return the function FILE.py:FUNCTION or MODULE:FUNCTION; ValueError if there is none."""
    place, separator, name = named.rpartition(":")
    if not separator or not place or not name.isidentifier():
        raise ValueError(f"{named!r}: expected FILE.py:FUNCTION or MODULE:FUNCTION")
    path = Path(place) if place.endswith(_FILE) else _file_of(place, named)
    if not path.is_file():
        raise ValueError(f"{named!r}: there is no file {path}")
    source = path.read_text(encoding="utf-8")
    found = ShippedFunction(
        named=named,
        sha256=hashlib.sha256(source.encode()).hexdigest(),
        source=source if place.endswith(_FILE) else None,
    )
    load_function(found)
    return found


def _file_of(module: str, named: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ImportError as error:
        raise ValueError(f"{named!r}: {error}") from error
    if spec is None or not spec.has_location or spec.origin is None:
        raise ValueError(
            f"{named!r}: no module {module} is installed here; give its .py file instead"
        )
    return Path(spec.origin)


@cache
def load_function(function: ShippedFunction) -> Callable[[pa.RecordBatch], Any]:
    """Return the function itself, its module loaded once per process; ValueError if it fails."""
    try:
        module = _module(function)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{function.named!r}: it cannot be loaded: {reason}") from error
    found = getattr(module, function.name, None)
    if not callable(found):
        raise ValueError(f"{function.named!r}: the module has no function {function.name}")
    return found  # type: ignore[no-any-return]


def _module(function: ShippedFunction) -> ModuleType:
    if function.source is None:
        return importlib.import_module(function.named.rpartition(":")[0])
    module = ModuleType(f"signal_{function.sha256[:16]}")
    sys.modules[module.__name__] = module
    code = compile(function.source, function.named.rpartition(":")[0], "exec")
    exec(code, module.__dict__)
    return module


def call(function: ShippedFunction, batch: pa.RecordBatch) -> pa.Array:
    """Return the column that a function gives for a batch; ValueError if it is none."""
    result = load_function(function)(batch)
    if isinstance(result, pa.ChunkedArray):
        result = result.combine_chunks()
    if isinstance(result, np.ndarray):
        result = pa.array(result)
    if not isinstance(result, pa.Array):
        raise ValueError(
            f"{function.named!r}: it returned {type(result).__name__}; expected a pyarrow.Array or "
            "a NumPy array"
        )
    if len(result) != batch.num_rows:
        raise ValueError(
            f"{function.named!r}: it returned {len(result)} values for {batch.num_rows} documents"
        )
    return result


def probe(function: ShippedFunction) -> pa.DataType:
    """Call a function with two made-up documents and return the type of its column.

    Raises ValueError where it fails, or gives a type that no expression can use.
    """
    rows = [
        {
            "doc_id": bytes([number] * 16), "crawl": "crawl", "warc_path": "a.warc.gz",
            "warc_offset": number, "url": f"https://example.org/{number}", "text": text,
        }
        for number, text in enumerate(("A text of two lines,\nwith seven more words.", ""))
    ]  # fmt: skip
    try:
        kind = call(function, pa.RecordBatch.from_pylist(rows, ARGUMENTS)).type
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(
            f"{function.named!r}: it failed on two made-up documents: {type(error).__name__}: "
            f"{error}"
        ) from error
    return _stored_type(kind, function.named)


def _stored_type(kind: pa.DataType, named: str) -> pa.DataType:
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_boolean(kind):
        return pa.bool_()
    raise ValueError(
        f"{named!r}: its column is of type {kind}; expected numbers, booleans or text (give the "
        "type, such as pa.array(values, pa.float64()), where all values may be null)"
    )
