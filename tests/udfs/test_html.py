import os
import signal
import time
from unittest.mock import Mock

import pytest

from udfs.html import SupervisedParser, extractor_version, kept_parser, main_text


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


def test_pages_larger_than_a_pipe_pass_whole():
    page = b"abcdefgh" * 1_000_000
    with SupervisedParser(10, str.upper) as parser:
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


def test_one_child_serves_file_after_file_and_a_new_process_has_its_own():
    parser = kept_parser(3.0)
    assert parser.parse(b"<p>one two three").text
    child = parser._child
    assert kept_parser(3.0)._child == child
    own = os.fork()
    if not own:
        os._exit(int(kept_parser(3.0) is parser))
    assert os.waitpid(own, 0)[1] == 0
    parser.close()


def test_a_reply_that_was_not_read_is_not_the_next_pages_text(monkeypatch):
    with SupervisedParser(3, str.upper) as parser:
        with monkeypatch.context() as interrupted:
            interrupted.setattr("udfs.html._read", Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                parser.parse(b"first")
        assert parser.parse(b"second").text == b"SECOND"


def test_a_page_that_needs_too_much_memory_costs_that_page_only():
    def hungry(html: str) -> str:
        return html * (1 << 28) if html == "much" else html.upper()

    with SupervisedParser(10, hungry, max_memory_bytes=64 * 1024**2) as parser:
        parsed = parser.parse(b"much")
        assert (parsed.text, parsed.rule) == (None, "parser_memory")
        assert "max_parser_memory_bytes" in parsed.error
        assert parser.parse(b"after").text == b"AFTER"


def test_a_tree_beyond_the_memory_limit_is_reported_and_never_cut():
    page = b"<p>a<b>c" * 500_000
    with SupervisedParser(20, max_memory_bytes=48 * 1024**2) as parser:
        parsed = parser.parse(page)
        assert parsed.text is None
        assert parsed.rule in ("parser_memory", "parser_crash", "parser_error")
        assert parser.parse(b"<p>next page</p>").text is not None


def test_what_a_page_left_in_memory_does_not_decide_the_next_pages_fate():
    kept: list[str] = []

    def leaking(html: str) -> str:
        kept.append(html * 20_000_000)
        return html

    with SupervisedParser(10, leaking, max_memory_bytes=64 * 1024**2) as parser:
        assert [parser.parse(b"ab").text for _ in range(5)] == [b"ab"] * 5
