import functools
import gzip
import json
import random

import numpy as np
import pyarrow as pa
import pytest
from uniseg.wordbreak import words as uniseg_words

from tests.shared_data import SHARED, needs_shared
from tests.udfs.dedup.ngram_oracle import ExactShard
from udfs.dedup.ngrams import (
    NgramDedupSettings,
    ShardDeduplicator,
    count_ngrams,
    shard_memory_bytes,
)

# So few false positives that a run over the test texts has none.
EXACT = 1e-9


@functools.lru_cache(100_000)
def tokenize(text: str) -> list[str]:
    return [word for word in uniseg_words(text) if not word.isspace()]


def run(texts: list[str], batch_rows: int = 7, **values: object):  # type: ignore[no-untyped-def]
    settings = NgramDedupSettings(**{"false_positive_rate": EXACT, **values})
    column = pa.array(texts)
    shard = ShardDeduplicator(int(count_ngrams(column, settings).sum()), settings, seed=1)
    parts = [
        shard.deduplicate(column.slice(start, batch_rows))
        for start in range(0, len(texts), batch_rows)
    ]
    return {
        name: [value for part in parts for value in _values(getattr(part, name))]
        for name in ("text", "contained", "total", "removed_windows", "dropped", "removed_spans")
    }


def _values(column: object) -> list[object]:
    return column.to_pylist() if isinstance(column, pa.Array) else column.tolist()  # type: ignore[attr-defined]


def expect_like_oracle(texts: list[str], **values: object) -> None:
    found = run(texts, **values)
    oracle = ExactShard(
        tokenize,
        values.get("min_ngram", 13),
        values.get("max_ngram", 13),
        keeps_ngrams_of_removed_documents=values.get("quirks", "dclm-2024") == "dclm-2024",
    )
    for index, text in enumerate(texts):
        expected = oracle.process(text)
        assert found["text"][index] == expected.text
        assert found["contained"][index] == expected.contained
        assert found["total"][index] == expected.total
        encoded = text.encode()
        spans = [encoded[s["start"] : s["end"]].decode() for s in found["removed_spans"][index]]
        assert spans == expected.removed
        assert found["removed_windows"][index] == len(expected.removed)
        assert found["dropped"][index] == (expected.text.strip() == "")


WORDS = ("lorem", "ipsum", "dolor", "amet,", "don't", "3.14", "été", "中文", "🙂")


def sentence(rng: random.Random, words: int) -> str:
    return " ".join(f"{rng.choice(WORDS)}{rng.randrange(50)}" for _ in range(words))


def generated(seed: int, documents: int) -> list[str]:
    rng = random.Random(seed)
    pool = [sentence(rng, rng.randrange(0, 40)) for _ in range(40)]
    breaks = ["\n", "\n\n", "\r\n", "\n \n", "\u2028", "\n\t"]
    texts = []
    for _ in range(documents):
        lines = [
            rng.choice(pool) if rng.random() < 0.5 else sentence(rng, rng.randrange(0, 30))
            for _ in range(rng.randrange(0, 8))
        ]
        texts.append("".join(line + rng.choice(breaks) for line in lines))
    return texts


@pytest.mark.parametrize("quirks", ["dclm-2024", "none"])
@pytest.mark.parametrize(("shortest", "longest"), [(13, 13), (5, 13), (1, 1), (3, 20)])
def test_it_equals_the_exact_set_oracle(quirks: str, shortest: int, longest: int) -> None:
    texts = generated(shortest + longest, 120)
    expect_like_oracle(texts, quirks=quirks, min_ngram=shortest, max_ngram=longest)


