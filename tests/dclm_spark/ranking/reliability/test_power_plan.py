"""What a ranking says of its power, before and after."""

import json
from pathlib import Path

import pytest

from dclm_spark.ranking.prepared import SHUFFLED
from dclm_spark.ranking.reliability.power import Design, seeds_needed
from dclm_spark.ranking.reliability.power_plan import (
    power_beforehand,
    power_conclusions,
    power_table,
    tokens_needed,
)

LEADERBOARD = {
    "comparisons": [
        {
            "cell": "tiny",
            "metric": "bits_per_byte/texts",
            "scores": [{"recipe": name, "seeds": 3, "seed_deviation": 0.1} for name in ("f", "s")],
            "verdicts": [{"first": "f", "second": "f-shuffled", "difference": -0.3}],
        },
        {
            "cell": "tiny",
            "metric": "core_v2",
            "scores": [{"recipe": "f", "seeds": 3, "seed_deviation": 0.1}],
            "verdicts": [{"first": "f", "second": "f-shuffled", "difference": 9.0}],
        },
    ]
}
CURVES = {
    "tiny": {
        "f": [[(10, 5.0), (20, 3.0), (30, 2.5)], [(10, 5.1), (20, 3.1), (30, 2.6)]],
        "f-shuffled": [[(10, 5.05), (20, 4.0), (30, 3.5)], [(10, 5.0), (20, 4.1), (30, 3.6)]],
    }
}


def test_beforehand_it_is_told_what_can_be_found(tmp_path: Path) -> None:
    design = Design(corpora=2, seeds=3)
    (line,) = power_beforehand(design, str(tmp_path))
    assert f"{design.detectable():.1f} standard deviations of a run is found 80%" in line
    (line,) = power_beforehand(Design(corpora=2, seeds=1), str(tmp_path))
    assert "no verdict" in line


def test_an_earlier_ranking_in_the_folder_says_how_large_that_is(tmp_path: Path) -> None:
    (tmp_path / "leaderboard.json").write_text(json.dumps(LEADERBOARD))
    design = Design(corpora=2, seeds=3)
    lines = power_beforehand(design, str(tmp_path))
    # Of the metric that decides alone.
    assert len(lines) == 3
    assert f"so that is {design.detectable() * 0.1:.4f}" in lines[1]
    assert lines[2] == f"f - f-shuffled: -0.3000 there, {seeds_needed(2, 3.0)} seeds find it"


def test_afterwards_each_pair_has_its_power_and_what_it_takes() -> None:
    (row,) = power_table(LEADERBOARD, CURVES)
    assert row["power"] == pytest.approx(Design(corpora=2, seeds=3).power(3.0), abs=1e-3)
    assert row["seeds_needed"] == seeds_needed(2, 3.0)
    assert row["tokens_needed"] == 20
    (told,) = power_conclusions([row], {"f-shuffled": SHUFFLED, "f": ""}, SHUFFLED)
    assert "f from its shuffled control (0.3000)" in told
    assert "from 20 tokens on" in told
    assert power_conclusions([row], {"f": "", "f-shuffled": ""}, SHUFFLED) == []


def test_curves_that_meet_again_or_have_one_seed_tell_no_tokens() -> None:
    meeting = {
        name: [[*points[:2], (30, 2.5 + 0.1 * seed)] for seed, points in enumerate(seeds)]
        for name, seeds in CURVES["tiny"].items()
    }
    assert tokens_needed(meeting, "f", "f-shuffled") is None
    alone = {name: seeds[:1] for name, seeds in CURVES["tiny"].items()}
    assert tokens_needed(alone, "f", "f-shuffled") is None
    assert tokens_needed({}, "f", "f-shuffled") is None
