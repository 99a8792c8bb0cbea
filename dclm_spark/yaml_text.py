"""YAML as people write it: `no` is a word, 1e-3 a number, and every key stands once."""

import re
from collections.abc import Hashable
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


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        "": [("tag:yaml.org,2002:null", re.compile("$"))]
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping

    def construct_whole(self, node: Any) -> int:
        return int(self.construct_scalar(node))


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