@needs_shared
def test_it_equals_the_exact_set_oracle_on_real_pages() -> None:
    with gzip.open(SHARED / "golden/heuristics.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    texts = [text for text in texts if len(text) < 6000][:120]
    rng = random.Random(0)
    texts += [cut_in_half(text, rng) for text in texts[:60]]
    expect_like_oracle(texts)


def cut_in_half(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    rng.shuffle(lines)
    return "\n".join(lines[: len(lines) // 2 + 1])


LINE = " ".join(f"word{index}" for index in range(20))
OTHER = " ".join(f"other{index}" for index in range(60))


def test_the_result_does_not_depend_on_the_batches() -> None:
    texts = generated(3, 90)
    assert run(texts, batch_rows=1) == run(texts, batch_rows=90) == run(texts, batch_rows=11)


def test_one_document_alone_is_never_its_own_duplicate() -> None:
    found = run([OTHER + "\n" + LINE])
    assert found["text"] == [OTHER + "\n" + LINE]
    assert found["contained"] == [0]


def test_a_later_copy_of_a_window_goes_and_takes_its_newline_with_it() -> None:
    assert run([f"{LINE}\n{OTHER}\n{LINE}\nend"])["text"] == [f"{LINE}\n{OTHER}\nend"]


def test_repeats_inside_one_window_do_not_count() -> None:
    assert run([" ".join([LINE] * 9)])["contained"] == [0]


def test_a_window_with_exactly_the_threshold_seen_stays() -> None:
    # 20 tokens are 8 n-grams; two more tokens make it 8 of 10, one more 8 of 9.
    assert run([LINE, f"{LINE} z1 z2"])["dropped"] == [False, False]
    assert run([LINE, f"{LINE} z1"])["dropped"] == [False, True]


def test_short_boilerplate_lines_are_never_tested() -> None:
    found = run(["Share this page\nRead more"] * 5)
    assert found["text"] == ["Share this page\nRead more"] * 5
    assert found["total"] == [0] * 5


def test_identical_copies_of_one_page_leave_the_first() -> None:
    found = run([f"{LINE}\n{OTHER}"] * 50)
    assert found["dropped"] == [False] + [True] * 49


def test_the_windows_of_a_removed_document_stay_in_the_filter_only_as_a_quirk() -> None:
    fresh = " ".join(f"fresh{index}" for index in range(14))
    mostly_seen = f"{OTHER}\n{fresh}"
    texts = [OTHER, mostly_seen, f"{fresh}\n{' '.join(f'n{i}' for i in range(40))}"]
    assert run(texts, quirks="dclm-2024")["removed_windows"] == [0, 1, 1]
    assert run(texts, quirks="none")["removed_windows"] == [0, 1, 0]


def test_empty_null_and_white_space_documents_pass_without_ngrams() -> None:
    found = run(["", None, " \n\t\n", "\n\n", "a"])  # type: ignore[list-item]
    assert found["text"] == ["", "", " \n\t\n", "\n\n", "a"]
    assert found["total"] == [0] * 5
    assert found["dropped"] == [True, True, True, True, False]


def test_an_empty_batch_gives_an_empty_result() -> None:
    settings = NgramDedupSettings()
    result = ShardDeduplicator(0, settings).deduplicate(pa.array([], pa.string()))
    assert len(result.text) == 0


def test_other_seeds_change_nothing_without_false_positives() -> None:
    settings = NgramDedupSettings(false_positive_rate=EXACT)
    column = pa.array(generated(8, 60))
    texts = [
        ShardDeduplicator(10**5, settings, seed).deduplicate(column).text.to_pylist()
        for seed in (0, 1, 2**63 + 5)
    ]
    assert texts[0] == texts[1] == texts[2]


def test_a_filter_at_the_published_rate_has_no_more_false_positives_than_that() -> None:
    rng = np.random.default_rng(0)
    settings = NgramDedupSettings(min_ngram=1, max_ngram=1)
    words = [" ".join(f"w{n}" for n in rng.integers(0, 2**60, 200)) for _ in range(60)]
    shard = ShardDeduplicator(60 * 200, settings)
    first = shard.deduplicate(pa.array(words))
    # While it fills, the mean rate is below that of the full filter.
    assert first.contained.sum() / first.total.sum() < settings.false_positive_rate


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"min_ngram": 0}, "min_ngram = 0"),
        ({"min_ngram": 14}, "max_ngram = 13"),
        ({"threshold": 1.5}, "threshold = 1.5"),
        ({"false_positive_rate": 0.0}, "false_positive_rate = 0.0"),
        ({"quirks": "yes"}, "quirks"),
        ({"max_memory_bytes": 0}, "max_memory_bytes = 0"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    values: dict[str, object], names: str
) -> None:
    with pytest.raises(ValueError, match=names):
        NgramDedupSettings(**values)  # type: ignore[arg-type]


def test_a_filter_beyond_the_memory_of_the_task_is_refused_with_advice() -> None:
    settings = NgramDedupSettings(max_memory_bytes=2**20)
    with pytest.raises(ValueError, match="use 12 times as many shards"):
        shard_memory_bytes(10**7, settings)
    with pytest.raises(ValueError, match="max_memory_bytes = 1048576"):
        ShardDeduplicator(10**7, settings)
    assert ShardDeduplicator(10**5, settings).filter_size_bytes < 2**20
