"""The reference's steps in plain Python, against what the reference did with real documents."""

import gzip
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dclm_spark.measure.inputs import LIST_FILES
from tests.benchmarks.reference.tries import one_of
from tests.shared_data import SHARED, needs_shared

# The names that the peer's lists have, where they differ from the recipe's.
NAMES = {"strict_words": "strict", "hard_words": "hard", "soft_words": "soft"}


@pytest.fixture(scope="module")
def judged() -> Any:
    """Return a function from a page to the number of the step that drops it."""
    pytest.importorskip("uniseg")
    fasttext = pytest.importorskip("fasttext")
    from tests.benchmarks.reference.addresses import load_lists
    from tests.benchmarks.reference.steps import all_steps, dropped_at

    lists = {NAMES.get(name, name): f"{SHARED}/lists/{file}" for name, file in LIST_FILES.items()}
    model = fasttext.load_model(str(SHARED / "models/lid.176.ftz"))
    steps = all_steps(load_lists(lists), model)
    return lambda page: dropped_at(page, steps)


@needs_shared
@pytest.mark.parametrize(
    ("stride", "longest"), [(17, 6_000), pytest.param(1, 10**9, marks=pytest.mark.slow)]
)
def test_documents_end_as_in_the_reference(judged: Any, stride: int, longest: int) -> None:
    from tests.benchmarks.reference.page import Page

    with gzip.open(SHARED / "golden/heuristics.jsonl.gz") as lines:
        documents = [json.loads(line) for line in lines][::stride]
    for document in documents:
        if len(document["text"]) > longest:
            continue
        page = Page(document["url"], document["text"])
        assert judged(page) == document["dropped_at_step"], document["url"]
        if document["dropped_at_step"] is None:
            assert page.text == document["cleaned_text"], document["url"]
            assert page.previous_word_count == document["previous_word_count"]


@given(
    st.lists(st.text("ab.-ß", min_size=1, max_size=4), max_size=8),
    st.text("ab.-ß", max_size=20),
)
def test_a_trie_finds_what_the_longest_alternative_finds(words: list[str], text: str) -> None:
    longest_first = "|".join(map(re.escape, sorted(words, key=len, reverse=True))) or "(?!)"
    assert re.findall(one_of(words), text) == re.findall(longest_first, text)
