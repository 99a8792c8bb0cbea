"""Frozen dataclass trees that round-trip through YAML and take `key.path=value` overrides."""

import dataclasses
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from dclm_spark.errors import SettingError
from dclm_spark.settings_choices import choices_of, keys_named, keys_of
from dclm_spark.yaml_text import read_yaml, scalar, write_yaml
from udfs.storage.reference import FileReference
from udfs.storage.stream import without_secrets

__all__ = [
    "FileReference", "from_dict", "keys", "merge", "override", "read", "save", "settings_hash",
    "to_dict", "to_yaml",
]  # fmt: skip

Settings = TypeVar("Settings")
_SHOWN_KEYS = 4
_NOTHING = ("", "~", "null", "none")


class _Typed(str):
    """A value as it was typed on a command line; the field says whether it is text or YAML."""


def to_dict(settings: Any) -> dict[str, Any]:
    """Return the tree as plain dicts, lists and scalars, ready for YAML or JSON.

    Passwords and signatures in URIs are left out: what this returns is written, hashed and shown.
    """
    return typing.cast("dict[str, Any]", _plain(settings))


def to_yaml(settings: Any) -> str:
    """Return the tree as YAML text in declaration order."""
    return write_yaml(to_dict(settings))


def save(settings: Any, path: Path) -> None:
    """Write the tree as YAML."""
    path.write_text(to_yaml(settings), encoding="utf-8")


def read(kind: type[Settings], path: Path) -> Settings:
    """Return the tree that `save` wrote."""
    return from_dict(kind, read_yaml(path.read_text(encoding="utf-8"), str(path)))


