"""The extractors by name: whole pages, their main content, their paragraphs, with other libraries.

`resiliparse` is the reference's (spec 1.2). docs/extraction.md compares them and says which one to
take.
"""

from collections.abc import Sequence
from functools import cache

from udfs.html.extractor import Extractor, Page, View
from udfs.html.structures import LOSSES, markdown_text

# Of a paragraph, in words; and the lines between two paragraphs that belong to them.
_PARAGRAPH_WORDS, _LINES_BETWEEN = 20, 2


class Resiliparse(Extractor):
    """The main content, by the reference's options."""

    package = "resiliparse"

    def text(self, page: Page) -> str:
        """Return the main content as plain text.

        Everything but main_content is resiliparse's default: formatting, list bullets, alt texts
        and comment sections on; links, form fields and noscript off; nothing skipped.
        """
        from resiliparse.extract.html2text import extract_plain_text

        return str(extract_plain_text(page.tree, main_content=True))


class ResiliparseRecall(Extractor):
    """All visible text, navigation and notices too: what resiliparse's rules lose, and much else.

    It is made for `extraction.views`, where rules decide whether a page can be taken whole.
    """

    package = "resiliparse"

    def text(self, page: Page) -> str:
        """Return all visible text."""
        return page.whole_text


class ResiliparseParagraphs(Extractor):
    """The paragraphs of all visible text: long lines, and the few short lines between them."""

    package = "resiliparse"

    def text(self, page: Page) -> str:
        """Return lines of 20 words and more, with the line before and up to 2 between them.

        Words are what white space separates, so that pages of unspaced scripts have none.
        """
        lines = [line for line in page.whole_text.split("\n") if line.strip()]
        kept: list[str] = []
        last = None
        for number, line in enumerate(lines):
            if line.count(" ") < _PARAGRAPH_WORDS - 1 or len(line.split()) < _PARAGRAPH_WORDS:
                continue
            start = max(number - 1, 0)
            if last is not None:
                start = last + 1 if number - last <= _LINES_BETWEEN else max(start, last + 1)
            kept += lines[start : number + 1]
            last = number
        return "\n".join(kept)


class ResiliparseMarkdown(Extractor):
    """The main content with its tables, code blocks, lists and formulas as Markdown."""

    package = "resiliparse"
    counts = LOSSES

    def text(self, page: Page) -> str:
        """Return the main content as Markdown; headings and emphasis stay plain."""
        return self.counted(page)[0]

    def counted(self, page: Page) -> tuple[str, Sequence[int]]:
        """Return the same, and how many structures of each kind are not in it."""
        return markdown_text(page)


class Trafilatura(Extractor):
    """Trafilatura's `extract` with its defaults: comments and tables are text."""

    package = "trafilatura"

    def text(self, page: Page) -> str:
        """Return what it takes for the text, "" for none."""
        from trafilatura import extract

        return extract(str(page)) or ""


class JusText(Extractor):
    """jusText without stop words, by lengths and links alone: the same for every language."""

    package, installed_as = "justext", "jusText"

    def text(self, page: Page) -> str:
        """Return the paragraphs that are no boilerplate."""
        from justext import justext

        data = page.encode("utf-8", "replace")
        if not data.strip():
            return ""
        found = justext(data, frozenset(), encoding="utf-8", stopwords_low=0, stopwords_high=0)
        return "\n".join(one.text for one in found if not one.is_boilerplate)


class Given(Extractor):
    """No extractor: what is given is text, as in a crawl of text/plain."""

    def text(self, page: Page) -> str:
        """Return what is given."""
        return str(page)


# The only place that knows extractors by name: `extraction.extractor` takes one of these, and
# `extraction.views` several.
EXTRACTORS: dict[str, Extractor] = {
    "resiliparse": Resiliparse(),
    "resiliparse_recall": ResiliparseRecall(),
    "resiliparse_paragraphs": ResiliparseParagraphs(),
    "resiliparse_markdown": ResiliparseMarkdown(),
    "trafilatura": Trafilatura(),
    "justext": JusText(),
    "none": Given(),
}
DEFAULT = next(iter(EXTRACTORS))


@cache
def label_of(name: str) -> str:
    """Return name and version of an extractor, as rows record it: "resiliparse 2.0.1"."""
    return f"{name} {EXTRACTORS[name].version}".rstrip()


def counts_of(names: Sequence[str]) -> dict[str, str]:
    """Return the columns of numbers that extractors give, each with the extractor's name."""
    return {column: name for name in names for column in EXTRACTORS[name].counts}


def missing_package(name: str) -> str | None:
    """Return the package, as it is installed, that an extractor needs and this machine lacks."""
    extractor = EXTRACTORS[name]
    return None if extractor.is_installed else extractor.installed_as or extractor.package


def load_views(names: Sequence[str]) -> list[View]:
    """Return the functions of extractors, their libraries imported."""
    return [EXTRACTORS[name].load() for name in names]
