"""Shards of any origin ranked by the models trained on them, through a queue."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from dclm_spark.engine.lease import OutputHeldError, only_driver
from dclm_spark.errors import InputError, SettingError
from dclm_spark.ranking import workers
from dclm_spark.ranking.given_corpora import given_corpora
from dclm_spark.ranking.options import ModelSettings, model_options
from dclm_spark.ranking.reliability import part_sizes
from dclm_spark.ranking.train_models import plan_ranking, rank_models
from dclm_spark.shard_format import ShardError
from dclm_spark.train.signals import Preempted
from tests.dclm_spark.ranking.toy_corpora import (
    documents,
    tokenizer_file,
    write_corpus,
    write_texts,
)
from tests.dclm_spark.train.shards import remove

STEP = 128


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> ModelSettings:
    folder = tmp_path_factory.mktemp("given")
    tokenizer = tokenizer_file(folder)
    known = documents(1, 300)
    noise = [text[::-1] for text in documents(2, 300)]
    heldout = write_texts(folder / "unseen.jsonl", [*documents(9, 6), known[0], known[1]])
    heldout.write_text('{"text": "cut off\n' + heldout.read_text())
    return ModelSettings(
        output=str(folder / "ranking"),
        scales=("test",),
        seeds=2,
        tokens=(32 * STEP,),
        corpora=(
            f"known={write_corpus(folder / 'known', known, tokenizer)}",
            f"noise={write_corpus(folder / 'noise', noise, tokenizer)}",
        ),
        tokenizer=str(tokenizer),
        heldout=(str(heldout),),
        target_tokens=(200_000,),
        training=("checkpoint.interval_steps=4", "optimizer.peak_rate=3e-2"),
    )


@pytest.fixture(scope="module", autouse=True)
def _any_part_is_enough() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part_sizes, "LEAST_DOCUMENTS", 1)
        patch.setattr(part_sizes, "LEAST_TOKENS", 1)
        yield


@pytest.fixture(scope="module")
def leaderboard(given: ModelSettings) -> dict:
    return rank_models(given)


def test_each_corpus_has_a_row_per_seed_and_repeats_as_often_as_the_target(leaderboard) -> None:
    rows = {(row["recipe"], row["seed"]): row["model_configuration"] for row in leaderboard["rows"]}
    assert set(rows) == {(name, seed) for name in ("known", "noise") for seed in (1, 2)}
    wanted = {one["corpus"]: one["target_passes"] for one in leaderboard["readings"]}
    for (name, _), model in rows.items():
        assert wanted[name] > 3
        # A part is whole sequences: its passes differ by what one more or less makes of few.
        assert model["passes over the corpus"] == pytest.approx(wanted[name], rel=0.35)


def test_held_out_texts_that_a_corpus_holds_are_left_out(given, leaderboard) -> None:
    # What is trained on is a part: a text of the corpus may be in it or not.
    whole = plan_ranking(replace(given, target_tokens=(), output=given.output + "-whole"))
    assert whole.prepared.heldout[0].num_left_out == 2
    (told,) = (line for line in leaderboard["conclusions"] if "20-token runs" in line)
    assert "of 8 texts left out" in told
    page = (Path(given.output) / "leaderboard.html").read_text()
    for text in (told, page):
        assert "passed over 1: line 1 is no JSON object" in text


def test_curves_cost_and_probabilities_are_told(given, leaderboard) -> None:
    (pair,) = leaderboard["comparisons"][0]["verdicts"]
    assert 0.5 < pair["holds"]["probability"] < 1
    assert leaderboard["comparisons"][0]["signal_to_noise"] > 0
    assert [len(one["points"]) for one in leaderboard["curves"]] == [8, 8]
    assert leaderboard["cost"]["expected"]["flops"] > 0
    assert {one["part"] for one in leaderboard["cost"]["spent"]} == {"training", "evaluation"}
    page = (Path(given.output) / "leaderboard.html").read_text()
    assert "order holds" in page


def test_a_part_of_a_few_documents_decides_nothing(given, leaderboard, monkeypatch) -> None:
    parts = {one["corpus"]: one for one in leaderboard["parts"]}
    assert set(parts) == {"known", "noise"}
    enough = parts["noise"]["documents"] + 1
    monkeypatch.setattr(part_sizes, "LEAST_DOCUMENTS", enough)
    found = rank_models(given)
    (pair,) = found["comparisons"][0]["verdicts"]
    assert (pair["verdict"], pair["holds"]) == ("too small to be matched", None)
    assert "noise, test-for-200000: too small to be matched" in " ".join(found["conclusions"])
    assert not any("order holds" in line for line in found["conclusions"])
    page = (Path(given.output) / "leaderboard.html").read_text()
    assert "too small to be matched" in page


def test_a_row_that_is_told_to_leave_is_gone_on_with_by_only(
    given, leaderboard, monkeypatch
) -> None:
    folder = next(Path(given.output).glob("runs/known/seed-1-*"))
    first = json.loads((folder / "run.json").read_text())
    removed = []
    real = workers.train_and_measure

    def stopped(run, measurement, *, again):
        (run.folder / "run.json").unlink()
        removed.append(run.folder / "model")
        raise Preempted("told to leave")

    monkeypatch.setattr(workers, "train_and_measure", stopped)
    with pytest.raises(Preempted):
        rank_models(replace(given, only="known/1"))
    monkeypatch.setattr(workers, "train_and_measure", real)
    marker = removed[0] / "marker"
    marker.write_text("trained before")
    rank_models(replace(given, only="known/1"))
    assert marker.exists(), "a row that was not finished was trained from nothing"
    again = json.loads((folder / "run.json").read_text())
    assert again["final_loss"] == pytest.approx(first["final_loss"])
    rank_models(replace(given, only="known/1"))
    assert not marker.exists(), "a finished row is done again from nothing"


def test_a_row_that_another_worker_has_is_left_to_it(given, leaderboard, monkeypatch) -> None:
    run = plan_ranking(given).runs[0]
    (run.folder / "run.json").unlink()
    waits = []

    def finish(seconds: float) -> None:
        waits.append(seconds)
        lease.__exit__(None, None, None)

    monkeypatch.setattr(workers, "time", SimpleNamespace(sleep=finish))
    monkeypatch.setattr("dclm_spark.engine.lease._dead", lambda owner: False)
    lease = only_driver(str(run.folder))
    lease.__enter__()
    monkeypatch.setattr("dclm_spark.engine.lease._held", set())
    with pytest.raises(OutputHeldError):
        rank_models(replace(given, only=run.name))
    again = rank_models(given)
    assert waits == [workers.POLL_SECONDS]
    assert again["comparisons"] == leaderboard["comparisons"]


def test_a_command_line_names_all_that_a_ranking_depends_on(given, leaderboard) -> None:
    words = model_options(given, "known/1")
    assert words[words.index("--corpora") + 1 :][:2] == list(given.corpora)
    assert words[words.index("--target-tokens") + 1] == "200000"
    assert words[words.index("--heldout") + 1] == given.heldout[0]
    assert leaderboard["rows"][0]["command"].endswith("--only known/1@test-for-200000")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"corpora": ("a=x",)}, SettingError, "two or more"),
        ({"corpora": ("a=x", "a=y")}, SettingError, "'a' is given twice"),
        ({"corpora": ("a=s3://bucket/x", "b=y")}, SettingError, "--corpora a=.* a local disk"),
        ({"tokenizer": None}, SettingError, "--tokenizer is not given"),
        ({"heldout": ()}, InputError, "--heldout is not given"),
        ({"seeds": 3, "workers": 0}, SettingError, "--workers 0"),
        ({"scales": ("test", "test")}, SettingError, "named twice"),
        ({"target_tokens": (5000, 5000)}, SettingError, "a budget is named twice"),
        ({"max_passes": 0.0}, SettingError, "--max-passes 0: expected 1 or more"),
        ({"max_passes": float("nan")}, SettingError, "--max-passes nan: expected 1 or more"),
        ({"target_tokens": (10**9,)}, InputError, "read as often as the target"),
        ({"tokens": (1, 2, 3)}, SettingError, "3 budgets for 1 scales"),
        ({"only": "known/9"}, SettingError, "no such row; known: known/1@"),
    ],
)
def test_what_cannot_be_ranked_is_refused(given, change, error, message) -> None:
    with pytest.raises(error, match=message):
        rank_models(replace(given, **change))


def test_tokens_of_removed_documents_do_not_count(given, tmp_path) -> None:
    folder = tmp_path / "known"
    shutil.copytree(Path(given.corpora[0].partition("=")[2]).parent, folder)
    remove(folder / "manifest.json", "shard-00000.parquet", [(0, 1, 20), (2, 0, 5)])
    lost = replace(given, corpora=(f"lost={folder}", given.corpora[0]), output=str(tmp_path / "r"))
    first, second = given_corpora(lost).corpora
    assert first.num_tokens == second.num_tokens - 25


def test_torchrun_is_refused(given, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingError, match="torchrun started several ranks"):
        rank_models(given)


def test_corpora_of_two_tokenizers_are_refused(given, tmp_path) -> None:
    manifest = Path(given.corpora[0].partition("=")[2])
    facts = json.loads(manifest.read_text()) | {"tokenizer_sha256": "1" * 64}
    other = manifest.with_name("other.json")
    other.write_text(json.dumps(facts))
    with pytest.raises(ShardError, match="sources need one tokenizer"):
        rank_models(replace(given, corpora=(given.corpora[0], f"b={other}")))


def test_ctrl_c_is_for_the_main_process_which_tells_its_workers_to_leave() -> None:
    program = "import signal; print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"
    with workers._interrupts_ignored():
        found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout == "True\n"
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(KeyboardInterrupt), workers._passed_on([worker]):
        raise KeyboardInterrupt
    assert worker.wait(30) == -signal.SIGTERM


def test_a_seed_that_nothing_is_left_to_decide_by_is_not_trained(monkeypatch) -> None:
    done: set[tuple[str, int]] = set()
    runs = tuple(
        SimpleNamespace(
            corpus=SimpleNamespace(name=name), seed=seed, cell="c", full_name=f"{name}/{seed}",
            folder=f"{name}-{seed}",
        )
        for seed in range(1, 6)
        for name in ("near", "nearer", "far")
    )  # fmt: skip
    monkeypatch.setattr(workers, "is_finished", lambda run: (run.corpus.name, run.seed) in done)
    monkeypatch.setattr(workers, "open_corpora", lambda before, looks: {"near", "nearer"})
    monkeypatch.setattr(
        workers, "train_and_measure",
        lambda run, measurement, again: done.add((run.corpus.name, run.seed)),
    )  # fmt: skip
    monkeypatch.setattr(workers, "only_driver", lambda folder: nullcontext())
    work = workers.Work(runs=runs, measurement=None, early_stop=True, seeds=5)
    assert workers._is_needed(work, runs[-1]) is None
    taken = workers.run_all(work, 1)
    assert {run.full_name for run in taken if run.corpus.name == "far"} == {"far/1", "far/2"}
    assert len([run for run in taken if run.corpus.name == "near"]) == 5
    assert len(done) == 12
