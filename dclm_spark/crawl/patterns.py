"""Patterns of names in object stores, which list names and know no patterns themselves."""

import re
from collections.abc import Sequence

GLOB = re.compile(r"[*?\[]")
_TOKEN = re.compile(r"\*\*/?|\*|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)
_SIMPLE = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def folder_of(pattern: str) -> str:
    """Return the folder that all names of a pattern lie below."""
    return GLOB.split(pattern, maxsplit=1)[0].rpartition("/")[0]


def matching(pattern: str, names: Sequence[str]) -> list[str]:
    """Return the names that a pattern stands for: `*`, `?`, `[a-c]`, and `**` for any folders.

    A bracket stands for itself too, so that names with brackets can be given as they are.
    """
    tokens = (token[0] for token in _TOKEN.finditer(pattern))
    expression = re.compile("".join(map(_expression, tokens)), re.DOTALL)
    return [name for name in names if expression.fullmatch(name)]


def _expression(token: str) -> str:
    if len(token) < 3 or not token.startswith("["):
        return _SIMPLE.get(token, re.escape(token))
    inverse = token.startswith("[!")
    letters = token[1 + inverse : -1].replace("\\", "\\\\")
    letters = re.sub(r"([\[\]^&~|])", r"\\\1", letters)
    choice = f"[{'^/' if inverse else ''}{letters}]"
    try:
        re.compile(choice)
    except re.error:
        return re.escape(token)
    return f"(?:{re.escape(token)}|{choice})"
