import os
import random
import signal
import time
from unittest.mock import Mock

import pytest

from udfs.html.extractors import label_of
from udfs.html.parser import SupervisedParser, kept_parser, main_text


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
        return html * (1 << 28) if html == "much" else html.upper()

    with SupervisedParser(0.3, treacherous, max_memory_bytes=64 * 1024**2) as parser:
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
    assert label_of("resiliparse").startswith("resiliparse ")


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
            interrupted.setattr("udfs.html.parser.pipes.read", Mock(side_effect=KeyboardInterrupt))
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


FAILING = [
    (b"hang", "parser_timeout"),
    (b"exit", "parser_crash"),
    (b"crash", "parser_crash"),
    (b"raise", "parser_error"),
    (b"much", "parser_memory"),
    (b"\xff", "not_utf8"),
]


@pytest.mark.parametrize(("page", "rule"), FAILING)
@pytest.mark.parametrize("place", ["first", "in the middle", "last", "everywhere"])
def test_a_page_that_fails_among_others_costs_that_page_only(parser, page, rule, place):
    pages = {
        "first": [page, b"a", b"b"],
        "in the middle": [b"a", b"b", page, b"c", page, page, b"d"],
        "last": [b"a", b"b", page],
        "everywhere": [page, page],
    }[place]
    parsed = parser.parse_all(pages)
    assert [result.text for result in parsed] == [
        None if sent == page else sent.upper() for sent in pages
    ]
    assert [result.rule for result in parsed] == [rule if sent == page else None for sent in pages]
    assert parser.parse(b"after").text == b"AFTER"


def test_fates_do_not_depend_on_how_pages_are_sent(parser):
    chance = random.Random(5)
    kinds = [page for page, rule in FAILING if rule != "parser_timeout"]
    pages = [chance.choice([b"a%d" % n, b"", b"xyz", chance.choice(kinds)]) for n in range(60)]
    together = parser.parse_all(pages)
    assert together == [parser.parse(page) for page in pages]


def test_the_time_limit_is_each_pages_own():
    def slow(html: str) -> str:
        time.sleep(float(html))
        return html

    with SupervisedParser(1.0, slow) as parser:
        pages = [b"0.4"] * 4 + [b"60"] + [b"0.4"] * 2
        started = time.monotonic()
        parsed = parser.parse_all(pages)
        taken = time.monotonic() - started
    assert [result.rule for result in parsed] == [None] * 4 + ["parser_timeout", None, None]
    assert 3.4 < taken < 10


def test_any_number_of_pages_of_any_size_pass_whole():
    sizes = [10, 3_000_000, 0, *range(600), 900_000, 900_000, 5_000_000, 1]
    pages = [b"abcdefgh"[: size % 8 + 1] * (size // 8 + 1) for size in sizes]
    with SupervisedParser(10, str.upper) as parser:
        assert [result.text for result in parser.parse_all(pages)] == [p.upper() for p in pages]
        assert parser.parse_all([]) == []


def test_a_text_far_longer_than_its_page_passes_whole():
    with SupervisedParser(10, lambda html: html * 3_000_000) as parser:
        parsed = parser.parse_all([b"a", b"\xc3\xa9", b""])
    assert [result.text for result in parsed] == [b"a" * 3_000_000, b"\xc3\xa9" * 3_000_000, b""]


def test_a_page_cannot_change_the_pages_behind_it():
    def writing(html: str) -> str:
        if html == "write":
            parser._shared._pages[5:8] = b"bad"
        return html

    with SupervisedParser(10, writing) as parser:
        parsed = parser.parse_all([b"write", b"one"])
    assert (parsed[0].rule, parsed[1].text) == ("parser_crash", b"one")


def test_a_child_that_ends_behind_its_last_page_costs_no_page(monkeypatch):
    parent, write = os.getpid(), os.write

    def write_in_parent_only(pipe: int, data: bytes) -> int:
        return write(pipe, data) if os.getpid() == parent else os._exit(1)

    monkeypatch.setattr("udfs.html.child.os.write", write_in_parent_only)
    with SupervisedParser(10, str.upper) as parser:
        assert [parsed.text for parsed in parser.parse_all([b"a", b"b"])] == [b"A", b"B"]


def test_a_crash_that_the_machine_is_slow_to_report_is_no_timeout(monkeypatch):
    def crashing(html: str) -> str:
        os._exit(7)

    with SupervisedParser(0.3, crashing) as parser:
        monkeypatch.setattr("udfs.html.parser.pipes.is_ready", lambda *_: bool(time.sleep(0.4)))
        parsed = parser.parse(b"page")
    assert parsed.rule == "parser_crash"
    assert "exit code 7" in parsed.error


def test_a_view_that_takes_the_parser_down_costs_the_other_views_nothing():
    def treacherous(html: str) -> str:
        if html == "hang":
            time.sleep(60)
        if html == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if html == "raise":
            raise RuntimeError("no such tag")
        return html

    pages = [b"one", b"hang", b"crash", b"raise", b"\xff", b"two"]
    with SupervisedParser(0.3, str.upper, treacherous, str.title) as parser:
        parsed = parser.parse_all(pages)
    rules = [one.rule for one in parsed[1::3]]
    assert rules == [None, "parser_timeout", "parser_crash", "parser_error", "not_utf8", None]
    others = [(parsed[at].text, parsed[at + 2].text) for at in (0, 3, 6, 9, 15)]
    assert others == [(page.upper(), page.title()) for page in pages if page != b"\xff"]


def test_views_of_a_page_parse_it_once_and_no_page_is_kept_for_the_next_one():
    seen: list[int] = []

    def tree(page) -> str:
        seen.append(id(page.tree))
        return f"{len(set(seen))} {len(seen)}"

    with SupervisedParser(5, tree, tree, tree) as parser:
        texts = [parsed.text for parsed in parser.parse_all([b"<p>a", b"<p>b"])]
    assert [text.split()[1] for text in texts] == [b"1", b"2", b"3", b"4", b"5", b"6"]
    assert [text.split()[0] for text in texts[:3]] == [b"1"] * 3


def test_more_texts_than_one_request_holds_come_in_order():
    pages = [b"%d " % number * 3000 for number in range(300)]
    with SupervisedParser(5, str.upper, str.title) as parser:
        parsed = parser.parse_all(pages)
    assert [one.text for one in parsed] == [page for page in pages for _ in range(2)]
