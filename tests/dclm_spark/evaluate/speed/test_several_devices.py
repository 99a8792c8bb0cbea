from pathlib import Path

import pytest

from dclm_spark.errors import InputError
from dclm_spark.evaluate.results import EvaluateSettings
from dclm_spark.evaluate.runner import read_run
from dclm_spark.evaluate.speed.several_devices import NamedModel, evaluate_on_devices
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.train.export import write_folder
from dclm_spark.train.network import ModelSettings
from tests.dclm_spark.evaluate.fakes import write_small_suite
from tests.dclm_spark.evaluate.tokenizers_of_kinds import neox
from tests.dclm_spark.train.models import fresh_model

# Processes of their own import torch, some seconds each.
pytestmark = pytest.mark.slow
LABELS = "copa,jeopardy,triviaqa_sm_sub,boolq"


@pytest.fixture
def model(tmp_path: Path) -> NamedModel:
    neox().save(str(tmp_path / "tokenizer.json"))
    size = neox().get_vocab_size()
    settings = ModelSettings(width=32, num_layers=1, num_heads=2, vocabulary_size=size)
    folder = write_folder(fresh_model(settings, seed=1), tmp_path / "model")
    return NamedModel(name=str(folder), tokenizer=str(tmp_path / "tokenizer.json"))


def test_two_processes_write_what_one_does(
    model: NamedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_small_suite(tmp_path / "data")
    texts = tmp_path / "news.jsonl"
    texts.write_text('{"text": "what is the capital?"}\n')
    settings = EvaluateSettings(data=str(tmp_path / "data"), heldout=(str(texts),))
    tasks = select_tasks(LABELS)
    one = evaluate_on_devices(model, tasks, tmp_path / "one", settings, 1)
    caplog.clear()
    caplog.set_level("INFO", "dclm_spark")
    two = evaluate_on_devices(model, tasks, tmp_path / "two", settings, 2)
    for name in ("bits_per_byte", "aggregates", "missing"):
        assert one[name] == two[name]
    assert read_run(tmp_path / "one") == read_run(tmp_path / "two")
    # What the processes had scored was there when this one came to it.
    assert sum(line.endswith("already scored") for line in caplog.messages) == 3


def test_a_model_that_no_process_can_read_is_told_as_by_one(tmp_path: Path) -> None:
    write_small_suite(tmp_path / "data")
    settings = EvaluateSettings(data=str(tmp_path / "data"))
    absent = NamedModel(name=str(tmp_path / "absent"), tokenizer=str(tmp_path / "none.json"))
    with pytest.raises(InputError, match="no such file"):
        evaluate_on_devices(absent, select_tasks(LABELS), tmp_path / "out", settings, 2)
