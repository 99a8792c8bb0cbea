"""Frozen dataclass trees that round-trip through YAML and take `key.path=value` overrides."""

import dataclasses
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml

from dclm_spark.errors import SettingError
from udfs.storage.stream import without_secrets

Settings = TypeVar("Settings")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileReference:
    """A model or list by URI (local, s3://, gs://, https://, hf://, package://) and checksum."""

    uri: str
    sha256: str | None = None


def to_dict(settings: Any) -> dict[str, Any]:
    """Return the tree as plain dicts, lists and scalars, ready for YAML or JSON.

    Passwords and signatures in URIs are left out: what this returns is written, hashed and shown.
    """
    return typing.cast("dict[str, Any]", _plain(settings))


def to_yaml(settings: Any) -> str:
    """Return the tree as YAML text in declaration order."""
    text: str = yaml.safe_dump(to_dict(settings), sort_keys=False, allow_unicode=True)
    return text


def settings_hash(settings: Any) -> str:
    """Return 16 hex digits that identify the values of `settings` (a tree or plain data)."""
    text = json.dumps(_plain(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def one_of(
    kinds: Mapping[str, type], former_keys: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the metadata of a field whose value is one of the dataclasses `kinds`.

    As plain data the field holds a name in `kinds`, and the key of that name beside it holds the
    settings: `method: minhash` with `minhash: {...}`. `former_keys` are other keys for the settings
    of a name. A key of another kind than the chosen one is an error that says so.
    """
    return {"one_of": kinds, "former_keys": dict(former_keys or {})}


def from_dict(kind: type[Settings], values: Mapping[str, Any], path: str = "") -> Settings:
    """Build a `kind` from plain data; absent keys keep their defaults.

    Raises SettingError for an unknown key (naming the nearest known one) or a wrong type.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(typing.cast("Any", kind))}
    built: dict[str, Any] = {}
    choices = [_Choice(field) for field in fields.values() if "one_of" in field.metadata]
    for choice in choices:
        built |= choice.taken_from(values, path)
    ours = {name for choice in choices for name in (choice.field.name, *choice.keys)}
    known = [*fields, *(name for choice in choices for name in choice.kinds)]
    for key, value in values.items():
        if key not in fields and key not in ours:
            raise _unknown_key(f"{path}{key}", key, known)
        if key not in ours:
            built[key] = _value(hints[key], value, f"{path}{key}")
    missing = [
        name
        for name, field in fields.items()
        if name not in built
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SettingError(f"{path or 'settings'}: the key {missing[0]!r} is required")
    return kind(**built)


def override(settings: Settings, assignments: Sequence[str]) -> Settings:
    """Apply `key.path=value` assignments (values in YAML notation) to a settings tree.

    Longer keys come after shorter ones, so that a choice is made before its settings are.
    """
    for assignment in assignments:
        if "=" not in assignment:
            raise SettingError(f"--set {assignment!r}: expected key.path=value")
    for assignment in sorted(assignments, key=lambda text: text.partition("=")[0].count(".")):
        key, _, text = assignment.partition("=")
        settings = _assign(settings, key.strip().split("."), yaml.safe_load(text), key.strip())
    return settings


def _assign(settings: Any, keys: list[str], value: Any, whole: str) -> Any:
    if not dataclasses.is_dataclass(settings):
        raise SettingError(f"--set {whole}: {keys[0]!r} lies below a plain value; shorten the key")
    fields = dataclasses.fields(settings)
    names = [field.name for field in fields]
    for choice in [_Choice(field) for field in fields if "one_of" in field.metadata]:
        names += choice.kinds
        if keys[0] == choice.field.name or keys[0] in choice.keys:
            return choice.assigned(settings, keys, value, whole)
    if keys[0] not in names:
        raise _unknown_key(whole, keys[0], names)
    hint, current = typing.get_type_hints(type(settings))[keys[0]], getattr(settings, keys[0])
    if len(keys) > 1 and current is None:
        for key in reversed(keys[1:]):
            value = {key: value}
    if len(keys) > 1 and current is not None:
        changed = _assign(current, keys[1:], value, whole)
    else:
        changed = _value(hint, value, whole)
    return dataclasses.replace(typing.cast("Any", settings), **{keys[0]: changed})


class _Choice:
    """A field that holds one of several kinds of settings (`one_of`)."""

    def __init__(self, field: "dataclasses.Field[Any]") -> None:
        self.field = field
        self.kinds: dict[str, type[Any]] = dict(field.metadata["one_of"])
        former: dict[str, str] = field.metadata["former_keys"]
        # From a key that holds settings to the name of their kind.
        self.keys = {name: name for name in self.kinds} | former

    def name_of(self, settings: Any) -> str:
        return next(name for name, kind in self.kinds.items() if type(settings) is kind)

    def plain(self, settings: Any) -> dict[str, Any]:
        """Return the name and, where the kind has any, the settings, by their keys."""
        name = self.name_of(settings)
        values = _plain(settings)
        return {self.field.name: name} | ({name: values} if values else {})

    def taken_from(self, values: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Return the field's value by its name, {} where `values` say nothing of it."""
        name, given = values.get(self.field.name), [key for key in values if key in self.keys]
        if name is None and not given:
            return {}
        if name is None:
            assert self.field.default_factory is not dataclasses.MISSING
            name = self.name_of(self.field.default_factory())
        self._check_name(name, path)
        settings: Any = {}
        for key in given:
            self._check_owner(key, name, path)
            settings = values[key]
        return {self.field.name: _value(self.kinds[name], settings, f"{path}{name}")}

    def assigned(self, settings: Any, keys: list[str], value: Any, whole: str) -> Any:
        """Return `settings` with the kind, or one of its settings, changed."""
        current = getattr(settings, self.field.name)
        path = whole.removesuffix(".".join(keys))
        if keys[0] == self.field.name:
            if len(keys) > 1:
                raise SettingError(f"--set {whole}: {keys[0]!r} is a name; shorten the key")
            self._check_name(value, path)
            changed = current if value == self.name_of(current) else self.kinds[value]()
        else:
            self._check_owner(keys[0], self.name_of(current), path)
            if len(keys) > 1:
                changed = _assign(current, keys[1:], value, whole)
            else:
                changed = _value(type(current), value, whole)
        return dataclasses.replace(settings, **{self.field.name: changed})

    def _check_name(self, name: Any, path: str) -> None:
        if name not in self.kinds:
            raise SettingError(
                f"{path}{self.field.name} = {name!r}: expected one of {', '.join(self.kinds)}"
            )

    def _check_owner(self, key: str, name: str, path: str) -> None:
        owner = self.keys[key]
        if owner != name:
            field = f"{path}{self.field.name}"
            raise SettingError(
                f"{path}{key} belongs to {field} = {owner!r}, but {field} is {name!r}: "
                f"set {field}={owner} too, or remove the key"
            )


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        plain: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            content = getattr(value, field.name)
            if "one_of" in field.metadata:
                plain |= _Choice(field).plain(content)
            else:
                plain[field.name] = _plain(content)
        return plain
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value


def _value(hint: Any, value: Any, path: str) -> Any:
    """Check and convert `value` for a field of type `hint`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        choices = [argument for argument in arguments if argument is not type(None)]
        return _value(choices[0], value, path) if len(choices) == 1 else value
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise SettingError(f"{path} = {value!r}: expected a mapping of keys to values")
        return from_dict(typing.cast("type[Any]", hint), value, f"{path}.")
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise SettingError(f"{path} = {value!r}: expected a list")
        return tuple(_value(arguments[0], item, path) for item in value)
    return _scalar(hint, value, path)


def _scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    # YAML 1.1 reads 1e-3 as a string.
    if hint is float and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(hint, type) and (
        not isinstance(value, hint) or (hint is int and isinstance(value, bool))
    ):
        raise SettingError(f"{path} = {value!r}: expected {hint.__name__}")
    return value


def _unknown_key(whole: str, key: str, known: list[str]) -> SettingError:
    nearest = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known keys: {', '.join(known)}"
    return SettingError(f"unknown key {whole!r}: {hint}")
