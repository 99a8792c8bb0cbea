import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from dclm_spark.errors import InputError
from dclm_spark.evaluate.models import load_model
from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.train.export import write_folder
from dclm_spark.train.network import ModelSettings
from tests.dclm_spark.evaluate.fakes import write_small_suite
from tests.dclm_spark.train.models import fresh_model

ONE = Candidate((5, 6, 7, 8, 9), 2, "x", 2)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A byte-level tokenizer without merges, made on the spot."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0} | {one: n for n, one in enumerate(alphabet, start=1)}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>"])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    settings = ModelSettings(width=32, num_layers=2, num_heads=2, vocabulary_size=257)
    return str(write_folder(fresh_model(settings, seed=1), tmp_path_factory.mktemp("model")))


def test_an_exported_model_is_scored_with_its_own_logits(folder: str, tokenizer: str) -> None:
    settings = ModelSettings(width=32, num_layers=2, num_heads=2, vocabulary_size=257)
    with torch.inference_mode():
        logits = fresh_model(settings, seed=1)(torch.tensor([ONE.tokens]))[0]
    expected = torch.nn.functional.cross_entropy(
        logits[1:4], torch.tensor(ONE.tokens[2:]), reduction="none"
    )
    loaded = load_model(folder, tokenizer, device="cpu")
    assert loaded.scorer.score([ONE])[0].nats == pytest.approx(expected.numpy(), abs=1e-5)


def test_our_model_needs_a_tokenizer(folder: str) -> None:
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        load_model(folder)
    with pytest.raises(InputError, match="no such file"):
        load_model(folder, "absent.json")


def test_a_hugging_face_folder_is_loaded_by_name(tmp_path: Path, tokenizer: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=257, n_embd=32, n_layer=1, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    loaded = load_model(f"hf:{tmp_path}", tokenizer, device="cpu")
    assert loaded.scorer.score([ONE])[0].nats.shape == (3,)
    assert len(loaded.fingerprint) == 16


def test_the_job_evaluates_and_names_what_is_missing(
    folder: str, tokenizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small_suite(tmp_path / "data")
    job = Path(__file__).resolve().parents[3] / "jobs/evaluate_model.py"
    arguments = ["--model", folder, "--tokenizer", tokenizer, "--data", str(tmp_path / "data")]
    arguments += ["--tasks", "copa,jeopardy,triviaqa_sm_sub,boolq", "--sample", "4"]
    monkeypatch.setattr(sys, "argv", [str(job), *arguments, "--output", str(tmp_path / "out")])
    runpy.run_path(str(job), run_name="__main__")
    summary = json.loads((tmp_path / "out/results.json").read_text())
    assert {label: task["n"] for label, task in summary["tasks"].items()} == {
        "jeopardy": 4,
        "triviaqa_sm_sub": 4,
        "copa": 4,
    }
    assert list(summary["missing"]) == ["boolq"]
    assert "local_data" in (tmp_path / "out/results.html").read_text()
