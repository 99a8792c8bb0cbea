"""The 26 steps together, against what the reference did with 7,130 documents."""

import gzip
import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.shared_data import SHARED, needs_shared
from udfs.fasttext.language import LanguageIdentifier
from udfs.rules.batch import JudgedTexts
from udfs.rules.cleaning.steps import CleaningSettings
from udfs.rules.families import SIGNALS, HeuristicSettings, apply, rules_of, url_outcomes
from udfs.rules.refinedweb import STEP_OF_RULE, RefinedWeb
from udfs.rules.url_lists import UrlLists, load_url_lists

SENTENCES = (
    "The committee of the village met on Monday to speak about the bridge near the old mill.",
    "Most people who came wanted to keep it, and some of them offered money for its repair.",
    "An engineer explained that wood and stone have to be dried before winter sets in.",
    "Nobody could say with certainty how long the work would take or who should lead it.",
)
ARTICLE = "\n".join(SENTENCES)
NO_LISTS = UrlLists()


def speaks(language: str | None, score: float = 0.9) -> Any:
    return lambda texts: (
        pa.array([language] * len(texts), pa.string()),
        np.full(len(texts), 0.0 if language is None else score),
    )


def judged(text: str, language: str | None = "en", score: float = 0.9, **changes: Any) -> Any:
    """Return (rule, value, threshold, text) of one document."""
    settings = HeuristicSettings(**changes)
    result = apply(
        pa.array([text], pa.string()), pa.array(["http://example.org/"]), settings, NO_LISTS,
        speaks(language, score),
    )  # fmt: skip
    columns = (result.rule, result.value, result.threshold, result.text)
    return tuple(column[0].as_py() for column in columns)


@cache
def reference_lists() -> UrlLists:
    banned = "refinedweb_banned_{}.txt"
    words = "words_{}_reverse_engineered"
    return load_url_lists(
        domains=SHARED / "lists" / banned.format("domains_curated"),
        strict=SHARED / "lists" / banned.format(words.format("strict")),
        hard=SHARED / "lists" / banned.format(words.format("hard")),
        soft=SHARED / "lists" / banned.format(words.format("soft")),
        top_level_domains=SHARED / "lists/iana_tlds.txt",
    )


@cache
def golden() -> list[dict[str, Any]]:
    with gzip.open(SHARED / "golden/heuristics.jsonl.gz") as lines:
        return [json.loads(line) for line in lines]


@cache
def golden_result(annotate: str = "first_failure") -> JudgedTexts:
    return apply(
        pa.array([document["text"] for document in golden()], pa.large_string()),
        pa.array([document["url"] for document in golden()]),
        HeuristicSettings(annotate=annotate),
        reference_lists(),
        LanguageIdentifier(SHARED / "models/lid.176.ftz"),
    )


@needs_shared
def test_every_document_falls_at_the_step_of_the_reference() -> None:
    steps = [STEP_OF_RULE.get(rule, (None, None)) for rule in golden_result().rule.to_pylist()]
    expected = [(found["dropped_at_step"], found["dropped_by"]) for found in golden()]
    assert steps == expected


@needs_shared
def test_every_kept_document_has_the_text_of_the_reference() -> None:
    result = golden_result()
    for document, rule, text in zip(
        golden(), result.rule.to_pylist(), result.text.to_pylist(), strict=True
    ):
        if rule is None:
            assert text == document["cleaned_text"], document["id"]


@needs_shared
def test_words_and_languages_are_those_of_the_reference() -> None:
    signals = golden_result().signals
    for document, count, language, score in zip(
        golden(),
        signals["previous_word_count"].to_pylist(),
        signals["language"].to_pylist(),
        signals["language_score"].to_pylist(),
        strict=True,
    ):
        if document["previous_word_count"] is not None:
            assert count == document["previous_word_count"], document["id"]
        for name, probability in (document["language"] or {}).items():
            assert language == name, document["id"]
            assert score == pytest.approx(probability, abs=1e-5), document["id"]


@needs_shared
def test_computing_every_signal_changes_no_verdict() -> None:
    first, every = golden_result(), golden_result("all")
    assert every.rule.equals(first.rule)
    assert every.value.equals(first.value)
    assert every.threshold.equals(first.threshold)
    kept = first.rule.is_null()
    assert every.text.filter(kept).equals(first.text.filter(kept))
    assert every.signals["num_stop_words"].null_count == 0
    assert every.signals["repeated_10_grams_fraction"].null_count == 0
    assert first.signals["repeated_10_grams_fraction"].null_count > 0


@needs_shared
def test_the_verdict_does_not_depend_on_the_batch() -> None:
    whole, rows = golden_result(), list(range(0, len(golden()), 97))
    texts = pa.array([golden()[row]["text"] for row in rows], pa.string())
    urls = pa.array([golden()[row]["url"] for row in rows])
    identify = LanguageIdentifier(SHARED / "models/lid.176.ftz")
    part = apply(texts, urls, HeuristicSettings(), reference_lists(), identify)
    assert part.rule.equals(whole.rule.take(pa.array(rows)))
    assert part.text.equals(whole.text.take(pa.array(rows)))


