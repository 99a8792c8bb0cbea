import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dclm_spark.evaluate.models import load_model
from dclm_spark.train.export import ExportSettings, average_models, write_folder
from dclm_spark.train.model import load
from dclm_spark.train.network import ModelSettings
from tests.dclm_spark.evaluate.tokenizers_of_kinds import BEGIN, END, llama3
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
    folder = write_folder(model, tmp_path / "export", ExportSettings(end_of_text_id=255))
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    text = TOKENS[:1, :4]
    for _ in range(3):
        text = torch.cat((text, model(text)[:, -1:].argmax(-1)), dim=1)
    found = loaded.generate(TOKENS[:1, :4], max_new_tokens=3, do_sample=False)
    assert found.tolist() == text.tolist()


@needs_shared
def test_an_export_holds_its_tokenizer(tmp_path: Path, transformers: Any) -> None:
    source = SHARED / "tokenizers/gpt-neox-20b.tokenizer.json"
    settings = ExportSettings(tokenizer=source)
    folder = write_folder(fresh_model(SETTINGS, seed=1), tmp_path / "export", settings)
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
    mean, _ = average_models(paths, (0.2, 0.8))
    expected = 0.2 * first.output.weight + 0.8 * second.output.weight
    torch.testing.assert_close(mean.output.weight, expected.detach())