def settings_hash(settings: Any) -> str:
    """Return 16 hex digits that identify the values of `settings` (a tree or plain data)."""
    text = json.dumps(_plain(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def keys(settings: Any, prefix: str = "") -> list[str]:
    """Return every dotted key of a tree."""
    found: list[str] = []
    names = {choice.field.name: choice for choice in choices_of(type(settings))}
    for field in dataclasses.fields(settings):
        value, place = getattr(settings, field.name), field.name
        if field.name in names:
            found.append(prefix + field.name)
            place = names[field.name].name_of(value)
        nested = dataclasses.is_dataclass(value)
        found += keys(value, f"{prefix}{place}.") if nested else [prefix + place]
    return found


def from_dict(kind: type[Settings], values: Mapping[str, Any], path: str = "") -> Settings:
    """Build a `kind` from plain data; absent keys keep their defaults.

    Raises SettingError for an unknown key (naming the nearest known one) or a wrong value.
    """
    fields = _fields(kind, values, path)
    missing = [
        name
        for name, field in fields.items()
        if name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        where = path.removesuffix(".") or "settings"
        raise SettingError(f"{where}: the key {missing[0]!r} is required")
    return _build(lambda changes: kind(**changes), kind, None, values, path)


def merge(settings: Settings, values: Mapping[str, Any], path: str = "") -> Settings:
    """Return the tree with the values of a nested mapping; keys that are absent stay as they are.

    Raises SettingError for an unknown key (naming the nearest known one) or a wrong value.
    """
    kind = type(settings)
    _fields(kind, values, path)
    if isinstance(settings, FileReference) and "uri" in values:
        # The checksum was that of another file.
        values = {"sha256": None, **values}

    def changed(changes: dict[str, Any]) -> Settings:
        return typing.cast("Settings", dataclasses.replace(typing.cast("Any", settings), **changes))

    return _build(changed, kind, settings, values, path)


def override(settings: Settings, assignments: Iterable[str]) -> Settings:
    """Apply `key.path=value` assignments to a tree, all at once; the last of a key counts.

    A value for a text is taken as it stands, another in YAML notation.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key.strip():
            raise SettingError(f"--set {assignment!r}: expected key.path=value")
        _put(values, key.strip().split("."), _Typed(text.strip()), key.strip())
    try:
        return merge(settings, values)
    except _UnknownKeyError as error:
        if not (same := keys_named(type(settings), error.name)):
            raise
        raise _UnknownKeyError(error.key, error.name, _did_you_mean(same)) from None


def _put(values: dict[str, Any], path: list[str], value: Any, whole: str) -> None:
    *folders, last = path
    for name in folders:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise SettingError(f"--set {whole}: {name!r} was given a value before; shorten the key")
    values[last] = value


def _fields(kind: Any, values: Any, path: str) -> dict[str, Any]:
    """Return the fields of a settings class; SettingError for values that it cannot take."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if not isinstance(values, Mapping):
        where = path.removesuffix(".") or "settings"
        raise SettingError(f"{where} = {values!r}: expected a mapping of keys to values")
    known = {*fields, *(key for choice in choices_of(kind) for key in choice.keys)}
    for key in values:
        if key not in known:
            raise _unknown_key(path, str(key), kind)
    return fields


def _build(
    make: typing.Callable[[dict[str, Any]], Settings],
    kind: Any,
    current: Any,
    values: Mapping[str, Any],
    path: str,
) -> Settings:
    """Return what `make` makes of the converted values, its complaints with whole keys."""
    hints = typing.get_type_hints(kind)
    changes: dict[str, Any] = {}
    chosen: set[str] = set()
    for choice in choices_of(kind):
        chosen |= {choice.field.name, *choice.keys}
        changes |= choice.changes(current, values, path, _value)
    for key, value in values.items():
        if key not in chosen:
            changes[key] = _value(hints[key], getattr(current, key, None), value, f"{path}{key}")
    try:
        return make(changes)
    except SettingError:
        raise
    except ValueError as error:
        # A settings class knows its fields and not where it stands in the tree.
        raise SettingError(f"{path}{error}") from error


def _value(hint: Any, current: Any, value: Any, path: str) -> Any:
    """Check and convert `value` for a field of type `hint` that holds `current`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, _Typed) and value.lower() in _NOTHING):
            return None
        choices = [argument for argument in arguments if argument is not type(None)]
        return _value(choices[0], current, value, path)
    if hint is Any:
        return _anything(current, value, path)
    if isinstance(value, _Typed):
        value = _typed(hint, value, path)
    if dataclasses.is_dataclass(hint):
        if isinstance(value, str) and issubclass(typing.cast("Any", hint), FileReference):
            value = {"uri": value}
        if current is not None:
            return merge(current, value, f"{path}.")
        return from_dict(typing.cast("type[Any]", hint), _mapping(value, path), f"{path}.")
    if origin is Mapping:
        return _named_values(arguments[1], current or {}, _mapping(value, path), path)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise SettingError(f"{path} = {value!r}: expected a list, such as [a, b]")
        return tuple(_value(arguments[0], None, item, path) for item in value)
    return scalar(hint, value, path)


def _named_values(
    hint: Any, current: Mapping[str, Any], values: Mapping[str, Any], path: str
) -> dict[str, Any]:
    """Return values by names of the user's own: new names come last, `null` removes a name."""
    found = dict(current)
    for name, value in values.items():
        if not isinstance(name, str) or not name:
            raise SettingError(f"{path}: {name!r} is not a name; put it in quotes")
        if value is None or (isinstance(value, _Typed) and value.lower() in _NOTHING):
            found.pop(name, None)
        else:
            found[name] = _value(hint, current.get(name), value, f"{path}.{name}")
    return found


def _anything(current: Any, value: Any, path: str) -> Any:
    """Return plain data with what `value` changes of it."""
    if isinstance(value, Mapping):
        held = dict(current) if isinstance(current, Mapping) else {}
        return held | {
            key: _anything(held.get(key), one, f"{path}.{key}") for key, one in value.items()
        }
    return read_yaml(value, f"--set {path}={value}") if isinstance(value, _Typed) else value


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingError(f"{path} = {value!r}: expected a mapping of keys to values")
    return value


def _typed(hint: Any, value: _Typed, path: str) -> Any:
    """Read what was typed: a text as it stands, unless it is in quotes, the rest as YAML."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    if hint is str and not quoted:
        return str(value)
    return read_yaml(value, f"--set {path}={value}")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        plain = {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
        for choice in choices_of(type(value)):
            plain |= choice.named(getattr(value, choice.field.name), plain[choice.field.name])
        return plain
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value


class _UnknownKeyError(SettingError):
    """A key that is not there; `name` is its last part."""

    def __init__(self, key: str, name: str, hint: str) -> None:
        super().__init__(f"unknown key '{key}': {hint}")
        self.key, self.name = key, name


def _unknown_key(path: str, key: str, kind: Any) -> SettingError:
    """Name the keys of that name below this place, or else one of nearly that name."""
    if same := keys_named(kind, key):
        return _UnknownKeyError(path + key, key, _did_you_mean([path + name for name in same]))
    known = [field.name for field in dataclasses.fields(kind)]
    known += [name for choice in choices_of(kind) for name in choice.kinds]
    nearest = difflib.get_close_matches(key, known, n=1)
    if not nearest:
        deep = {name.rpartition(".")[2]: name for name in reversed(keys_of(kind))}
        nearest = [deep[name] for name in difflib.get_close_matches(key, deep, n=1)]
    hint = _did_you_mean([path + nearest[0]]) if nearest else f"known keys: {', '.join(known)}"
    return _UnknownKeyError(path + key, key, hint)


def _did_you_mean(names: list[str]) -> str:
    return f"did you mean {' or '.join(names[:_SHOWN_KEYS])}?"
