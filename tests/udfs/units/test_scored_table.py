"""Signals that were measured once, judged again by other limits, against judging the texts."""

from dataclasses import replace
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from tests.shared_data import SHARED, needs_shared
from tests.udfs.rules.test_families import ARTICLE, NO_LISTS, golden, reference_lists
from udfs.fasttext.language import LanguageIdentifier
from udfs.languages.codes import is_code
from udfs.rules.c4 import C4Settings
from udfs.rules.families import (
    SIGNALS,
    HeuristicSettings,
    apply,
    clean,
    decide,
    measuring,
    signals_of,
)
from udfs.rules.fineweb import FineWebSettings
from udfs.rules.settings import RepetitionLimits
from udfs.rules.url_lists import UrlLists

STRICT = {
    "refinedweb": HeuristicSettings(),
    "c4": HeuristicSettings(rules="c4"),
    "fineweb": HeuristicSettings(rules="fineweb"),
}
BANNED = ("village", "wood")


def by_length(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Tell a language and a score from the number of letters, the same for the same text."""
    sizes = [len(text) for text in texts.to_pylist()]
    labels = [None if size < 20 else "en" if size % 5 else "de" for size in sizes]
    return pa.array(labels, pa.string()), np.array([(size % 97) / 96 for size in sizes])


def other_limits(rng: Random, family: str) -> HeuristicSettings:
    """Return settings with limits drawn around the defaults; what is measured stays."""

    def near(value: float) -> float:
        return min(value * rng.choice((0.5, 0.8, 1.0, 1.25, 2.0)), max(value, 1.0))

    default = HeuristicSettings()
    limits = {
        name: near(getattr(default, name))
        for name in (
            "min_language_score", "min_mean_word_length", "max_mean_word_length",
            "max_symbol_ratio", "max_bullet_line_fraction", "max_ellipsis_line_fraction",
            "max_non_alphabetic_word_fraction", "max_word_removal_fraction",
        )
    }  # fmt: skip
    repetition = {name: near(value) for name, value in vars(RepetitionLimits()).items()}
    return HeuristicSettings(
        rules=family,
        annotate=rng.choice(("all", "first_failure")),
        language=rng.choice(("en", "de")),
        min_words=rng.choice((10, 50, 80)),
        max_words=rng.choice((100, 100_000)),
        min_stop_words=rng.choice((0, 2, 8)),
        repetition=RepetitionLimits(**repetition),
        c4=C4Settings(max_characters=rng.choice((500, 190_000)), min_sentences=rng.choice((1, 5))),
        fineweb=FineWebSettings(
            min_sentences=rng.choice((1, 9)),
            min_terminated_line_fraction=near(0.12),
            max_short_line_fraction=near(0.67),
            max_duplicate_line_character_fraction=near(0.01),
            max_newlines_per_word=near(0.3),
        ),
        **limits,
    )


FAULTS = (
    "* item", "and so on...", "READ MORE", "12", "3 likes", "lorem", "Lorem ipsum {", "# # # #",
    "see http://a.com/x now", "", "\u4e2d\u6587", "ok ok ok ok.",
)  # fmt: skip


def pages(count: int = 400) -> tuple[pa.Array, pa.Array]:
    """Return texts with all sorts of faults, and addresses."""
    rng = Random("pages")
    texts = ["", " ", "example.com", "One line"]
    words = ARTICLE.replace("\n", " ").split()
    while len(texts) < count:
        lines = [f"{' '.join(rng.sample(words, 9))} and so." for _ in range(rng.randint(1, 25))]
        lines += rng.choices(FAULTS, k=rng.randint(0, 3))
        rng.shuffle(lines)
        texts.append("\n".join(lines))
    return pa.array(texts, pa.large_string()), pa.array(["http://e.org/"] * count, pa.string())


def table(signals: dict[str, pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(signals)


def agree(texts: pa.Array, urls: pa.Array, given: HeuristicSettings, lists: UrlLists, identify):
    """Say that judging signals is judging texts, and return how many documents were kept."""
    signals = signals_of(texts, measuring(given), lists, identify)
    expected = apply(texts, urls, given, lists, identify)
    rule, value, threshold = decide(table(signals), urls, given, lists)
    assert rule.equals(expected.rule)
    assert value.equals(expected.value)
    assert threshold.equals(expected.threshold)
    kept = pa.array(np.array(rule.is_null()))
    left = clean(texts.filter(kept), given, lists)
    assert left.equals(expected.text.filter(kept))
    for field in SIGNALS:
        shown = expected.signals[field.name].filter(kept)
        assert signals[field.name].filter(kept).equals(shown), field.name
    return len(left)


@pytest.mark.parametrize("family", STRICT)
def test_other_limits_on_stored_signals_judge_as_the_texts_would_be(family):
    texts, urls = pages()
    lists = replace(NO_LISTS, banned_words=BANNED, top_level_domains=("com",))
    kept = {
        agree(texts, urls, other_limits(Random(f"{family}{seed}"), family), lists, by_length)
        for seed in range(12)
    }
    assert len(kept) > 2


@needs_shared
def test_golden_documents_are_judged_by_their_signals_as_by_the_reference():
    some = golden()[::7]
    texts = pa.array([document["text"] for document in some], pa.large_string())
    urls = pa.array([document["url"] for document in some])
    identify = LanguageIdentifier(SHARED / "models/lid.176.ftz", "dclm-2024")
    for given in STRICT.values():
        assert agree(texts, urls, given, reference_lists(), identify)


@pytest.mark.parametrize("family", STRICT)
def test_limits_are_no_part_of_what_is_measured(family):
    given = STRICT[family]
    for seed in range(5):
        assert measuring(other_limits(Random(seed), family)) == measuring(given)


def test_what_changes_a_signal_is_part_of_what_is_measured():
    refined, c4, fineweb = STRICT.values()
    different = (
        replace(refined, quirks="none"),
        replace(refined, stop_words=("the",), min_stop_words=1),
        replace(refined, cleaning=replace(refined.cleaning, min_words_per_line=None)),
        replace(c4, c4=C4Settings(min_words_per_line=9)),
        replace(fineweb, fineweb=FineWebSettings(short_line_characters=9)),
    )
    same = {repr(measuring(given)) for given in STRICT.values()}
    assert len(same) == len(STRICT)
    assert not same & {repr(measuring(given)) for given in different}


def test_a_language_by_its_code_is_measured_as_one_and_any_other_reads_the_same_table():
    for rules in ("refinedweb", "c4", "fineweb", "language_only"):
        german = HeuristicSettings(rules=rules, language="deu_Latn")
        assert is_code(measuring(german).language)
        assert measuring(german) == measuring(replace(german, language="fra_Latn"))
        assert measuring(german) != measuring(replace(german, language="de"))
