"""FineWeb's filters against their wording, on generated texts and on real ones."""

import gzip
import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uniseg.wordbreak import words as uniseg_words

from tests.shared_data import SHARED, needs_shared
from tests.udfs.rules.c4_oracle import fineweb_lines
from udfs.rules.families import HeuristicSettings, apply, rules_of
from udfs.rules.kernels.fineweb_kernels import line_facts, word_facts
from udfs.rules.kernels.fineweb_repetition_kernels import repetitions
from udfs.rules.url_lists import UrlLists
from udfs.text.columns import utf8_buffers

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
PIECES = st.sampled_from(
    [
        "the", "The", "of", "and", "word", "a", "b", "a b c d e f", "\n", "\n", "\n\n", "\n\n\n",
        " ", " ", ".", "...", "…", "•", "-", "#", "##", "12", "é", "日本", "。", "!", "\r\n",
        "\x85", "\u2028", "long line of more than thirty characters", "€", "a_b",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=60).map("".join)


def words_of(text):
    return [word for word in uniseg_words(text) if word.strip(WHITE)]


WHITE = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and not 0x1C <= ord(c) <= 0x1F)


def copies(segments):
    seen, count, characters = set(), 0, 0
    for segment in segments:
        if segment in seen:
            count, characters = count + 1, characters + len(segment)
        seen.add(segment)
    return [len(segments), count, characters]


def runs_apart(text, least):
    """Segments between runs of at least so many newlines."""
    segments, segment, run = [], "", 0
    for character in text + "\0":
        if character == "\n":
            run += 1
            continue
        if run >= least:
            segments.append(segment)
            segment, run = "", 0
        segment += "\n" * run + (character if character != "\0" else "")
        run = 0
    return [*segments, segment]


def top(words, n):
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return len(gram) * count


def copied(words, n):
    seen, found, place = set(), 0, 0
    while place <= len(words) - n:
        gram = tuple(words[place : place + n])
        if gram in seen:
            found += len("".join(gram))
            place += n
        else:
            seen.add(gram)
            place += 1
    return found


def slow_repetitions(text):
    words = words_of(text)
    return [
        len(text),
        *copies(runs_apart(text.strip(), 2)),
        *copies(runs_apart(text, 1)),
        *(top(words, n) for n in (2, 3, 4)),
        *(copied(words, n) for n in range(5, 11)),
    ]


def slow_lines(text):
    lines, full = text.splitlines(), [line for line in text.split("\n") if line.strip()]
    return [
        text.count("#"),
        text.count("...") + text.count("…"),
        text.count("\n"),
        len(lines),
        sum(line.lstrip().startswith(("•", "-")) for line in lines),
        sum(line.rstrip().endswith(("...", "…")) for line in lines),
        len(full),
        sum(line.endswith((".", "!", "?", "。")) for line in full),
        sum(len(line) <= 30 for line in full),
        copies(full)[2],
        len(text.replace("\n", "")),
    ]