def test_an_article_passes_with_all_signals() -> None:
    result = apply(
        pa.array([ARTICLE]), pa.array(["http://a.org"]), HeuristicSettings(), NO_LISTS, speaks("en")
    )
    assert result.rule.to_pylist() == [None]
    assert result.text.to_pylist() == [ARTICLE]
    assert list(result.signals) == [field.name for field in SIGNALS]
    for field in SIGNALS:
        assert result.signals[field.name].type == field.type
        assert result.signals[field.name].null_count == (field not in RefinedWeb.signals)


@pytest.mark.parametrize(
    ("text", "rule", "value", "threshold"),
    [
        ("", "url_removal", 0.0, None),
        ("too short", "page_length", 2.0, 50.0),
        ("a b c d e " * 20, "mean_word_length", 1.0, 3.0),
        (ARTICLE + " #" * 20, "symbol_ratio", 20 / 85, 0.1),
        (ARTICLE.replace("\n", "\n* ").replace("The", "- The"), "bullet_lines", 1.0, 0.9),
        (ARTICLE.replace(".\n", "...\n"), "ellipsis_lines", 0.75, 0.3),
        (ARTICLE + " 1234" * 30, "alphabetic_words", 30 / 95, 0.2),
        ("Words without any sense here stand. " * 9, "stop_words", 0.0, 2.0),
        ((SENTENCES[0] + "\n") * 5, "repeated_lines", 1.0, 0.3),
        (" ".join(SENTENCES).upper() + " the of", "uppercase_lines", None, None),
        (ARTICLE + "\n" + "\n".join(f"Word{n}" for n in range(9)), "word_removal", 9 / 74, 0.05),
    ],
)
def test_each_rule_names_its_value_and_threshold(
    text: str, rule: str, value: float | None, threshold: float | None
) -> None:
    assert judged(text)[:3] == (rule, pytest.approx(value) if value else value, threshold)


@pytest.mark.parametrize(
    ("language", "score", "value"), [("de", 0.9, 0.0), ("en", 0.65, 0.65), (None, 0.9, 0.0)]
)
def test_only_pages_surely_in_the_language_pass(
    language: str | None, score: float, value: float
) -> None:
    assert judged(ARTICLE, language, score)[:3] == ("language", value, 0.65)


def test_the_text_of_a_dropped_document_is_as_it_stood() -> None:
    text = "Look at http://example.org/page now\n\n\n\nend"
    lists = replace(NO_LISTS, top_level_domains=("org", "look"))
    for annotate, expected in (("first_failure", "Look at now\n\nend"), ("all", "Look at now\n")):
        settings = HeuristicSettings(annotate=annotate)
        result = apply(pa.array([text]), pa.array(["http://a.org"]), settings, lists, speaks("de"))
        assert result.rule.to_pylist() == ["language"]
        assert result.text[0].as_py().rstrip("\n") == expected.rstrip("\n")


def test_documents_come_back_in_their_order() -> None:
    texts = [ARTICLE, "short", None, ARTICLE + "\n3 likes", "", "a b " * 60]
    urls = ["http://a.org", None, "http://[", "http://a.org", "http://[", "http://a.org"]
    result = apply(pa.array(texts), pa.array(urls), HeuristicSettings(), NO_LISTS, speaks("en"))
    assert result.rule.to_pylist() == [
        None, "page_length", "url_unreadable", None, "url_unreadable", "mean_word_length",
    ]  # fmt: skip
    assert result.text.to_pylist() == [ARTICLE, "short", "", ARTICLE, "", "a b " * 60]


def test_an_empty_batch_gives_an_empty_result() -> None:
    empty = pa.array([], pa.string())
    result = apply(empty, empty, HeuristicSettings(), NO_LISTS, speaks("en"))
    assert len(result.text) == len(result.rule) == len(result.signals["num_words"]) == 0


def test_addresses_are_judged_without_texts() -> None:
    lists = replace(NO_LISTS, strict=("badword",), soft=("one", "two"))
    urls = pa.array(["http://a.org/b-ad.word", "http://a.org/one-two", "http://[", "http://a.org"])
    rules, values, thresholds = url_outcomes(urls, HeuristicSettings(), lists)
    assert rules.to_pylist() == ["url_strict_word", "url_soft_words", "url_unreadable", None]
    assert values.to_pylist() == [1.0, 2.0, None, None]
    assert thresholds.to_pylist() == [1.0, 2.0, None, None]


def test_the_first_repetition_is_forgiven_without_quirks() -> None:
    text = "\n".join([*SENTENCES, SENTENCES[0], "This line stands here only once, and it is last."])
    assert judged(text)[:2] == ("repeated_lines", 2 / 6)
    corrected = judged(text, quirks="none", cleaning=CleaningSettings(quirks="none"))
    assert corrected[0] != "repeated_lines"


def test_nothing_is_dropped_or_changed_when_switched_off() -> None:
    assert judged("x\n\n\n\nx", enabled=False) == (None, None, None, "x\n\n\n\nx")


def test_unknown_switches_are_refused() -> None:
    with pytest.raises(ValueError, match="first_failure"):
        HeuristicSettings(annotate="some")
    with pytest.raises(ValueError, match="dclm-2024"):
        HeuristicSettings(quirks="some")


def test_rules_are_in_the_order_of_the_steps() -> None:
    steps = [STEP_OF_RULE[rule][0] for rule in rules_of("refinedweb")]
    assert steps == sorted(steps)
