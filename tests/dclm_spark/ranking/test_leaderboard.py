import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dclm_spark.ranking.bootstrap import RecipeRun
from dclm_spark.ranking.leaderboard import build_leaderboard, write_leaderboard

BITS = {"raw": 1.5, "dclm <b>": 1.2, "shuffled": 1.5}


def run(recipe: str, seed: int) -> RecipeRun:
    """Copa hardly tells the recipes apart; the held-out text does."""
    draw = np.random.default_rng((seed, len(recipe)))
    copa = [
        {
            "row": row,
            "file_row": row,
            "category": None,
            "ok": int(draw.random() < 0.5),
            "gold": 0,
            "mean_nats": [1.0, 1.0],
            "tokens": [2, 2],
            "bytes": [5, 5],
        }
        for row in range(40)
    ]
    texts: list[dict[str, Any]] = [
        {"row": row, "nats": 500 * (BITS[recipe] + draw.normal(0, 0.01)), "bytes": 700, "tokens": 9}
        for row in range(30)
    ]
    return RecipeRun(
        recipe=recipe,
        seed=seed,
        recipe_hash=f"hash of {recipe}",
        corpus_fingerprint="f00d",
        model_configuration={"layers": 4},
        commit="abc123",
        command=f"python jobs/rank_recipes.py --seed {seed} && echo '<script>'",
        control="shuffled scores" if recipe == "shuffled" else "",
        tasks={"copa": copa},
        heldout={"news": texts},
    )


def board() -> dict[str, Any]:
    return build_leaderboard([run(recipe, seed) for recipe in BITS for seed in (1, 2, 3)])


def comparison(leaderboard: dict[str, Any], metric: str) -> dict[str, Any]:
    return next(one for one in leaderboard["comparisons"] if one["metric"] == metric)


def test_the_better_recipe_wins_and_the_control_does_not_differ_from_raw() -> None:
    bits = comparison(board(), "bits_per_byte/news")
    verdicts = {(one["first"], one["second"]): one["verdict"] for one in bits["verdicts"]}
    assert bits["scores"][0]["recipe"] == "dclm <b>"
    assert verdicts["dclm <b>", "raw"] == "dclm <b> is better"
    assert verdicts["raw", "shuffled"] == "not distinguishable"


def test_accuracy_that_is_noise_is_called_so() -> None:
    leaderboard = board()
    copa = comparison(leaderboard, "accuracy/copa")
    assert {one["verdict"] for one in copa["verdicts"]} == {"not distinguishable"}
    conclusion = next(one for one in leaderboard["conclusions"] if one.startswith("core_v2"))
    assert "3 of 3 pairs are not distinguishable" in conclusion


def test_every_row_says_what_was_run_and_how_to_run_it_again() -> None:
    row = board()["rows"][0]
    assert all(row[key] for key in row if key not in ("control", "cell"))
    assert "jobs/rank_recipes.py" in row["command"]


def test_the_page_escapes_names_and_commands(tmp_path: Path) -> None:
    leaderboard = board()
    write_leaderboard(leaderboard, tmp_path)
    html = (tmp_path / "leaderboard.html").read_text()
    assert "dclm &lt;b&gt; is better" in html
    assert "dclm <b>" not in html
    # The one script is that of all pages.
    assert html.count("<script>") == 1
    written = json.loads((tmp_path / "leaderboard.json").read_text())
    assert written["conclusions"] == leaderboard["conclusions"]


def test_several_domains_count_the_same_in_the_macro_mean_whatever_their_size() -> None:
    runs = []
    for recipe in BITS:
        for seed in (1, 2):
            one = run(recipe, seed)
            code = [
                {"row": row, "nats": 90.0 + seed, "bytes": 100, "tokens": 9} for row in range(3)
            ]
            runs.append(replace(one, heldout={**one.heldout, "code": code}))
    leaderboard = build_leaderboard(runs)
    means = {
        name: {
            s["recipe"]: s["mean"]
            for s in comparison(leaderboard, f"bits_per_byte/{name}")["scores"]
        }
        for name in ("macro", "news", "code")
    }
    for recipe in BITS:
        both = (means["news"][recipe] + means["code"][recipe]) / 2
        assert means["macro"][recipe] == pytest.approx(both)
    assert leaderboard["comparisons"][0]["metric"] == "bits_per_byte/macro"
