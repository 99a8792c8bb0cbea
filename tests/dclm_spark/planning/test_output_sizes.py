"""The size of a run's output before it starts."""

import pytest

from dclm_spark.crawl.listing import InputFile
from dclm_spark.planning.output_sizes import expected_sizes
from udfs.documents.formats import FORMATS


def test_ids_of_32_bits_take_twice_the_room() -> None:
    kind = next(name for name, one in FORMATS.items() if not one.has_pages)
    files = [InputFile(crawl="a", path="in.jsonl", uri="in.jsonl", kind=kind)]
    narrow, wide = (expected_sizes(files, 4_200_000, size) for size in (2, 4))
    assert narrow.tokens == wide.tokens == 1_000_000
    assert wide.output_size_bytes - narrow.output_size_bytes == pytest.approx(2_000_000)