def kernel(function, texts, *more):
    return function(*utf8_buffers(pa.array(texts, pa.large_string())), *more).tolist()


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_repetitions_are_counted_as_the_slow_way_does(texts):
    assert kernel(repetitions, texts) == [slow_repetitions(text) for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_lines_and_symbols_are_counted_as_the_slow_way_does(texts):
    assert kernel(line_facts, texts, 30) == [slow_lines(text) for text in texts]


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_words_are_counted_as_the_slow_way_does(text):
    words = words_of(text)
    solid = [word for word in words if any(c not in "._-#•…。!" and c != "\x85" for c in word)]
    expected = [
        len(words),
        len(solid),
        sum(map(len, solid)),
        sum(any(c.isalpha() for c in word) for word in words),
        len(set(words) & set(STOP_WORDS)),
    ]
    assert kernel(word_facts, [text], STOP_WORDS) == [expected]


def judged(texts, language="en", score=0.9, **changes):
    def identify(column):
        count = len(column)
        return pa.array([language] * count, pa.string()), np.full(count, score)

    result = apply(
        pa.array(texts, pa.large_string()),
        pa.array(["http://a.com/"] * len(texts)),
        HeuristicSettings(rules="fineweb", **changes),
        UrlLists(),
        identify,
    )
    return list(zip(result.rule.to_pylist(), result.text.to_pylist(), strict=True))


def prose():
    """Lines of words that hardly repeat, each with the stop words "and" and "to"."""
    random = np.random.default_rng(3)
    letters = np.array(list("aeioubdfgklmnprst"))
    words = ["".join(random.choice(letters, random.integers(4, 9))) for _ in range(400)]
    middles = ("and", "to")
    return [
        f"{' '.join(words[n : n + 5])} {middles[n // 5 % 2]} {' '.join(words[n + 5 : n + 10])}."
        for n in range(0, 400, 10)
    ]


LINES = prose()
LINES[0] = "What they said and left to us."
GOOD = "\n".join(LINES)
SHORT = "\n".join([*LINES[:10], *(f"{line[:12]} {line[12:20]} {line[20:26]}" for line in LINES)])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (GOOD, None),
        ("", "page_length"),
        ("Few words are here.", "top_2_gram"),
        (GOOD + "\n\n" + GOOD, "repeated_paragraphs"),
        ("\n".join(["same line"] * 9 + LINES[:9]), "repeated_lines"),
        (GOOD + " xyz abc" * 400, "top_2_gram"),
        (" ".join(LINES[:4]), "page_length"),
        ("\n".join(f"- {line}" for line in LINES), "bullet_lines"),
        ("\n".join(f"{line[:-1]} ..." for line in LINES), "ellipsis_lines"),
        (GOOD.replace("and", "und"), "stop_words"),
        (GOOD + " lorem ipsum", "lorem_ipsum"),
        (GOOD + "\nA brace { is here now.", "curly_bracket"),
        (" ".join(LINES).replace(".", ","), "few_sentences"),
        (GOOD.replace(".", ","), "line_punctuation"),
        (SHORT, "short_lines"),
    ],
)
def test_a_page_drops_by_the_first_rule_that_fails(text, rule):
    assert judged([text])[0][0] == rule


def test_the_language_is_judged_first():
    assert judged(["", GOOD], score=0.65)[1][0] == "language"
    assert judged([GOOD], language="de")[0][0] == "language"
    assert judged([GOOD], score=0.651)[0][0] is None


def test_lines_without_terminal_punctuation_stay_and_short_ones_go():
    text = GOOD + "\nA title of words\nMenu"
    assert judged([text])[0][1] == GOOD + "\nA title of words"


def test_a_line_given_twice_is_a_hundredth_too_much():
    assert judged([f"{GOOD}\n{LINES[1]}"])[0][0] == "duplicate_line_characters"


def test_every_rule_that_is_named_is_known():
    assert len(set(rules_of("fineweb"))) == len(rules_of("fineweb"))
    assert rules_of("fineweb")[:2] == ("url_unreadable", "url_domain")


@needs_shared
def test_real_texts_are_counted_as_the_slow_way_does():
    with gzip.open(SHARED / "pages/gold.jsonl.gz", "rt") as lines:
        pages = [json.loads(line) for line in lines]
    texts = [one["main_text"][:5000] for one in pages if one.get("main_text")][::12]
    assert len(texts) > 100
    assert kernel(repetitions, texts) == [slow_repetitions(text) for text in texts]
    facts = kernel(line_facts, texts, 30)
    for found, text in zip(facts, texts, strict=True):
        # The oracle knows the terminal marks of the languages at hand only.
        expected = slow_lines(text)
        assert found[:7] + found[8:] == expected[:7] + expected[8:]
        assert found[7] >= expected[7]
    rules = judged(texts)
    for text, (rule, cleaned) in zip(texts, rules, strict=True):
        if rule is None:
            assert cleaned == fineweb_lines(text)[0]
