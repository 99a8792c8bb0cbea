"""The sample's prose: varied, repeatable, and free of what the heuristics would take out."""

from random import Random

from dclm_spark.sample.chatter import KINDS, chatter
from dclm_spark.sample.facts import make_facts
from dclm_spark.sample.prose import article, library_paragraphs, sentences


def test_the_same_seed_writes_the_same_article():
    assert article(Random("a")) == article(Random("a"))
    assert article(Random("a")) != article(Random("b"))


def test_no_slot_of_a_pattern_stays_open():
    for seed in range(100):
        text = " ".join(sentences(Random(seed), 80))
        assert "{" not in text
        assert "}" not in text


def test_statements_and_quotations_are_in_the_article():
    written = article(Random(1), statements=["One fact."], quotations=["A whole paragraph."])
    assert sum("One fact." in paragraph for paragraph in written.paragraphs) == 1
    assert ("A whole paragraph.",) in written.paragraphs


def test_paragraphs_of_the_library_are_distinct_prose():
    paragraphs = library_paragraphs()
    assert len(paragraphs) == len(set(paragraphs)) > 300
    for text in paragraphs:
        assert sum(map(str.isupper, text)) <= 0.2 * len(text)
        assert "\n" not in text
        assert ">>>" not in text
        assert "http" not in text.split("://")[0] or "://" not in text


def test_facts_have_one_answer_among_their_choices():
    facts = make_facts(Random(1))
    assert len({fact.prompt for fact in facts}) == len(facts)
    for fact in facts:
        assert len(set(fact.choices)) == 4
        assert fact.answer in fact.choices
        rng = Random(fact.prompt)
        assert fact.answer in fact.state(rng)
        assert f"{fact.answer}." not in fact.misstate(rng)


def test_chatter_never_repeats_a_pattern_in_full():
    for number, kind in enumerate(sorted(KINDS) * 20):
        lines = chatter(Random(number), kind, []).paragraphs
        assert len(lines) <= len(KINDS[kind].split("\n"))
        assert len(set(lines)) == len(lines)
