"""Leaks of evaluation items that were missed once, and clean pages that were taken for leaks."""

import random

import pyarrow as pa
import pytest

from udfs.dedup.evaluation_hits import MatchSettings
from udfs.dedup.evaluation_index import Item, build, index_of_arrays, words
from udfs.dedup.evaluation_matches import is_guarded, matches


def prose(seed, count):
    rng = random.Random(seed)
    return " ".join(f"{rng.choice('bdfgklmn')}{rng.randrange(10**4)}" for _ in range(count))


def leaked(text, items):
    index = index_of_arrays(build(items))
    page = f"{prose(1, 50)}\n{text}\n{prose(2, 50)}"
    (found,) = matches(pa.array([page]), index, MatchSettings())
    return [index.item_numbers[one.item] for one in found if one.leaks]


def item(question, answer="", number=5, **parts):
    return Item(task="t", number=number, question=question, answer=answer, **parts)


def subsequence(number, one, two):
    stem = "Given two strings, determine the length of the longest common subsequence."
    return item(f"{stem}\n\nStrings: {one} {two}\nLength of the subsequence:", "5", number)


def test_a_template_that_is_cut_after_its_own_words_leaks():
    rng = random.Random(0)
    pairs = [("".join(rng.choices("ABCDEFGHIJKL", k=12)), prose(n, 1)) for n in range(12)]
    items = [subsequence(n, *pair) for n, pair in enumerate(pairs)]
    stem = items[3].question.split(pairs[3][0])[0]
    assert leaked(f"{stem} {pairs[3][0]} {pairs[3][1]}", items) == [3]
    assert leaked(stem, items) == []


@pytest.mark.parametrize("mark", ["<br>", '<a href="/x1" rel=next>', "&nbsp;", "&#39;", "</p><p>"])
def test_tags_and_entities_between_the_words_of_a_short_item_hide_nothing(mark):
    asked = item("Which sea is the saltiest of all?", "Dead Sea")
    text = f"Which sea is{mark}the saltiest{mark}of all? {mark}Dead{mark}Sea"
    assert leaked(text, [asked]) == [5]


@pytest.mark.parametrize(
    ("text", "count"),
    [("a <b c> d", 2), ("a < b > c", 3), ("a <b\nc> d", 4), ("R&D; x", 2), ("R & D;", 2),
     ("5 &lt; 6", 2), ("a <b <c> d", 3), ("<" + "x" * 400 + ">", 1)],
)  # fmt: skip
def test_only_what_is_a_tag_or_an_entity_is_no_word(text, count):
    assert len(words(pa.array([text]))[0]) == count


def test_an_answer_without_a_word_needs_no_place():
    asked = item("John hired himself out to Bill to take care of Bill", ".")
    assert leaked(asked.question, [asked]) == [5]
    short = item("He did not go there", ".")
    assert not is_guarded(0, index_of_arrays(build([short])), MatchSettings())
    assert leaked(short.question, [short]) == []


def test_options_that_say_nearly_the_same_do_not_hide_the_answer():
    answer = f"Place them in a bowl {prose('same', 40)} until they melt"
    other = answer.replace("until they melt", "until they burn")
    asked = item("Melt mini sweets.", answer, choices=f"{other}\n{answer}")
    assert leaked(f"Melt mini sweets.\nA. {other}\nB. {answer}\nAnswer: {answer}", [asked]) == [5]


def test_printed_options_may_stand_between_a_short_question_and_its_answer():
    options = [prose(n, 9) for n in range(3)]
    asked = item("Xylem", "lets plants move rain upward", choices="\n".join(options))
    printed = "\n".join(["Xylem", *options, "lets plants move rain upward"])
    assert leaked(printed, [asked]) == [5]
    assert leaked(f"Xylem {prose(8, 60)} lets plants move rain upward", [asked]) == []


def test_words_of_a_question_among_the_options_of_another_are_no_leak():
    begin, end = prose("begin", 8), prose("end", 8)
    asked = item(f"{prose('x', 3)} {begin} {prose('y', 3)} {end}")
    assert leaked(asked.question, [asked]) == [5]
    assert leaked(f"{end} {prose('option', 18)} {begin}", [asked]) == []


def test_a_common_question_whose_answer_the_passage_has_needs_one_of_them():
    answer = "Hans settled down in a village fifty miles away"
    passage = f"{prose('p', 40)} {answer} {prose('q', 40)}"
    asked = item("What did he decide to do?", answer, passage=passage)
    assert leaked("What did he decide to do?", [asked]) == []
    assert leaked(f"What did he decide to do? {answer}", [asked]) == [5]
    assert leaked(f"{passage} What did he decide to do?", [asked]) == [5]
