"""Which planted pages hold an item, hold nearly one, or no longer tell which."""

import random

from dclm_spark.measure.planted_leaks import leaked_pages, near_misses
from udfs.dedup.evaluation_index import Item

PAGES = ["one\ntwo\nthree", "four\nfive"]
STEM = "given the rule below compute what it says of these numbers in turn"


def item(number, question, answer="", passage=""):
    return Item(task="t", number=number, question=question, answer=answer, passage=passage)


def truncated(items):
    pages = leaked_pages(items, items, PAGES, random.Random(0))
    return {page.item.number: page.kind for page in pages if page.kind.startswith("truncated")}


def test_what_is_cut_to_few_words_or_to_a_common_beginning_tells_no_item():
    items = [
        item(0, f"{STEM} 1 2 3 4", "10"),
        item(1, f"{STEM} 5 6 7 8", "26"),
        item(2, "why does the sea look blue on some days and green on others", "light"),
        item(3, "who wrote the first of them", "she did"),
    ]
    assert truncated(items) == {
        0: "truncated to what tells no item",
        1: "truncated to what tells no item",
        2: "truncated",
        3: "truncated to what tells no item",
    }


def test_a_question_with_most_words_of_an_indexed_one_is_neither_leak_nor_clean():
    passage = "It was a long winter in the valley."
    indexed = [item(0, "which film is shown on screen 1 at nine this evening", passage=passage)]
    others = [
        item(1, "which film is shown on screen 2 at nine this evening", passage=passage),
        item(2, "who owns the house beside the old mill", passage=passage),
        item(3, "what is the boiling point of lead"),
    ]
    pages = near_misses(indexed, others, PAGES, random.Random(0), 5)
    assert [(page.kind, page.leaks) for page in pages] == [
        ("source of a passage", False),
        ("nearly an indexed question", None),
        ("other question on the passage", False),
        ("question of another set", False),
    ]
