"""Articles for the sample: a seeded sentence generator and prose of the Python installation."""

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from dclm_spark.sample.texts import sample_texts

Subject = dict[str, str]
_TEXTS = sample_texts("prose")


def alternatives(text: str) -> list[str]:
    """Split "a|b c|d" into its alternatives."""
    return text.split("|")


def words_of(text: str) -> list[str]:
    """Split text at white space."""
    return text.split()


# agents and things are plural nouns, act is a verb in the base form that takes things as object.
SUBJECTS: dict[str, Subject] = _TEXTS["subjects"]

GENERAL: dict[str, str] = _TEXTS["general"]

PATTERNS: str = _TEXTS["patterns"]


# Modules whose documentation has paragraphs of connected prose; all are plain Python files.
_DOCUMENTED_MODULES = words_of(
    "argparse asyncio bdb calendar cmd code codecs collections configparser contextlib copy csv "
    "dataclasses datetime decimal difflib dis doctest email enum fileinput fractions ftplib "
    "functools getopt gettext glob gzip heapq html http inspect io ipaddress json locale logging "
    "mailbox mimetypes multiprocessing netrc numbers optparse os pathlib pdb pickle pkgutil "
    "platform plistlib poplib pprint profile pstats random re runpy sched secrets selectors shelve "
    "shlex shutil smtplib socket sqlite3 statistics string subprocess symtable tarfile tempfile "
    "textwrap threading timeit tokenize trace traceback types typing unittest urllib uuid wave "
    "weakref webbrowser xml zipfile zipimport"
)
_TITLES = tuple(_TEXTS["titles"])


class Vocabulary(dict[str, str]):
    """A mapping for `str.format_map` that draws a fresh word each time a slot is filled.

    A slot with a capital first letter or the ending `_cap` gives a capitalised word.
    """

    def __init__(self, rng: Random, lists: dict[str, list[str]]) -> None:
        super().__init__()
        self._rng = rng
        self._lists = lists

    def __missing__(self, slot: str) -> str:
        name = slot.removesuffix("_cap")
        if name == slot and name[0].islower():
            return self._rng.choice(self._lists[name])
        word = self._rng.choice(self._lists[name.lower()])
        return word[0].upper() + word[1:]


@dataclass(frozen=True, kw_only=True)
class Article:
    """A page's title and main text; a paragraph is a tuple of sentences."""

    title: str
    paragraphs: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        """Return title and paragraphs, separated by one empty line, as extraction should."""
        return "\n\n".join([self.title, *map(" ".join, self.paragraphs)])


def split_lists(lists: dict[str, str]) -> dict[str, list[str]]:
    """Turn 'a|b|c' values into lists of alternatives."""
    return {name: alternatives(words) for name, words in lists.items()}


_GENERAL = split_lists(GENERAL)
_SUBJECTS = {name: split_lists(subject) for name, subject in SUBJECTS.items()}
_PATTERNS = PATTERNS.split("\n")


def subject_vocabulary(rng: Random, more: dict[str, list[str]] | None = None) -> Vocabulary:
    """Return the vocabulary of one subject drawn by `rng`, with the general words and `more`."""
    return Vocabulary(rng, _GENERAL | _SUBJECTS[rng.choice(sorted(_SUBJECTS))] | (more or {}))


def sentences(rng: Random, count: int) -> list[str]:
    """Return `count` sentences on one subject; no pattern comes again before all were used."""
    words = subject_vocabulary(rng)
    written: list[str] = []
    while len(written) < count:
        patterns = rng.sample(_PATTERNS, min(count - len(written), len(_PATTERNS)))
        written += [pattern.format_map(words) for pattern in patterns]
    return [text[0].upper() + text[1:] for text in written]


def article(
    rng: Random,
    *,
    statements: list[str] | None = None,
    quotations: list[str] | None = None,
    mean_sentences: int = 44,
) -> Article:
    """Write an article of some paragraphs, with `statements` strewn among its sentences.

    Each of `quotations` (paragraphs written elsewhere) becomes a paragraph of its own.
    """
    body = sentences(rng, rng.randint(mean_sentences // 2, mean_sentences * 3 // 2))
    for statement in statements or []:
        body.insert(rng.randint(1, len(body)), statement)
    paragraphs: list[tuple[str, ...]] = []
    while body:
        size = rng.randint(3, 7)
        paragraphs.append(tuple(body[:size]))
        body = body[size:]
    for quotation in quotations or []:
        paragraphs.insert(rng.randint(1, len(paragraphs)), (quotation,))
    title = rng.choice(_TITLES).format_map(subject_vocabulary(rng))
    return Article(title=title[0].upper() + title[1:], paragraphs=tuple(paragraphs))


def library_paragraphs() -> list[str]:
    """Return the prose paragraphs of this Python's documentation topics and docstrings, sorted.

    Which they are depends on the Python version; every text appears once.
    """
    found: set[str] = set()
    for text in [*_topics(), *_docstrings()]:
        found.update(_prose_paragraphs(text))
    return sorted(found)


def _topics() -> list[str]:
    """Return the language reference that `help()` prints; nothing where it is not installed."""
    try:
        from pydoc_data.topics import topics  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return []
    return [topics[name] for name in sorted(topics)]


def _docstrings() -> Iterator[str]:
    for name in _DOCUMENTED_MODULES:
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec else None
        if origin is None or not origin.endswith(".py") or not Path(origin).is_file():
            continue
        yield from re.findall(r'"""(.*?)"""', Path(origin).read_text("utf-8"), re.DOTALL)


def _prose_paragraphs(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text):
        paragraph = " ".join(block.split())
        words = paragraph.split()
        plain = sum(word.strip(".,;:()*\"'").isalpha() for word in words)
        if len(words) < 22 or plain < 0.88 * len(words):
            continue
        # Shouted licence terms would be removed again, as uppercase lines.
        shouted = sum(map(str.isupper, paragraph)) > 0.2 * len(paragraph)
        if not paragraph[0].isupper() or not paragraph.endswith(".") or shouted:
            continue
        if not _MARKUP.search(paragraph):
            yield paragraph


# Also what URL removal would take out: a dot between two letters.
_MARKUP = re.compile(r">>>|::|==|https?:|[\\#{}|<>@]|\.\.\.|\w\.\w")
