"""Command lines of jobs: mistakes as one line, and numbers as people type them."""

import argparse
import difflib
import re
import sys
from typing import NoReturn

EXIT_USER_ERROR = 2
# What argparse calls a value's type, in words.
_TYPES = {"int": "a whole number", "float": "a number"}
_VALUES = {
    "expected one argument": "expected a value",
    "expected at least one argument": "expected a value or more",
}
_ARGUMENT = re.compile(r"argument (?P<option>[^:]+): (?P<rest>.*)", re.DOTALL)
_INVALID = re.compile(r"invalid (?P<type>\w+) value: (?P<value>.*)", re.DOTALL)
_CHOICE = re.compile(
    r"invalid choice: (?P<value>'.*?'|\S+) \(choose from (?P<known>.*)\)", re.DOTALL
)
_NEEDED, _UNKNOWN = "the following arguments are required: ", "unrecognized arguments: "


class JobParser(argparse.ArgumentParser):
    """A parser that tells a mistake in one line: option, value, what is allowed."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, without the usage, and exit."""
        print(f"error: {self.told(message)} ({self.prog} --help tells more)", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)

    def told(self, message: str) -> str:
        """Return what argparse says of a mistake, in our words."""
        if message.startswith(_NEEDED):
            return f"{message.removeprefix(_NEEDED)}: missing"
        if message.startswith(_UNKNOWN):
            return self._unknown(message.removeprefix(_UNKNOWN))
        found = _ARGUMENT.fullmatch(message)
        return f"{found['option']}: {_problem(found['rest'])}" if found else message

    def _unknown(self, words: str) -> str:
        options = [word.partition("=")[0] for word in words.split() if word.startswith("-")]
        if not options:
            return f"{words}: no option stands before it"
        known = [name for action in self._actions for name in action.option_strings]
        near = difflib.get_close_matches(options[0], known, 1)
        return f"{options[0]}: there is no such option" + (
            f"; did you mean {near[0]}?" if near else ""
        )


def _problem(text: str) -> str:
    if (invalid := _INVALID.fullmatch(text)) is not None:
        kind = _TYPES.get(invalid["type"], invalid["type"])
        return f"{invalid['value']}: expected {kind}"
    if (choice := _CHOICE.fullmatch(text)) is not None:
        known = [name.strip("'\" ") for name in choice["known"].split(",")]
        near = difflib.get_close_matches(choice["value"].strip("'\""), known, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{choice['value']}: {hint}expected one of {', '.join(known)}"
    return _VALUES.get(text, text)


def positive(text: str) -> int:
    """Return a whole number from 1 on, as argparse converts an argument."""
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 on")
    return int(text)


def number(text: str) -> int:
    """Return a whole number that may be written as 2.5e9, as argparse converts an argument."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value >= 1 or not value.is_integer():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, such as 2.5e9")
    return int(value)
