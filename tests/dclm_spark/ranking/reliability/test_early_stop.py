"""Corpora whose pairs are decided get no further seed."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from dclm_spark.ranking.reliability.early_stop import open_corpora


def finished(folder: Path, losses: dict[str, float], seeds: int) -> list[SimpleNamespace]:
    """Return runs whose held-out texts cost so many nats a byte, with a little noise of seeds."""
    draw = np.random.default_rng(4)
    texts = draw.uniform(0.95, 1.05, 30)
    runs = []
    for seed in range(1, seeds + 1):
        for name, loss in losses.items():
            luck = draw.normal(0, 0.002)
            records = [
                {"row": row, "nats": float(1000 * (loss + luck) * ease), "bytes": 1000}
                for row, ease in enumerate(texts)
            ]
            place = folder / name / str(seed)
            (place / "evaluation" / "heldout").mkdir(parents=True)
            (place / "evaluation" / "heldout" / "news.json").write_text(
                json.dumps({"records": records})
            )
            runs.append(SimpleNamespace(corpus=SimpleNamespace(name=name), seed=seed, folder=place))
    return runs


def test_corpora_that_are_close_stay_open_and_far_ones_do_not(tmp_path: Path) -> None:
    runs = finished(tmp_path, {"near": 0.5, "nearer": 0.501, "far": 0.7}, seeds=3)
    assert open_corpora(runs, looks=3) == {"near", "nearer"}


def test_more_looks_at_the_data_ask_for_more_evidence(tmp_path: Path) -> None:
    runs = finished(tmp_path, {"a": 0.5, "b": 0.508}, seeds=3)
    assert open_corpora(runs, looks=1) == frozenset()
    assert open_corpora(runs, looks=1000) == {"a", "b"}
