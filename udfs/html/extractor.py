"""What an extractor is: a way from a page to its text, with a name and a version on record."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from resiliparse.parse.html import HTMLTree


class Page(str):
    """The HTML of a page, which remembers what it was parsed into.

    Extractors of one page that share a library parse it once. None of them may change what it finds
    here: the next one reads it too.
    """

    @cached_property
    def tree(self) -> "HTMLTree":
        """Return the page as resiliparse parses it."""
        from resiliparse.parse.html import HTMLTree

        return HTMLTree.parse(str(self))

    @cached_property
    def whole_text(self) -> str:
        """Return all visible text of the page, with line breaks: main content and the rest."""
        from resiliparse.extract.html2text import extract_plain_text

        return str(extract_plain_text(self.tree, main_content=False))


# Stands between a text and its counts; the last one in it does.
_BEFORE_COUNTS = "\0"
# From a page to its text; it may raise, hang or crash.
View = Callable[[Page], str]


class Extractor(ABC):
    """One way from a page to its text.

    A new one is a subclass, and a line in `udfs.html.extractors.EXTRACTORS`, whose name users give
    as `extraction.extractor` and which every row records with the version of `package`.
    """

    # The package that is imported for it, "" for none, and by what name it is installed.
    package: ClassVar[str] = ""
    installed_as: ClassVar[str] = ""
    # Columns of numbers that it gives with each text (`counted`).
    counts: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def text(self, page: Page) -> str:
        """Return the text of a page; paragraphs stand on lines of their own."""

    def counted(self, page: Page) -> tuple[str, Sequence[int]]:
        """Return the text of a page and the numbers that `counts` names."""
        return self.text(page), ()

    @property
    def version(self) -> str:
        """Return the version of the package, "" where there is none."""
        try:
            return version(self.installed_as or self.package) if self.package else ""
        except PackageNotFoundError:
            return ""

    @property
    def is_installed(self) -> bool:
        """Say whether this interpreter has what the extractor imports."""
        return not self.package or find_spec(self.package) is not None

    def load(self) -> View:
        """Return `text`, its libraries imported: a parser's child must not import them each.

        Where there are `counts`, these follow the text (`without_counts`).
        """
        with contextlib.suppress(Exception):
            self.text(Page("<p>-</p>"))
        return self._with_counts if self.counts else self.text

    def _with_counts(self, page: Page) -> str:
        text, counts = self.counted(page)
        return f"{text}{_BEFORE_COUNTS}{' '.join(map(str, counts))}"


def without_counts(text: bytes) -> tuple[bytes, list[int]]:
    """Return the text and the counts of what a view with counts gave (UTF-8)."""
    text, _, counts = text.rpartition(_BEFORE_COUNTS.encode())
    return text, [int(count) for count in counts.split()]
