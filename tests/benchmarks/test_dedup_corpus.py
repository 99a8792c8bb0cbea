"""The generated corpus of the scale runs has the copies that its docstring promises."""

import pyarrow as pa

from tests.benchmarks.dedup_corpus import (
    BLOCK_SIZE,
    BOILERPLATE_EVERY,
    COPY_EVERY,
    block_rows,
    vocabulary,
)


def texts(block):
    return block_rows(block, 80, vocabulary()).column("text").to_pylist()


def test_a_block_is_the_same_wherever_it_is_made():
    first, again = (block_rows(3, 80, vocabulary()) for _ in range(2))
    assert first.equals(again)
    assert not first.column("doc_id").equals(block_rows(4, 80, vocabulary()).column("doc_id"))


def test_every_tenth_document_is_a_near_copy_and_every_hundredth_the_boilerplate_page():
    one, other = texts(0), texts(1)
    assert len(one) == BLOCK_SIZE
    pages = set(one[BOILERPLATE_EVERY - 1 :: BOILERPLATE_EVERY])
    assert pages == set(other[BOILERPLATE_EVERY - 1 :: BOILERPLATE_EVERY])
    assert len(pages) == 1
    for place in range(COPY_EVERY - 1, BLOCK_SIZE, COPY_EVERY):
        if (place + 1) % BOILERPLATE_EVERY:
            pairs = zip(one[place - 1].split(), one[place].split(), strict=True)
            assert sum(left != right for left, right in pairs) <= 2


def test_words_are_distinct_and_texts_are_utf8():
    table = pa.array([bytes(row) for row in vocabulary()])
    assert table.value_counts().field("counts").to_pylist() == [1] * len(table)
