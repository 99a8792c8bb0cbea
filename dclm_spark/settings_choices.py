"""Fields of settings that hold one of several kinds, each with settings of its own."""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

from dclm_spark.errors import SettingError

# From the class of a field, what it holds, the value given for it and its key to the new value.
Convert = Callable[[Any, Any, Any, str], Any]


def chosen_by_name(
    kinds: Mapping[str, type], former_keys: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the metadata of a field that holds an object of one of the dataclasses `kinds`.

    As plain data the field holds a name in `kinds`, and the key of that name beside it holds the
    settings: `method: minhash` with `minhash: {...}`. `former_keys` are other keys for the settings
    of a name. A key of another kind than the chosen one is an error that says so.
    """
    return {"kinds": kinds, "former_keys": dict(former_keys or {})}


class Choice:
    """A field that holds one of several kinds of settings (`chosen_by_name`)."""

    def __init__(self, field: "dataclasses.Field[Any]") -> None:
        self.field = field
        self.kinds: dict[str, type[Any]] = dict(field.metadata["kinds"])
        former: dict[str, str] = field.metadata["former_keys"]
        # From a key that holds settings to the name of their kind.
        self.keys = {name: name for name in self.kinds} | former

    def name_of(self, settings: Any) -> str:
        """Return the name of the kind of `settings`."""
        return next(name for name, kind in self.kinds.items() if type(settings) is kind)

    def named(self, settings: Any, plain: dict[str, Any]) -> dict[str, Any]:
        """Return the name and, where the kind has any, the plain settings, by their keys."""
        name = self.name_of(settings)
        return {self.field.name: name} | ({name: plain} if plain else {})

    def changes(
        self, current: Any, values: Mapping[str, Any], path: str, convert: Convert
    ) -> dict[str, Any]:
        """Return the field's new value by its name, {} where `values` say nothing of it.

        `current` is the object that has the field, None for a new one, and `path` where it stands.
        """
        given = [key for key in values if key in self.keys]
        if self.field.name not in values and not given:
            return {}
        held = getattr(current, self.field.name, None)
        if held is None:
            assert self.field.default_factory is not dataclasses.MISSING
            held = self.field.default_factory()
        whole = f"{path}{self.field.name}"
        name = values.get(self.field.name, self.name_of(held))
        if not isinstance(name, str) or name not in self.kinds:
            raise SettingError(f"{whole} = {name!r}: expected one of {', '.join(self.kinds)}")
        chosen = held if name == self.name_of(held) else self.kinds[name]()
        for key in given:
            owner = self.keys[key]
            if owner != name:
                raise SettingError(
                    f"{path}{key} belongs to {whole} = {owner!r}, but {whole} is {str(name)!r}: "
                    f"set {whole}={owner} too, or remove the key"
                )
            chosen = convert(self.kinds[name], chosen, values[key], f"{path}{key}")
        return {self.field.name: chosen}


def choices_of(kind: Any) -> list[Choice]:
    """Return the fields of a settings class that hold one of several kinds."""
    return [Choice(field) for field in dataclasses.fields(kind) if "kinds" in field.metadata]


def keys_of(kind: Any, prefix: str = "") -> list[str]:
    """Return every dotted key that a settings class can have, those of all kinds of a choice."""
    found: list[str] = []
    choices = {choice.field.name: choice for choice in choices_of(kind)}
    for name, hint in typing.get_type_hints(kind).items():
        if name in choices:
            found.append(prefix + name)
            for key, chosen in choices[name].kinds.items():
                found += keys_of(chosen, f"{prefix}{key}.")
            continue
        hints = [hint, *typing.get_args(hint)]
        nested = next((one for one in hints if dataclasses.is_dataclass(one)), None)
        found += keys_of(nested, f"{prefix}{name}.") if nested else [prefix + name]
    return found


def keys_named(kind: Any, name: str) -> list[str]:
    """Return the dotted keys of a settings class whose last part is `name`."""
    return [key for key in keys_of(kind) if key.rpartition(".")[2] == name]
