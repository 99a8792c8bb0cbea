import itertools
import random
from pathlib import Path

import pytest

from dclm_spark.dedup.pairs.components import _starred, connected_components
from dclm_spark.engine import shuffles
from dclm_spark.engine.checkpoints import Checkpoints

pytestmark = pytest.mark.spark


@pytest.fixture(autouse=True)
def short_queries(spark):  # type: ignore[no-untyped-def]
    """Compiling a plan costs more than running it over a few rows."""
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    yield
    spark.conf.unset("spark.sql.codegen.wholeStage")


def oracle(edges: list[tuple[int, int]]) -> dict[int, int]:
    parent: dict[int, int] = {}

    def find(node: int) -> int:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for u, v in edges:
        a, b = find(u), find(v)
        parent[max(a, b)] = min(a, b)
    return {node: find(node) for node in parent}


def name(node: int) -> bytes:
    return node.to_bytes(16, "big")


def components(spark, edges, directory: Path, key: str = "k", partitions: int = 2):  # type: ignore[no-untyped-def]
    rows = [(bytearray(name(u)), bytearray(name(v))) for u, v in edges]
    frame = spark.createDataFrame(rows, "doc_id binary, partner binary").repartition(partitions)
    working = Checkpoints(spark=spark, directory=str(directory), key=key)
    members, rounds = connected_components(frame, working)
    found = {
        int.from_bytes(row["doc_id"], "big"): int.from_bytes(row["component"], "big")
        for row in members.collect()
    }
    assert members.count() == len(found)
    return found, rounds


@pytest.mark.long
def test_random_graphs_fall_into_their_components(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rng = random.Random(4)
    edges = [(rng.randrange(300), rng.randrange(300)) for _ in range(170)]
    edges = [(u, v) for u, v in edges if u != v]
    edges += [(1000, node) for node in range(1001, 1100)]
    found, _ = components(spark, edges, tmp_path)
    assert found == oracle(edges)


@pytest.mark.long
def test_rounds_of_a_long_chain_grow_with_its_logarithm(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rng = random.Random(4)
    names = list(range(600))
    rng.shuffle(names)
    found, rounds = components(spark, list(itertools.pairwise(names)), tmp_path)
    assert set(found.values()) == {0}
    assert len(found) == 600
    assert rounds <= 10


@pytest.mark.long
def test_a_killed_run_goes_on_from_its_last_round(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    edges = [(n, n + 1) for n in range(8)]
    whole, rounds = components(spark, edges, tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    # As if the run had died while it wrote the last rounds.
    for number in range(2, rounds + 1):
        (tmp_path / f"round-{number:03d}.json").unlink()
    assert components(spark, edges, tmp_path) == (whole, rounds)
    again = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert [n for n in sorted(times) if again[n] == times[n]] == [
        "round-000.json",
        "round-001.json",
    ]


def test_nodes_of_very_many_edges_are_spread_and_change_no_edge(
    spark, tmp_path: Path, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    """One is the least of its neighbours, one the greatest: the large and the small star's."""
    edges = [(0, node) for node in range(1, 80)] + [(500, node) for node in range(100, 180)]
    rows = [(bytearray(name(u)), bytearray(name(v))) for u, v in [*edges, (90, 91), (91, 92)]]
    frame = spark.createDataFrame(rows, "u binary, v binary")

    def starred(folder: str) -> list[tuple[bytes, bytes]]:
        working = Checkpoints(spark=spark, directory=str(tmp_path / folder), key="k")
        return sorted(map(tuple, _starred(frame, working, len(rows)).collect()))

    plain = starred("plain")
    assert len(plain) == len(rows)
    # A task sorts forty edges, so that a node of more is hot.
    monkeypatch.setattr(shuffles, "PARTITION_SIZE_BYTES", 40 * 64)
    assert starred("hot") == plain
    for star in ("large", "small"):
        assert (tmp_path / "hot" / star / "hot_u_owners.json").exists()
    assert not (tmp_path / "plain").exists()


def test_another_key_never_uses_old_rounds(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    components(spark, [(1, 2)], tmp_path, "first")
    assert components(spark, [(5, 6)], tmp_path, "second")[0] == {5: 5, 6: 5}


def test_no_edges_give_no_members(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert components(spark, [], tmp_path)[0] == {}
