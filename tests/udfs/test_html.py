import os
import signal
import time

import pytest

from udfs.html import SupervisedParser, extractor_version, main_text


@pytest.fixture
def parser():
    def treacherous(html: str) -> str:
        if html == "hang":
            time.sleep(60)
        if html == "exit":
            os._exit(7)
        if html == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if html == "raise":
            raise RuntimeError("no such tag")
        return html.upper()

    with SupervisedParser(0.3, treacherous) as parser:
        yield parser


@pytest.mark.parametrize(
    ("page", "rule", "error"),
    [
        (b"hang", "parser_timeout", "more than 0.3 s"),
        (b"exit", "parser_crash", "exit code 7"),
        (b"crash", "parser_crash", "killed by SIGSEGV"),
        (b"raise", "parser_error", "RuntimeError: no such tag"),
    ],
)
def test_a_page_that_takes_the_parser_down_is_reported_and_the_next_one_parsed(
    parser, page, rule, error
):
    assert parser.parse(b"before").text == b"BEFORE"
    parsed = parser.parse(page)
    assert (parsed.text, parsed.rule) == (None, rule)
    assert error in parsed.error
    assert parser.parse(b"after").text == b"AFTER"


def test_pages_larger_than_a_pipe_pass_whole(parser):
    page = b"abcdefgh" * 1_000_000
    assert parser.parse(page).text == page.upper()


def test_no_child_is_left():
    with SupervisedParser(1, str.upper) as parser:
        parser.parse(b"x")
        child = parser._child
        os.kill(child, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_the_child_equals_the_parser_in_this_process():
    html = "<body><main><h1>Title</h1><p>One “two”.</p><ul><li>a<li>b</ul></main></body>"
    with SupervisedParser(10) as parser:
        assert parser.parse(html.encode()).text == main_text(html).encode()
    assert extractor_version().startswith("resiliparse ")


@pytest.mark.parametrize("tag", ["div", "table", "a"])
def test_a_million_nested_tags_cost_one_page(tag):
    with SupervisedParser(3) as parser:
        parser.parse(f"<{tag}>".encode() * 1_000_000)
        assert parser.parse(b"<p>next page</p>").text is not None
