"""Frozen settings trees: overrides by dotted key, and the round trip through YAML."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

Settings = TypeVar("Settings")


def override(settings: Settings, assignments: Iterable[str]) -> Settings:
    """Return `settings` with each "dotted.key=value" applied; values are read as YAML.

    Raises ValueError for an unknown key (naming the nearest known one) or a value of the wrong
    type.
    """
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator:
            raise ValueError(f"--set {assignment}: write key=value")
        settings = _replace(settings, key.strip(), key.strip().split("."), _parse(text))
    return settings


def keys(settings: Any, prefix: str = "") -> list[str]:
    """Return every dotted key of a settings tree."""
    found: list[str] = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            found += keys(value, f"{prefix}{field.name}.")
        else:
            found.append(prefix + field.name)
    return found


def to_mapping(settings: Any) -> dict[str, Any]:
    """Return plain nested dictionaries, lists and scalars."""
    return {f.name: _plain(getattr(settings, f.name)) for f in dataclasses.fields(settings)}


def from_mapping(kind: type[Settings], mapping: Mapping[str, Any]) -> Settings:
    """Return a `kind` made of `mapping`, as `to_mapping` gave it; unknown keys are errors."""
    hints = typing.get_type_hints(kind)
    unknown = set(mapping) - set(hints)
    if unknown:
        raise ValueError(_unknown(sorted(unknown)[0], list(hints)))
    return kind(**{name: _typed(hints[name], value, name) for name, value in mapping.items()})


def save(settings: Any, path: Path) -> None:
    """Write the resolved settings as YAML."""
    path.write_text(yaml.safe_dump(to_mapping(settings), sort_keys=False))


def read(kind: type[Settings], path: Path) -> Settings:
    """Read what `save` wrote."""
    return from_mapping(kind, yaml.safe_load(path.read_text()))


def _replace(node: Any, key: str, path: list[str], value: Any) -> Any:
    hints = typing.get_type_hints(type(node))
    name = path[0]
    if name not in hints:
        raise ValueError(_unknown(key, keys(node), prefix=key[: -len(".".join(path))]))
    if len(path) > 1:
        child = getattr(node, name)
        if not dataclasses.is_dataclass(child):
            raise ValueError(f"--set {key}: {name} is a value and has no parts")
        return dataclasses.replace(node, **{name: _replace(child, key, path[1:], value)})
    return dataclasses.replace(node, **{name: _typed(hints[name], value, key)})


def _unknown(key: str, known: list[str], prefix: str = "") -> str:
    full = [prefix + name for name in known]
    by_last = {name.rsplit(".", 1)[-1]: name for name in full}
    near = difflib.get_close_matches(key, full, n=1, cutoff=0.5)
    near = near or [
        by_last[n] for n in difflib.get_close_matches(key.rsplit(".", 1)[-1], list(by_last), n=1)
    ]
    advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(full)}"
    return f"unknown setting {key}: {advice}"


def _parse(text: str) -> Any:
    value = yaml.safe_load(text)
    # YAML 1.1 reads 3e-3 as a string; people mean a number.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_mapping(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _typed(hint: Any, value: Any, key: str) -> Any:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in parts:
            return None
        return _typed(next(part for part in parts if part is not type(None)), value, key)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(typing.cast(type[Any], hint), value)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_typed(parts[0], item, key) for item in value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(hint, type) and isinstance(value, hint):
        if hint is int and isinstance(value, bool):
            raise ValueError(f"{key} = {value!r}: must be a whole number")
        return value
    name = getattr(hint, "__name__", str(hint))
    raise ValueError(f"{key} = {value!r}: must be of type {name}")
