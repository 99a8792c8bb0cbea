"""Line dedup against sets of lines, for any partitioning."""

import hashlib
import random
from pathlib import Path

import pytest

from dclm_spark.dedup.duplicate_lines import seen_lines
from dclm_spark.engine.checkpoints import Checkpoints

pytestmark = pytest.mark.spark

SCHEMA = "doc_id binary, url string, text string"


def pages(count: int = 60) -> list[tuple[bytes, str | None, str]]:
    rng = random.Random(4)
    pool = [f"Line number {number} of a page." for number in range(80)]
    pool += ["", "  ", "ALL RIGHTS RESERVED", "all rights reserved ", "Ünïcode line\t"]
    rows: list[tuple[bytes, str | None, str]] = []
    for number in range(count):
        lines = [*rng.choices(pool, k=rng.randrange(6)), "All rights reserved"]
        url = f"http://a.example/{number // 2}" if number % 10 else None
        rows.append((number.to_bytes(16, "big"), url, "\n".join(lines)))
    return rows


def slow(rows: list[tuple[bytes, str | None, str]]) -> dict[bytes, tuple[list[int], bytes]]:
    """Return by document the numbers of its lines that stay elsewhere, and the first place."""
    owners: dict[str, tuple[bytes, int]] = {}
    found = []
    for doc_id, url, text in rows:
        place = hashlib.md5((url or "").encode(), usedforsecurity=False).digest() + doc_id
        for number, line in enumerate(text.split("\n")):
            key = line.strip().lower()
            if key:
                found.append((key, place, number))
                owners[key] = min(owners.get(key, (place, number)), (place, number))
    seen: dict[bytes, list[tuple[int, bytes]]] = {}
    for key, place, number in found:
        if (place, number) != owners[key]:
            seen.setdefault(place, []).append((number, owners[key][0]))
    return {
        place[16:]: (sorted(number for number, _ in copies), min(o for _, o in copies)[16:])
        for place, copies in seen.items()
    }


@pytest.mark.long
@pytest.mark.parametrize(
    "partitions",
    [pytest.param(1, marks=pytest.mark.long), 7, pytest.param(64, marks=pytest.mark.long)],
)
def test_one_copy_of_each_line_stays_for_any_partitioning(
    spark, tmp_path: Path, partitions: int
) -> None:
    rows = pages()
    expected = slow(rows)
    random.Random(partitions).shuffle(rows)
    frame = spark.createDataFrame(rows, SCHEMA).repartition(partitions)
    working = Checkpoints(spark=spark, directory=str(tmp_path), key="key")
    found = seen_lines(frame, working).collect()
    assert len(expected) > 50
    assert {bytes(row.doc_id): (list(row.lines), bytes(row.partner)) for row in found} == expected
