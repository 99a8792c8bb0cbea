"""What a robots.txt refuses to agents."""

import pytest

from udfs.robots.refusals import MAX_SIZE_BYTES, RobotsRules, rules_text


def refused(text, url="https://a.example/news/1", agents=("GPTBot", "CCBot")):
    return RobotsRules(rules_text(text.encode()), agents).refused(url)


@pytest.mark.parametrize(
    ("text", "agents", "to_all"),
    [
        ("User-agent: GPTBot\nDisallow: /", ("GPTBot",), False),
        # One group for several names, in any case, with a comment.
        ("user-agent: gptbot\nUSER-AGENT: ccbot # us\nDisallow: /news", ("GPTBot", "CCBot"), False),
        ("User-agent: *\nDisallow: /", ("GPTBot", "CCBot"), True),
        # Who is named does not obey the rules for all.
        ("User-agent: *\nDisallow: /\n\nUser-agent: CCBot\nAllow: /", ("GPTBot",), True),
        # The longest rule decides, whatever their order (RFC 9309, 2.2.2).
        ("User-agent: *\nDisallow: /\nAllow: /news/", (), False),
        ("User-agent: *\nAllow: /\nDisallow: /news/*$", ("GPTBot", "CCBot"), True),
        ("User-agent: GPTBot\nDisallow:", (), False),
        ("User-agent: GPTBot\nDisallow: /shop", (), False),
        ("\ufeffUser-agent: GPTBot\r\nDisallow: /\r\n", ("GPTBot",), False),
        ("", (), False),
    ],
)
def test_the_group_of_an_agent_decides_by_its_longest_rule(text, agents, to_all):
    assert refused(text) == (agents, to_all)


def test_what_refuses_nothing_is_not_kept():
    assert rules_text(b"User-agent: *\nAllow: /\nSitemap: /disallow: x\nDisallow: # none") == ""
    assert rules_text(b"User-agent: *\rDisallow: /x") != ""


def test_of_an_endless_file_the_beginning_counts():
    filler = b"# nothing\n" * (MAX_SIZE_BYTES // 10)
    late = b"User-agent: GPTBot\nDisallow: /"
    assert rules_text(filler + late) == ""
    assert len(rules_text(late + filler + filler)) == MAX_SIZE_BYTES


def test_wrong_bytes_and_nulls_do_no_harm():
    text = rules_text(b"User-agent: GPTBot\nDisallow: /caf\xe9\nDisallow: /\x00\nDisallow: /news")
    rules = RobotsRules(text, ("GPTBot",))
    assert rules.refused("https://a.example/news/1") == (("GPTBot",), False)