def test_shares_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with sum 1"):
        average_models([tmp_path, tmp_path], (0.2, 0.2))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer without merges, as exports take it along."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())[:254]
    made = Tokenizer(models.BPE({one: n for n, one in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>", "<|padding|>"])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.fixture
def exported(tmp_path: Path, tokenizer: Path, transformers: Any) -> tuple[Any, Any]:
    """An export with its tokenizer, as transformers loads them."""
    settings = ExportSettings(tokenizer=tokenizer, end_of_text_id=254)
    model = fresh_model(SETTINGS, seed=1)
    torch.nn.init.normal_(model.output.weight, std=0.5)
    folder = write_folder(model, tmp_path / "export", settings)
    load = transformers.AutoModelForCausalLM.from_pretrained
    return load(folder, trust_remote_code=True), transformers.AutoTokenizer.from_pretrained(folder)


def without_cache(model: Any, text: torch.Tensor, num_new: int) -> list[int]:
    """Continue `text` [1, S] by feeding everything again for each token."""
    with torch.no_grad():
        for _ in range(num_new):
            logits = model(text, use_cache=False).logits
            text = torch.cat((text, logits[:, -1:].argmax(-1)), dim=1)
    return text[0].tolist()


def test_generating_with_a_cache_gives_the_tokens_of_feeding_everything_again(
    exported: tuple[Any, Any],
) -> None:
    model, tokenizer = exported
    given = tokenizer("abc", return_tensors="pt")
    found = model.generate(**given, max_new_tokens=8, do_sample=False, eos_token_id=None)
    assert found[0].tolist() == without_cache(model, given["input_ids"], 8)


def test_texts_of_unequal_length_generate_together_what_they_do_alone(
    exported: tuple[Any, Any],
) -> None:
    model, tokenizer = exported
    texts = ["abc", "a longer one"]
    together = tokenizer(texts, return_tensors="pt", padding=True)
    assert together["attention_mask"][0, 0] == 0
    found = model.generate(**together, max_new_tokens=5, do_sample=False, eos_token_id=None)
    for row, text in zip(found, texts, strict=True):
        alone = tokenizer(text, return_tensors="pt")["input_ids"]
        assert row[-5:].tolist() == without_cache(model, alone, 5)[-5:]


def test_a_static_cache_gives_the_tokens_of_the_usual_one(exported: tuple[Any, Any]) -> None:
    model, tokenizer = exported
    together = tokenizer(["abc", "a longer one"], return_tensors="pt", padding=True)
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    usual = model.generate(**together, **options)
    found = model.generate(**together, **options, cache_implementation="static")
    assert found.tolist() == usual.tolist()


def test_a_step_with_a_static_cache_sees_no_empty_place(
    exported: tuple[Any, Any], transformers: Any
) -> None:
    model, _ = exported
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    tokens = torch.tensor([[7, 7, 1, 2, 3, 4], [1, 2, 3, 4, 5, 6]])
    expected = model(tokens, attention_mask=mask, use_cache=False).logits[:, -1]
    cache = transformers.StaticCache(config=model.config, max_cache_len=16)
    with torch.no_grad():
        model(tokens[:, :5], attention_mask=mask[:, :5], past_key_values=cache)
        found = model(tokens[:, 5:], attention_mask=mask, past_key_values=cache).logits[:, -1]
    torch.testing.assert_close(found, expected)


def test_the_pipeline_generates_text(exported: tuple[Any, Any], transformers: Any) -> None:
    model, tokenizer = exported
    pipeline = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
    (found,) = pipeline("abc", max_new_tokens=3, do_sample=False)
    assert found["generated_text"].startswith("abc")


def test_gradient_checkpointing_changes_no_gradient(exported: tuple[Any, Any]) -> None:
    model, _ = exported
    model.train()
    gradients = []
    for enable in (False, True):
        if enable:
            model.gradient_checkpointing_enable()
        model.zero_grad()
        model(TOKENS, labels=TOKENS).loss.backward()
        assert (model.network.layers[0].recompute == "full") == enable
        gradients.append(model.network.output.weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_a_large_export_is_cut_into_files_and_may_be_bf16(
    tmp_path: Path, transformers: Any
) -> None:
    model = fresh_model(SETTINGS, seed=1)
    settings = ExportSettings(dtype="bf16", max_file_bytes=20_000)
    folder = write_folder(model, tmp_path / "export", settings)
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(files) > 2
    modes = {path.stat().st_mode for path in folder.iterdir() if path.is_file()}
    assert len(modes) == 1
    assert files[0].startswith("model-00001-of-")
    hugging = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    assert hugging.dtype == torch.bfloat16
    assert torch.equal(hugging.network.output.weight, model.output.weight.bfloat16())
    ours, _ = load(folder)
    assert torch.equal(ours.output.weight, model.output.weight.bfloat16().float())
    assert torch.equal(ours.rotary.inverse_frequencies, model.rotary.inverse_frequencies)


def test_an_export_says_what_it_is_and_when_generation_ends(
    tmp_path: Path, tokenizer: Path
) -> None:
    settings = ExportSettings(tokenizer=tokenizer, end_of_text_id=254)
    folder = write_folder(fresh_model(SETTINGS, seed=1), tmp_path / "export", settings)
    generation = json.loads((folder / "generation_config.json").read_text())
    assert (generation["eos_token_id"], generation["pad_token_id"]) == (254, 255)
    card = (folder / "README.md").read_text()
    assert f"{SETTINGS.num_parameters():,} weights" in card
    assert "pipeline_tag: text-generation" in card


def test_beginning_and_end_of_text_are_those_that_the_tokenizer_names(tmp_path: Path) -> None:
    names = {BEGIN: "<|begin_of_text|>", END: "<|end_of_text|>"}
    text = llama3().to_str().replace(BEGIN, names[BEGIN]).replace(END, names[END])
    (tmp_path / "tokenizer.json").write_text(text)
    settings = ExportSettings(tokenizer=tmp_path / "tokenizer.json")
    network = replace(SETTINGS, vocabulary_size=llama3().get_vocab_size())
    folder = write_folder(fresh_model(network, seed=1), tmp_path / "export", settings)
    generation = json.loads((folder / "generation_config.json").read_text())
    ids = [llama3().token_to_id(name) for name in (BEGIN, END, END)]
    assert list(generation.values()) == ids
    loaded = load_model(str(folder), device="cpu")
    assert (loaded.encoder.preamble(""), loaded.end_of_text_id) == ([ids[0]], ids[1])


def test_frequencies_stay_exact_when_transformers_saves_in_low_precision(
    tmp_path: Path, transformers: Any
) -> None:
    model = fresh_model(SETTINGS, seed=1)
    folder = write_folder(model, tmp_path / "export", ExportSettings(dtype="bf16"))
    hugging = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    exact = model.rotary.inverse_frequencies
    assert torch.equal(hugging.network.rotary.inverse_frequencies, exact)
    hugging.bfloat16().save_pretrained(tmp_path / "saved")
    assert torch.equal(load(tmp_path / "saved")[0].rotary.inverse_frequencies, exact)


@pytest.mark.long  # Loads trl: eight seconds for its imports alone.
def test_supervised_fine_tuning_with_trl_takes_a_few_steps(
    tmp_path: Path, exported: tuple[Any, Any]
) -> None:
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    model, tokenizer = exported
    texts = datasets.Dataset.from_dict({"text": ["abc abc abc"] * 8})
    arguments = trl.SFTConfig(
        output_dir=str(tmp_path / "sft"), max_steps=3, per_device_train_batch_size=2,
        learning_rate=1e-2, report_to=[], max_length=32, logging_steps=1, use_cpu=True, bf16=False,
    )  # fmt: skip
    trainer = trl.SFTTrainer(
        model=model, args=arguments, train_dataset=texts, processing_class=tokenizer
    )
    losses = [line["loss"] for line in _trained(trainer) if "loss" in line]
    assert losses[-1] < losses[0]


def _trained(trainer: Any) -> Any:
    trainer.train()
    return trainer.state.log_history


def export(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "export_model.py"), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
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
