"""A list of words as one regular expression that shares their beginnings."""

import re
from collections.abc import Iterable
from typing import Any


def one_of(words: Iterable[str]) -> str:
    """Return an expression for any of `words`, the longest that fits; nothing fits no words.

    Alternatives that share no letter are what keeps thousands of words affordable.
    """
    root: dict[str, Any] = {}
    for word in words:
        node = root
        for letter in word:
            node = node.setdefault(letter, {})
        node[""] = {}
    return _expression(root) or "(?!)"


def _expression(node: dict[str, Any]) -> str:
    branches, last_letters = [], []
    for letter, child in node.items():
        if not letter:
            continue
        rest = _expression(child)
        if rest:
            branches.append(re.escape(letter) + rest)
        else:
            last_letters.append(re.escape(letter))
    if last_letters:
        branches.append(f"[{''.join(last_letters)}]")
    if not branches:
        return ""
    return f"(?:{'|'.join(branches)})" + ("?" if "" in node else "")
