"""What a command line asks to remove."""

import argparse
from datetime import UTC, datetime

import pytest

from dclm_spark.errors import InputError
from dclm_spark.removal.command_line import add_removal_arguments, request_of


def asked(*words):
    parser = argparse.ArgumentParser()
    add_removal_arguments(parser)
    return request_of(parser, parser.parse_args(["--output", "run", *words]))


def test_a_day_counts_as_a_whole_and_a_time_as_it_is(tmp_path):
    path = tmp_path / "robots.jsonl"
    path.write_text("")
    words = ("--robots", str(path), "--reason", "r", "--robots-until")
    day = asked(*words, "2026-05-01").robots.until
    assert day == datetime(2026, 5, 1, 23, 59, 59, 999_999, tzinfo=UTC)
    moment = asked(*words, "2026-05-01T10:00+02:00").robots.until
    assert moment == datetime(2026, 5, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name --domains"),
        (("--domains", "x", "--dry-run"), "give it with --robots alone"),
        (("--robots", "x"), "--reason: say why"),
        (("--robots", "x", "--robots-until", "May"), "expected a date such as"),
    ],
)
def test_options_that_say_too_little_are_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        asked(*words)
    assert message in capsys.readouterr().err


def test_a_key_that_is_not_there_is_told_with_its_option(tmp_path):
    domains = tmp_path / "domains.txt"
    domains.write_text("a.example\n")
    with pytest.raises(InputError, match=r"--signing-key none\.key: there is no such file"):
        asked("--domains", str(domains), "--reason", "r", "--signing-key", "none.key")
