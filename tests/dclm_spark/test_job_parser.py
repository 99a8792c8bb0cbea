"""Mistakes in a command line: one line each, with option, value and what is allowed."""

import sys

import pytest

from dclm_spark.arguments.job_parser import number, positive
from dclm_spark.command import add_input_arguments, job_parser


def parsed(words):
    parser = job_parser("A job.")
    parser.prog = "a_job.py"
    add_input_arguments(parser)
    parser.add_argument("--output", required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--many", nargs="+")
    parser.add_argument("--share", type=float)
    parser.add_argument("--tokens", type=number)
    return parser.parse_args(words.split())


@pytest.mark.parametrize(("words", "told"), [
    ("", "--output: missing"),
    ("--output o --limit no", "--limit: 'no': expected a whole number from 1 on"),
    ("--output o --limit 0", "--limit: '0': expected a whole number from 1 on"),
    ("--output o --seed 1.5", "--seed: '1.5': expected a whole number"),
    ("--output o --share half", "--share: 'half': expected a number"),
    ("--output o --tokens 0.5", "--tokens: '0.5': expected a whole number, such as 2.5e9"),
    ("--output o --tokens inf", "--tokens: 'inf': expected a whole number, such as 2.5e9"),
    ("--output o --tokens nan", "--tokens: 'nan': expected a whole number, such as 2.5e9"),
    ("--output o --log-format jsn",
     "--log-format: 'jsn': did you mean json? expected one of text, json"),
    ("--output o --inptu x", "--inptu: there is no such option; did you mean --input?"),
    ("--output o --zzz", "--zzz: there is no such option"),
    ("--output o stray", "stray: no option stands before it"),
    ("--output", "--output: expected a value"),
    ("--output o --many", "--many: expected a value or more"),
])  # fmt: skip
def test_a_mistake_is_one_line_without_the_usage(words, told, capsys):
    with pytest.raises(SystemExit) as ended:
        parsed(words)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"error: {told} (a_job.py --help tells more)\n")


def test_help_still_tells_everything(capsys):
    with pytest.raises(SystemExit) as ended:
        parsed("--help")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: a_job.py [-h]")


def test_numbers_of_other_scripts_are_no_numbers():
    assert positive("12") == 12
    for text in ("²", "٣", "-1", "1_000", ""):
        with pytest.raises(Exception, match="expected a whole number from 1 on"):
            positive(text)


@pytest.mark.parametrize("words", ["", "--input a.paths --language eng", "--input a --mime x/y"])
def test_a_plan_that_cannot_be_is_refused(words, monkeypatch, capsys):
    from dclm_spark.jobs import plan_crawl

    monkeypatch.setattr(sys, "argv", ["plan_crawl.py", *words.split()])
    with pytest.raises(SystemExit):
        plan_crawl.main()
    assert "a choice of pages need --index" in capsys.readouterr().err


def test_a_plan_of_a_recipe_that_no_run_would_take_is_refused(tmp_path, monkeypatch):
    from dclm_spark.errors import SettingError
    from dclm_spark.jobs import plan_crawl

    recipe = tmp_path / "mine.yaml"
    recipe.write_text("base: raw\nquality: {before_deduplication: true}\n")
    words = ["plan_crawl.py", "--documents", "1000", "--recipe", str(recipe)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SettingError, match=r"quality\.enabled = false, and so no classifier"):
        plan_crawl.main()
