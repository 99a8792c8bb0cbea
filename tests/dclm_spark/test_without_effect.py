"""Settings of what is switched off are named."""

import pytest

from dclm_spark.recipes import load_recipe


@pytest.mark.parametrize(
    ("recipe", "given", "line"),
    [
        ("raw", ["quality.threshold=0.5"], "quality.threshold has no effect: quality.enabled is"),
        ("raw", ["heuristics.min_words=4"], "heuristics.min_words has no effect: heuristics.ena"),
        ("c4", ["decontamination.min_ngrams=2"], "no effect: decontamination.data is not set"),
        ("c4", ["extraction.prescreen.max_text_bytes=9"], "extraction.prescreen.enabled is false"),
        ("fineweb", ["heuristics.c4.min_sentences=4"], "heuristics.rules is fineweb"),
        ("c4", ["heuristics.language=fr", "decontamination.data=x"], ""),
        ("c4", ["decontamination.data=x", "decontamination.min_ngrams=2"], ""),
        ("c4", ["heuristics.min_words=4", "quality.enabled=false"], ""),
    ],
)
def test_what_changes_nothing_is_said(recipe, given, line, caplog):
    load_recipe(recipe, given)
    assert (line in caplog.text) if line else (caplog.text == "")
