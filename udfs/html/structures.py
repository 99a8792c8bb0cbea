"""Tables, code blocks and formulas of a page as Markdown, put in place of what they were.

Each is taken out of the page before its text is made, with a mark left in its place; where the mark
is in the text, the Markdown takes its place, and a mark that is not there is a structure lost.
"""

import re
from collections import Counter
from typing import TYPE_CHECKING

from udfs.html.mathml import bare_latex, is_latex, latex_of_math

if TYPE_CHECKING:
    from resiliparse.parse.html import ElementNode, HTMLTree, Node

# What is counted, in this order. Lists are those that are in no other list; menus are some of them.
LOSSES = TABLES, CODE_BLOCKS, FORMULAS, LISTS = (
    "num_tables_lost", "num_code_blocks_lost", "num_formulas_lost", "num_lists_lost",
)  # fmt: skip
# Private characters around the number of a structure: nothing that parsers or rules know.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
_ALONE = re.compile(f"[ \t]*\n?[ \t]*{_OPEN}([0-9]+){_CLOSE}[ \t]*\n?")
# What stands for one formula: the whole of it is replaced.
_FORMULA_BOXES = ".katex-display, .katex, .mwe-math-element, mjx-container, .MathJax_Display"
_FORMULAS = (
    'math, script[type^="math/tex"], img.tex, img.latex, img.math, '
    "img.mwe-math-fallback-image-inline, img.mwe-math-fallback-image-display"
)
# What a page has somewhere that has formulas.
_FORMULA_WORDS = ("math", "katex", "latex", 'tex"', "tex'", "=tex")
# What a renderer leaves beside its source.
_RENDERED = ".MathJax, .MathJax_Preview, .MathJax_SVG, .katex-html"
_DISPLAYED = ".katex-display, .mwe-math-fallback-image-display, .mwe-math-element-block"
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight-source|brush:?)[-\s:]\s*([\w+#.-]+)")
# A table of data: no table, code or form in it, and no cell that is an article.
_NO_DATA = "table, pre, form, input, select, textarea, iframe, h1, h2, h3"
_MOST_CELL_CHARACTERS = 500
# An item of a list as resiliparse writes it: two blanks a level, then a bullet or a number.
_BULLET = "\u2022"
_LIST_ITEM = re.compile(rf"^((?:  )+)({_BULLET}|[0-9]+\.) ", re.MULTILINE)
_LINES_OF_A_CELL = "br, p, div, li, dt, dd"
_LINE_NUMBERS = ".linenos, .lineno, .gutter, .line-numbers-rows"


def markdown_text(html: str) -> tuple[str, list[int]]:
    """Return the main content of a page as Markdown, and the number of LOSSES of each kind."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    # A tree of its own: other extractors read the page's.
    tree = HTMLTree.parse(str(html))
    structures = Structures(tree, html.lower())
    text = str(extract_plain_text(tree, main_content=True))
    text, lost = structures.put_back(_LIST_ITEM.sub(_list_item, text))
    return text, [lost[name] for name in LOSSES]


def _list_item(item: "re.Match[str]") -> str:
    """Return the beginning of an item as Markdown, four blanks in front for each level."""
    sign = item[2] if item[2] != _BULLET else "-"
    return f"{' ' * (len(item[1]) - 2) * 2}{sign} "


class Structures:
    """The structures of a page, out of its tree and back in its text."""

    def __init__(self, tree: "HTMLTree", lowered_html: str) -> None:
        # From the number in a mark to Markdown, and to what is lost without it.
        self._markdown: list[str] = []
        self._kinds: list[str] = []
        self._is_block: list[bool] = []
        self._tree = tree
        body = tree.body
        if body is None:
            return
        # A search through the tree takes as long as a tenth of parsing it.
        self._mark_lists(body)
        if any(word in lowered_html for word in _FORMULA_WORDS):
            self._take_formulas(body)
        if "<pre" in lowered_html:
            self._take_code(body)
        if "<table" in lowered_html:
            self._take_tables(body)

    def put_back(self, text: str) -> tuple[str, Counter[str]]:
        """Return the text with Markdown in place of marks, and how many of each kind it lacks."""
        found: set[int] = set()
        text = _MARK.sub(lambda mark: self._expanded(int(mark[1]), found), _own_lines(self, text))
        kinds = (kind for number, kind in enumerate(self._kinds) if number not in found)
        return text.strip("\n"), Counter(kinds)

    def is_block(self, number: int) -> bool:
        """Say whether a structure stands on lines of its own."""
        return number < len(self._is_block) and self._is_block[number]

    def _expanded(self, number: int, found: set[int]) -> str:
        if number >= len(self._markdown) or number in found:
            return ""
        found.add(number)
        in_table = self._kinds[number] == TABLES

        def inner(mark: "re.Match[str]") -> str:
            text = self._expanded(int(mark[1]), found)
            return text.replace("|", r"\|") if in_table else text

        return _MARK.sub(inner, self._markdown[number])

    def _mark(self, kind: str, markdown: str, is_block: bool) -> str:
        self._kinds.append(kind)
        self._markdown.append(markdown)
        self._is_block.append(is_block)
        return f"{_OPEN}{len(self._kinds) - 1}{_CLOSE}"

    def _mark_lists(self, body: "ElementNode") -> None:
        """Put a mark into the first item of each list, which stands for nothing but the list."""
        for node in body.query_selector_all("ul, ol").values():
            item, parent = node.query_selector("li"), node.parent_element
            if item is None or (parent is not None and parent.closest("ul, ol") is not None):
                continue
            mark = self._tree.create_text_node(self._mark(LISTS, "", is_block=False))
            assert mark is not None
            item.prepend(mark)

    def _take_formulas(self, body: "ElementNode") -> None:
        for node in body.query_selector_all(_FORMULAS).values():
            if node.parent is None or not body.contains(node):
                # It went with the formula before, of which it is another form.
                continue
            latex = _latex(node)
            if not latex:
                continue
            box = node.closest(_FORMULA_BOXES) or node
            box = box.closest(_DISPLAYED) or box
            is_display = _is_display(node, box)
            quoted = f"$${latex}$$" if is_display else f"${latex}$"
            mark = self._mark(FORMULAS, quoted, is_block=is_display)
            _replace(self._tree, box, "p" if is_display else "span", mark)
        for node in body.query_selector_all(_RENDERED).values():
            # What is drawn of a formula goes where its source was found beside it.
            if not body.contains(node) or _is_marked(node):
                continue
            if any(map(_is_marked, _parents(node, 2))):
                node.remove()

    def _take_code(self, body: "ElementNode") -> None:
        for node in body.query_selector_all("pre").values():
            if not body.contains(node):
                continue
            for number in node.query_selector_all(_LINE_NUMBERS).values():
                number.remove()
            code = _code(node)
            if code.strip():
                node.text = self._mark(CODE_BLOCKS, _fenced(code, _language_of(node)), True)

    def _take_tables(self, body: "ElementNode") -> None:
        for node in body.query_selector_all("table").values():
            rows = _rows(node)
            if rows is None:
                continue
            self._separate_lines(node)
            rows = _rows(node) or rows
            caption = node.query_selector("caption")
            title = _inline(caption) if caption is not None else ""
            mark = self._mark(TABLES, _pipes(rows), is_block=True)
            # The table stays, empty but for the mark: its place and class decide whether it is part
            # of the main content.
            node.html = f"<tr><td><p>{_escaped(title)}</p><p>{mark}</p></td></tr>"

    def _separate_lines(self, table: "ElementNode") -> None:
        """Put a blank where a cell of a table begins a line."""
        for node in table.query_selector_all("script, style").values():
            node.remove()
        for node in table.query_selector_all(_LINES_OF_A_CELL).values():
            blank = self._tree.create_text_node(" ")
            assert blank is not None
            node.prepend(blank)


def _is_marked(node: "ElementNode") -> bool:
    return _MARK.search(node.text or "") is not None


def _own_lines(structures: Structures, text: str) -> str:
    """Put blank lines around the marks of blocks."""

    def placed(mark: "re.Match[str]") -> str:
        block = structures.is_block(int(mark[1]))
        return f"\n\n{_OPEN}{mark[1]}{_CLOSE}\n\n" if block else mark[0]

    return re.sub(r"\n{3,}", "\n\n", _ALONE.sub(placed, text))


def _replace(tree: "HTMLTree", node: "ElementNode", name: str, text: str) -> None:
    new: Node | None = tree.create_element(name)
    assert new is not None
    new.text = text
    node.replace_with(new)


def _latex(node: "ElementNode") -> str:
    if node.tag == "math":
        return latex_of_math(node)
    if node.tag == "script":
        return bare_latex(node.text or "")
    alternative = node.getattr("alt", "") or ""
    return bare_latex(alternative) if is_latex(alternative) else ""


def _is_display(node: "ElementNode", box: "ElementNode") -> bool:
    if node.tag == "script":
        return "mode=display" in (node.getattr("type", "") or "")
    is_block = node.getattr("display", "") == "block" or node.getattr("mode", "") == "display"
    return is_block or box.matches(_DISPLAYED) or box.getattr("display", "") == "true"


def _code(node: "ElementNode") -> str:
    """Return the text of a <pre> as it stands, a line end for each <br>."""
    for line_break in node.query_selector_all("br").values():
        line_break.text = "\n"
    return (node.text or "").replace("\r\n", "\n").replace("\t", "    ")


def _language_of(node: "ElementNode") -> str:
    code = node.query_selector("code")
    places = [node, *([code] if code is not None else []), *_parents(node, 2)]
    for place in places:
        if found := _LANGUAGE.search(place.class_name or ""):
            return found[1].lower()
    return ""


def _parents(node: "ElementNode", count: int) -> list["ElementNode"]:
    found: list[ElementNode] = []
    parent = node.parent_element
    while parent is not None and len(found) < count:
        found.append(parent)
        parent = parent.parent_element
    return found


def _fenced(code: str, language: str) -> str:
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = "\n".join(line.rstrip() for line in code.strip("\n").split("\n"))
    return f"{fence}{language}\n{lines}\n{fence}"


def _rows(table: "ElementNode") -> list[list[str]] | None:
    """Return the cells of a table of data, row by row; None for a table that lays out a page."""
    if table.getattr("role", "") == "presentation" or table.query_selector(_NO_DATA) is not None:
        return None
    rows = [_cells(row) for row in table.query_selector_all("tr").values()]
    rows = [row for row in rows if any(row)]
    several = [row for row in rows if len(row) > 1]
    if len(rows) < 2 or len(several) < 2:
        return None
    if any(len(cell) > _MOST_CELL_CHARACTERS for row in rows for cell in row):
        return None
    return rows


def _cells(row: "ElementNode") -> list[str]:
    """Return the texts of a row's cells; one that spans columns is followed by empty ones."""
    cells: list[str] = []
    for cell in row.children.values():
        if cell.tag in ("td", "th"):
            span = cell.getattr("colspan", "1") or "1"
            cells += [_inline(cell), *([""] * (min(int(span), 50) - 1 if span.isdigit() else 0))]
    return cells


def _inline(node: "ElementNode") -> str:
    return " ".join((node.text or "").split()).replace("|", r"\|")


def _pipes(rows: list[list[str]]) -> str:
    """Return rows as a Markdown table, the first as its head."""
    width = max(map(len, rows))
    padded = [row + [""] * (width - len(row)) for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
