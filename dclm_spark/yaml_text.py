"""YAML as people write it: `no` is a word, 1e-3 a number, and every key stands once."""

import re
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import yaml

from dclm_spark.errors import SettingError

# The core schema of YAML 1.2; `yaml.SafeLoader` reads that of 1.1, in which `no` is false.
_SCHEMA = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "null": (r"~|null|Null|NULL", "~nN"),
    "int": (r"[-+]?[0-9][0-9_]*", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_MAX_DIGITS = 100
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kMBT])")
_TIMES = {"k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_NAMES = {
    str: "text; put it in quotes where YAML reads something else",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        "": [("tag:yaml.org,2002:null", re.compile("$"))]
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                problem = "a list or mapping stands for a key; a value in braces wants quotes"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping

    def construct_whole(self, node: Any) -> int:
        text = self.construct_scalar(node)
        if len(text) > _MAX_DIGITS:
            problem = f"a number of {len(text)} digits"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return int(text)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Puts words in quotes that YAML 1.1 or 1.2 would read as something else."""


for _name, (_pattern, _first) in _SCHEMA.items():
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(
            f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), list(_first)
        )
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole)


def read_yaml(text: str, source: str) -> Any:
    """Return the value of a YAML text; SettingError names `source`, line, column and fault."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise SettingError(f"{source}: {_fault(error)}") from None


def write_yaml(value: Any) -> str:
    """Return the YAML text of plain data, keys in their order."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def _fault(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or next(iter(str(error).splitlines()), "not YAML")
    if "'\\t'" in problem:
        problem = "a tab; YAML is indented with spaces"
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"not readable as YAML: {place}{problem}"


def scalar(hint: Any, value: Any, path: str) -> Any:
    """Check and convert a single value for a field of type `hint`; SettingError names `path`.

    Whole numbers may be written as 500k, 20M, 2.5B or 1T (decimal).
    """
    if isinstance(value, Mapping):
        raise SettingError(f"{path} is a value and has no keys; unknown are {', '.join(value)}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int:
        value = _whole(value)
    if hint is bool and isinstance(value, str) and value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    if isinstance(hint, type) and (
        not isinstance(value, hint) or (hint is int and isinstance(value, bool))
    ):
        raise SettingError(f"{path} = {value!r}: expected {_NAMES.get(hint, hint.__name__)}")
    return value


def _whole(value: Any) -> Any:
    """Return the whole number that a value stands for, or the value."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    amount = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if amount is None:
        return value
    return round(float(amount[1]) * _TIMES[amount[2]])
