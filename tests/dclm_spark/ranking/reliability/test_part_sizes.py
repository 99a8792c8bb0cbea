from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dclm_spark.ranking.budgets.repetition import thinned
from dclm_spark.ranking.reliability.part_sizes import (
    LEAST_DOCUMENTS,
    LEAST_TOKENS,
    TOO_SMALL,
    PartSize,
    judged,
    part_sizes,
    size_conclusions,
)
from dclm_spark.shard_format import read_manifest
from tests.dclm_spark.ranking.toy_corpora import documents, tokenizer_file, write_corpus


def run(manifest: Path, seed: int, target: int | None = 10**6) -> Any:
    cell = SimpleNamespace(label="cell", target_tokens=target)
    corpus = SimpleNamespace(name="a", manifest=str(manifest))
    return SimpleNamespace(cell=cell, corpus=corpus, seed=seed)


def test_parts_of_all_seeds_count_by_their_mean(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "a", documents(1, 300), tokenizer_file(tmp_path))
    whole = read_manifest(str(corpus))
    wide = thinned(str(corpus), 6000, 1, tmp_path / "parts")
    narrow = thinned(str(corpus), 2000, 2, tmp_path / "parts")
    runs = [run(wide, 1), run(narrow, 2)]
    (size,) = part_sizes(runs, {str(corpus)})
    # A part is cut to whole sequences of equal shards.
    assert size.tokens == pytest.approx(4000, rel=0.1)
    in_a_document = whole.num_sequences * whole.tokens_per_row / 300
    assert size.documents == pytest.approx(size.tokens / in_a_document, abs=3)
    assert part_sizes([run(corpus, 1)], {str(corpus)}) == ()
    assert part_sizes([run(narrow, 1, target=None)], {str(corpus)}) == ()


@pytest.mark.parametrize(
    ("documents", "tokens", "is_enough"),
    [
        (LEAST_DOCUMENTS, LEAST_TOKENS, True),
        (LEAST_DOCUMENTS - 1, LEAST_TOKENS, False),
        (LEAST_DOCUMENTS, LEAST_TOKENS - 1, False),
    ],
)
def test_both_documents_and_tokens_must_be_enough(
    documents: int, tokens: int, is_enough: bool
) -> None:
    size = PartSize(cell="cell", corpus="a", documents=documents, tokens=tokens)
    assert size.is_enough == is_enough


def test_pairs_of_a_small_part_alone_are_not_judged_and_the_needed_size_is_told() -> None:
    pairs = [
        {"first": "a", "second": "b", "verdict": "a is better"},
        {"first": "b", "second": "c", "verdict": "c is better"},
    ]
    small = PartSize(cell="cell", corpus="a", documents=60, tokens=LEAST_TOKENS // 4)
    found = judged({"cell": "cell", "verdicts": pairs}, [small])
    assert [pair["verdict"] for pair in found["verdicts"]] == [TOO_SMALL, "c is better"]
    assert judged({"cell": "other", "verdicts": pairs}, [small])["verdicts"] == pairs
    (line,) = size_conclusions([small], {"cell": 10_000})
    assert "About --tokens 40000 would do" in line
