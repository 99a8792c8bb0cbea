"""Items on pages: found by question and answer, not by a passage; spans, short items, rarity."""

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from udfs.dedup.evaluation_hits import MatchSettings, document_frequencies, rarity
from udfs.dedup.evaluation_index import PASSAGE, QUESTION, Item, build, index_of_arrays, words
from udfs.dedup.evaluation_matches import is_guarded, matches


def prose(seed, count):
    rng = random.Random(seed)
    return " ".join(f"{rng.choice('bdfgklmn')}{rng.randrange(10**4)}" for _ in range(count))


LONG = Item(task="quiz", number=0, question=prose("q", 30), answer=prose("a", 3))
SHORT = Item(
    task="facts", number=7, question="Which sea is the saltiest of all?", answer="Dead Sea"
)
READ = Item(
    task="reading",
    number=2,
    passage=prose("p", 120),
    question="Who was the last to leave?",
    answer="her aunt",
)
INDEX = index_of_arrays(build([LONG, SHORT, READ]))


def found(text, index=INDEX, **settings):
    (one,) = matches(pa.array([text]), index, MatchSettings(**settings))
    return one


def leaked(text, index=INDEX):
    return [INDEX.tasks[index.item_tasks[one.item]] for one in found(text, index) if one.leaks]


def page(*parts):
    return " ".join([prose(1, 50), *parts, prose(2, 50)])


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        (page(LONG.question, LONG.answer), ["quiz"]),
        (page(LONG.question.upper().replace(" ", " -- ")), ["quiz"]),
        (page(" ".join(LONG.question.split()[:22])), ["quiz"]),
        (page(" ".join(LONG.question.split()[:12])), []),
        (page(LONG.question.replace(" ", " and so ")), []),
        (page(*(f"{word} {prose(word, 40)}" for word in LONG.question.split())), []),
        (page("WHICH SEA, is the saltiest of all?", "A. Red Sea", "B. Dead Sea"), ["facts"]),
        (page("Which sea is the saltiest of all?", prose(3, 40), "Dead Sea"), []),
        (page("Which lake is the saltiest of all?", "Dead Sea"), []),
        (page(READ.passage), []),
        (page(READ.passage, READ.question), ["reading"]),
        (page(READ.passage, "Where did they leave?", READ.answer), []),
        ("", []),
    ],
)
def test_an_item_leaks_by_its_question_and_not_by_its_passage(text, tasks):
    assert leaked(text) == tasks


def test_a_passage_alone_is_reported_as_a_source():
    (one,) = found(page(READ.passage))
    assert (one.part, one.leaks, one.coverage) == (PASSAGE, False, 1.0)


def test_the_span_is_that_of_question_and_answer_in_bytes():
    before = "caf\u00e9 \u2014 "
    text = f"{before}{LONG.question.title()} ... {LONG.answer}. The end"
    (one,) = found(text)
    span = text.encode()[one.start : one.end].decode()
    assert span == f"{LONG.question.title()} ... {LONG.answer}"
    assert one.part == QUESTION
    assert one.score == one.coverage == 1.0


def test_what_many_pages_quote_is_no_leak():
    quote = " ".join(LONG.question.split()[:25])
    assert leaked(page(quote)) == ["quiz"]
    texts = pa.array([page(quote)] * 30 + [prose(n, 60) for n in range(10)])
    counts = document_frequencies(texts, INDEX)
    documents = np.zeros(len(INDEX.grams), np.int64)
    documents[list(counts)] = list(counts.values())
    assert set(counts.values()) == {30}
    weights = rarity(documents * 40, 40)
    common = replace(INDEX, weights=weights)
    assert leaked(page(quote), common) == []
    assert found(page(quote), common)[0].coverage > 0.7


def test_rarity_falls_from_twenty_documents_to_none_at_two_thousand():
    assert rarity(np.array([0, 20, 200, 2000, 10**6]), 1000).tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert rarity(np.array([10**4, 10**6]), 10**9).tolist() == [1.0, 0.0]


def test_words_are_split_at_punctuation_of_any_script():
    texts = pa.array(
        ["\u201cDon\u2019t\u201d, well-known", "don t well known", "\u4e00\u3001\u4e8c"]
    )
    hashes, offsets, starts, ends = words(texts)
    assert np.diff(offsets).tolist() == [4, 4, 2]
    assert hashes[:4].tolist() == hashes[4:8].tolist()
    first = texts[0].as_py().encode()
    assert [first[a:b].decode() for a, b in zip(starts[:4], ends[:4], strict=True)] == [
        "Don", "t", "well", "known",
    ]  # fmt: skip


def test_phrases_of_many_items_are_not_held():
    items = [Item(task="t", number=n, question=f"choose the best of these {prose(n, 9)}")
             for n in range(120)]  # fmt: skip
    index = index_of_arrays(build(items))
    assert index.held.max() == index.held.min() == 9


def test_an_item_with_few_words_of_its_own_is_found_whole():
    template = "choose the one of these answers that says best what is meant by"
    items = [
        Item(task="t", number=n, question=f"{template} {prose(n, 3)}", answer=prose(-n - 1, 3))
        for n in range(12)
    ]
    index = index_of_arrays(build(items))
    assert index.held.max() == 3
    assert is_guarded(5, index, MatchSettings())
    (one,) = found(page(items[5].question, items[5].answer), index)
    assert (one.item, one.leaks) == (5, True)
