import ast
from pathlib import Path

import pytest

import udfs
from udfs.html.extractor import Extractor, Page
from udfs.html.extractors import EXTRACTORS, label_of, missing_package

LONG = (
    "This paragraph has more than twenty words so that it counts as one of the page and not as a "
    "piece of its navigation bar, and with more than two hundred characters it is long enough for "
    "those who count characters and links rather than words."
)
HTML = f"""<html><head><title>T</title></head><body>
<nav><a href=/>Home</a> <a href=/x>News</a></nav>
<main><h1>Title</h1><p>{LONG}</p><p>{LONG.replace("This", "That")}</p></main>
<footer><p>Imprint</p></footer></body></html>"""


def text_by(name: str, html: str = HTML) -> str:
    return EXTRACTORS[name].text(Page(html))


@pytest.mark.parametrize("name", EXTRACTORS)
def test_every_extractor_finds_the_paragraphs_and_records_name_and_version(name):
    assert LONG in text_by(name)
    package = EXTRACTORS[name].package
    assert label_of(name) == (f"{name} {EXTRACTORS[name].version}" if package else name)
    assert bool(EXTRACTORS[name].version) == bool(package)


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize(
    "html", ["", " ", "\0", "<", "plain text", "<?xml version='1.0' encoding='latin-1'?><p>a"]
)
def test_an_odd_page_gives_a_text_and_no_error(name, html):
    assert isinstance(text_by(name, html), str)


def test_recall_takes_what_main_content_leaves_out():
    assert "Imprint" in text_by("resiliparse_recall")
    assert "Imprint" not in text_by("resiliparse")


def test_paragraphs_are_long_lines_with_what_stands_between_them():
    lines = ["Home", "News", "Title", LONG, "one", "two", "three", LONG, "a", LONG, "Imprint"]
    html = "".join(f"<p>{line}</p>" for line in lines)
    text = text_by("resiliparse_paragraphs", html)
    assert [line for line in text.split("\n") if line] == [
        "Title", LONG, "three", LONG, "a", LONG,
    ]  # fmt: skip


def test_the_reference_is_the_librarys_main_content():
    from resiliparse.extract.html2text import extract_plain_text

    assert text_by("resiliparse") == extract_plain_text(HTML, main_content=True)


def test_a_package_that_is_not_installed_is_named_as_it_is_installed(monkeypatch):
    class Absent(Extractor):
        package, installed_as = "no_such_package", "No-Such-Package"

        def text(self, page: Page) -> str:
            return ""

    monkeypatch.setitem(EXTRACTORS, "absent", Absent())
    assert missing_package("absent") == "No-Such-Package"
    assert missing_package("resiliparse") is None


def test_no_module_but_the_registry_compares_with_an_extractors_name():
    names = set(EXTRACTORS) - {"none"}
    root = Path(udfs.__file__).parents[1]
    for path in [*(root / "udfs").rglob("*.py"), *(root / "dclm_spark").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                values = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
                assert not values & names, (path, node.lineno)
