"""One code for a language whatever a model calls it: ISO 639-3 and script, such as deu_Latn."""

import difflib
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_PREFIX = "__label__"
# How like a name another must be for a hint: one letter may be wrong, or two change places.
_LIKENESS = 0.8
_HINTS = 3


@cache
def _codes() -> dict[str, str]:
    lines = (files("udfs") / "resources" / "language_codes.txt").read_text().splitlines()
    return dict(line.split() for line in lines if not line.startswith("#"))


def code_of(label: str) -> str:
    """Return the code of a label such as "de", "zho_Hans" or "__label__deu_Latn".

    A label that is neither a code nor known stays as it is.
    """
    name = label.removeprefix(_PREFIX)
    return _codes().get(name, name)


def typed_code(name: str) -> str:
    """Return the code of a language as a person writes it: in any case, with "-" for "_" too.

    What is neither a code nor known stays as it is.
    """
    first, *others = name.strip().replace("-", "_").split("_")
    code = code_of("_".join([first.lower(), *map(str.capitalize, others)]))
    return code if is_code(code) else name


def is_code(label: str) -> bool:
    """Say whether a label has the form of a code."""
    return _CODE.fullmatch(label) is not None


def nearest_codes(name: str, known: Iterable[str]) -> str:
    """Return a question that names the known codes or labels most like `name`, "" for none.

    Whatever is said follows it: it ends with a blank.
    """
    codes, typed = sorted(known), typed_code(name)
    language = typed.partition("_")[0].lower()
    of_language = [code for code in codes if code.startswith(f"{language}_")]
    near = of_language or difflib.get_close_matches(typed, codes, _HINTS, _LIKENESS)
    return f"did you mean {' or '.join(near[:_HINTS])}? " if near else ""
