"""What the comments in source say of the fields of settings classes, for docs/reference."""

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path


def field_comment(kind: type, name: str) -> str:
    """Return the comment above a field or behind it, of the class that declares it, or "".

    A field below another without a line between shares no comment: each needs its own.
    """
    for parent in kind.__mro__:
        if name in inspect.get_annotations(parent):
            return _comments(parent).get(name, "")
    return ""


@cache
def _comments(kind: type) -> Mapping[str, str]:
    """Return the comment of each field that the body of a class declares."""
    path = inspect.getsourcefile(kind)
    assert path is not None
    text = Path(path).read_text(encoding="utf-8")
    lines = text.splitlines()
    bodies = [
        node.body
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    ]
    return {
        field.target.id: _behind(lines, field) or _above(lines, field)
        for body in bodies
        for field in body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


def _above(lines: list[str], field: ast.AnnAssign) -> str:
    end = start = field.lineno - 1
    while lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(line.strip().removeprefix("#").strip() for line in lines[start:end])


def _behind(lines: list[str], field: ast.AnnAssign) -> str:
    assert field.end_lineno is not None
    assert field.end_col_offset is not None
    rest = lines[field.end_lineno - 1].encode()[field.end_col_offset :].decode().strip()
    words = rest.removeprefix("#").strip() if rest.startswith("#") else ""
    return "" if words.startswith(("fmt:", "noqa", "type:")) else words
