"""Tasks scored while a model is trained: the same numbers as of its checkpoint, and no trace."""

from pathlib import Path

import pytest
import torch

from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.models import load_model
from dclm_spark.evaluate.results import EvaluateSettings
from dclm_spark.evaluate.runner import evaluate
from dclm_spark.evaluate.speed.during_training import TaskScores, TaskSettings
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.settings import override
from dclm_spark.train.logs import read_log
from dclm_spark.train.model import load
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.evaluate.fakes import write_rows
from tests.dclm_spark.ranking.toy_corpora import documents, tokenizer_file, write_corpus

STEP = 128


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards, their tokenizer, and two tasks of a few rows."""
    folder = tmp_path_factory.mktemp("toy")
    write_corpus(folder / "shards", documents(1, 60), tokenizer_file(folder))
    words = [text.split()[:6] for text in documents(5, 12, 6)]
    choices = [
        {"query": " ".join(one[:3]), "choices": [one[3], one[4]], "gold": n % 2}
        for n, one in enumerate(words)
    ]
    write_rows(folder, "copa", choices)
    write_rows(
        folder, "lambada_openai",
        [{"context": " ".join(one[:5]), "continuation": one[5]} for one in words],
    )  # fmt: skip
    return folder


def observer(toy: Path, **changes) -> TaskScores:
    given = {
        "tasks": select_tasks("copa,lambada_openai"),
        "data": str(toy),
        "tokenizer": str(toy / "tokenizer.json"),
        "every_steps": 4,
    }
    return TaskScores(TaskSettings(**(given | changes)))


def trained(toy: Path, output: Path, observers=(), **more) -> Path:
    settings = override(scale("test"), [f"tokens={10 * STEP}", "checkpoint.interval_steps=4"])
    train(settings, shards=toy / "shards/manifest.json", output=output, observers=observers, **more)
    return output


@pytest.fixture(scope="module")
def observed(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(toy, tmp_path_factory.mktemp("run") / "m", [observer(toy)])


def lines(output: Path) -> dict[int, dict]:
    found = read_log(output / "log.jsonl")
    return {line["step"]: line for line in found if line["kind"] == "tasks"}


def test_tasks_are_scored_every_so_many_steps_and_at_the_end(observed: Path) -> None:
    found = lines(observed)
    assert list(found) == [4, 8, 10]
    names = {"accuracy/copa", "gold_bits_per_byte/copa", "accuracy/lambada_openai"}
    assert names <= set(found[4])
    assert found[4]["gold_bits_per_byte/copa"] != found[10]["gold_bits_per_byte/copa"]


def test_the_numbers_are_those_of_the_checkpoint(toy: Path, observed: Path, tmp_path: Path) -> None:
    model = load_model(str(observed), str(toy / "tokenizer.json"))
    settings = EvaluateSettings(data=str(toy), max_tokens=32)
    summary = evaluate(model, select_tasks("copa,lambada_openai"), tmp_path, settings)
    last = lines(observed)[10]
    for label in ("copa", "lambada_openai"):
        for name in ("accuracy", "gold_bits_per_byte"):
            value = summary["tasks"][label][name]["value"]
            assert last[f"{name}/{label}"] == pytest.approx(value, abs=1e-6)


def test_training_is_bitwise_the_same(toy: Path, observed: Path, tmp_path: Path) -> None:
    plain = trained(toy, tmp_path / "plain")
    (one, _), (other, _) = load(plain), load(observed)
    assert all(torch.equal(w, other.state_dict()[name]) for name, w in one.state_dict().items())


def test_what_cannot_be_scored_is_refused_before_the_first_step(toy: Path) -> None:
    with pytest.raises(InputError, match="--tasks piqa"):
        observer(toy, tasks=select_tasks("piqa"))
    with pytest.raises(InputError, match="no such file; give a tokenizer"):
        observer(toy, tokenizer=str(toy / "none.json"))
    with pytest.raises(SettingError, match="--evaluate-every 0"):
        observer(toy, every_steps=0)
