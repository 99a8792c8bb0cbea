import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dclm_spark.train.export import average_models, write_folder
from dclm_spark.train.model import load
from dclm_spark.train.network import ModelSettings
from tests.dclm_spark.train.models import fresh_model
from tests.shared_data import SHARED, needs_shared

ROOT = Path(__file__).parents[3]
SETTINGS = ModelSettings(
    width=32, num_layers=2, num_heads=2, vocabulary_size=256, sequence_length=32
)
TOKENS = torch.arange(40).reshape(2, 20) * 5 % 256


@pytest.fixture
def transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, offline and with a fresh folder for the code that exports bring along."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    library = pytest.importorskip("transformers")
    monkeypatch.setattr(library.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "code"))
    return library


def test_an_export_loads_in_transformers_with_equal_logits(
    tmp_path: Path, transformers: Any
) -> None:
    model = fresh_model(SETTINGS, seed=1)
    folder = write_folder(model, tmp_path / "export")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    with torch.no_grad():
        torch.testing.assert_close(loaded(TOKENS).logits, model(TOKENS), rtol=0, atol=0)


def test_padding_on_the_right_does_not_change_an_exports_logits(
    tmp_path: Path, transformers: Any
) -> None:
    folder = write_folder(fresh_model(SETTINGS, seed=1), tmp_path / "export")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    present = torch.ones_like(TOKENS)
    present[0, 12:] = 0
    with torch.no_grad():
        padded = model(TOKENS, attention_mask=present).logits[0, :12]
        alone = model(TOKENS[:1, :12]).logits[0]
    torch.testing.assert_close(padded, alone, rtol=0, atol=1e-5)


def test_an_export_generates_greedily_what_its_logits_say(
    tmp_path: Path, transformers: Any
) -> None:
    model = fresh_model(SETTINGS, seed=1)
    folder = write_folder(model, tmp_path / "export", end_of_text_id=255)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    text = TOKENS[:1, :4]
    for _ in range(3):
        text = torch.cat((text, model(text)[:, -1:].argmax(-1)), dim=1)
    found = loaded.generate(TOKENS[:1, :4], max_new_tokens=3, do_sample=False)
    assert found.tolist() == text.tolist()


@needs_shared
def test_an_export_holds_its_tokenizer(tmp_path: Path, transformers: Any) -> None:
    source = SHARED / "tokenizers/gpt-neox-20b.tokenizer.json"
    folder = write_folder(fresh_model(SETTINGS, seed=1), tmp_path / "export", tokenizer=source)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer("two words").input_ids) == "two words"
    assert tokenizer.eos_token_id == 0


def test_an_export_is_read_back_without_transformers(tmp_path: Path) -> None:
    model = fresh_model(SETTINGS, seed=1)
    loaded, settings = load(write_folder(model, tmp_path / "export"))
    assert settings.model == SETTINGS
    assert torch.equal(loaded(TOKENS), model(TOKENS))


def test_the_mean_of_two_models_is_the_mean_of_their_weights(tmp_path: Path) -> None:
    first, second = (fresh_model(SETTINGS, seed=seed) for seed in (1, 2))
    paths = [write_folder(model, tmp_path / name) for model, name in ((first, "1"), (second, "2"))]
    mean = average_models(paths, (0.2, 0.8))
    expected = 0.2 * first.output.weight + 0.8 * second.output.weight
    torch.testing.assert_close(mean.output.weight, expected.detach())


def test_shares_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with sum 1"):
        average_models([tmp_path, tmp_path], (0.2, 0.2))


def export(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "export_model.py"), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_job_averages_cool_downs_and_writes_either_format(tmp_path: Path) -> None:
    first, second = (fresh_model(SETTINGS, seed=seed) for seed in (1, 2))
    paths = [write_folder(model, tmp_path / name) for model, name in ((first, "1"), (second, "2"))]
    expected = (0.2 * first.output.weight + 0.8 * second.output.weight).detach()
    for output in (tmp_path / "folder", tmp_path / "model.pt"):
        done = export("--model", *paths, "--shares", 0.2, 0.8, "--output", output)
        assert done.returncode == 0, done.stderr
        torch.testing.assert_close(load(output)[0].output.weight, expected)


def test_the_job_names_a_model_that_is_none(tmp_path: Path) -> None:
    done = export("--model", tmp_path, "--output", tmp_path / "out")
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
