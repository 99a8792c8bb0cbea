"""The JSON schema of report.json, made from the classes that it is written from.

`python -m dclm_spark.report.json_schema > docs/report.schema.json` publishes it.
"""

import json
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from dclm_spark.report.machine import FACTS, SCHEMA_VERSION
from dclm_spark.report.summary import RunSummary

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def report_schema() -> dict[str, Any]:
    """Return the schema: every field with its type; `description` says what a record means."""
    definitions: dict[str, Any] = {}
    record = _record(RunSummary, definitions)
    facts: dict[str, dict[str, Any]] = {
        name: {"type": _PLAIN[kind], "description": told} for name, (kind, told) in FACTS.items()
    }
    facts["schema_version"]["const"] = SCHEMA_VERSION
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "report.json of a dclm_spark run",
        **record,
        "required": [*facts, *record["required"]],
        "properties": facts | record["properties"],
        "$defs": dict(sorted(definitions.items())),
    }


def _record(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {
        "type": "object",
        "description": re.sub(r"\s+", " ", kind.__doc__ or "").strip(),
        "properties": {one.name: _schema(hints[one.name], definitions) for one in fields(kind)},
        # All are written; a reader may rely on those that have no default.
        "required": [
            one.name
            for one in fields(kind)
            if one.default is MISSING and one.default_factory is MISSING
        ],
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if is_dataclass(kind):
        name = getattr(kind, "__name__", "")
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = _record(kind, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if kind is type(None):
        return {"type": "null"}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(one, definitions) for one in arguments]}
    if origin is tuple and arguments[-1] is not Ellipsis:
        parts = [_schema(one, definitions) for one in arguments]
        return {"type": "array", "prefixItems": parts, "minItems": len(parts), "items": False}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    raise TypeError(f"{kind}: the schema of a report has no such type")


def schema_text() -> str:
    """Return the schema as the published file has it."""
    return json.dumps(report_schema(), indent=1) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
