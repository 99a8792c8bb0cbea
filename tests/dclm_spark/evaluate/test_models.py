import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dclm_spark.errors import InputError, SettingError
from dclm_spark.evaluate.models import load_model
from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.evaluate.results import EvaluateSettings
from dclm_spark.evaluate.runner import evaluate
from dclm_spark.evaluate.scorers import HuggingFaceScorer, OpenLMScorer
from dclm_spark.evaluate.tasks import select_tasks
from dclm_spark.train.export import ExportSettings, write_folder
from dclm_spark.train.network import ModelSettings
from tests.dclm_spark.evaluate.fakes import write_small_suite
from tests.dclm_spark.evaluate.tokenizers_of_kinds import BEGIN, END, llama3
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


def test_a_model_that_is_not_there_is_told_before_its_tokenizer() -> None:
    with pytest.raises(InputError, match="model = nope: there is no such file or folder"):
        load_model("nope")


def test_a_tokenizer_with_more_ids_than_the_model_knows_is_refused(
    tokenizer: str, tmp_path: Path
) -> None:
    settings = ModelSettings(width=32, num_layers=1, num_heads=2, vocabulary_size=256)
    small = write_folder(fresh_model(settings, seed=1), tmp_path)
    with pytest.raises(InputError, match=r"ids up to 256, and the model .* knows 256"):
        load_model(str(small), tokenizer)


def test_a_hugging_face_folder_is_loaded_by_name(tmp_path: Path, tokenizer: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=257, n_embd=32, n_layer=1, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    loaded = load_model(f"hf:{tmp_path}", tokenizer, device="cpu")
    assert loaded.scorer.score([ONE])[0].nats.shape == (3,)
    assert len(loaded.fingerprint) == 16


def forget_code_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give transformers a fresh folder for the code that models bring along."""
    library = pytest.importorskip("transformers")
    monkeypatch.setattr(library.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "code"))
    monkeypatch.setattr(sys, "path", [one for one in sys.path if Path(one).name != "code"])
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        monkeypatch.delitem(sys.modules, name)


def gpt2(folder: Path, transformers: Any, **options: Any) -> Any:
    config = transformers.GPT2Config(vocab_size=257, n_embd=32, n_layer=1, n_head=2, **options)
    model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(folder)
    return model


def test_of_several_ends_of_text_the_first_ends_a_generation(
    tmp_path: Path, tokenizer: str
) -> None:
    transformers = pytest.importorskip("transformers")
    gpt2(tmp_path, transformers, eos_token_id=[7, 9])
    assert load_model(f"hf:{tmp_path}", tokenizer, device="cpu").end_of_text_id == 7


def test_a_model_with_few_positions_asks_for_shorter_prompts(
    tmp_path: Path, tokenizer: str
) -> None:
    transformers = pytest.importorskip("transformers")
    gpt2(tmp_path / "model", transformers, n_positions=64)
    write_small_suite(tmp_path / "data")
    loaded = load_model(f"hf:{tmp_path / 'model'}", tokenizer, device="cpu")
    tasks = select_tasks("copa")
    with pytest.raises(SettingError, match="pass --max-tokens 64"):
        evaluate(loaded, tasks, tmp_path / "out", EvaluateSettings(data=str(tmp_path / "data")))
    short = EvaluateSettings(data=str(tmp_path / "data"), max_tokens=64)
    assert evaluate(loaded, tasks, tmp_path / "out", short)["tasks"]["copa"]["n"] == 8


def test_a_model_with_a_beginning_of_text_is_asked_with_it_unless_told_otherwise(
    tmp_path: Path,
) -> None:
    transformers = pytest.importorskip("transformers")
    gpt2(tmp_path, transformers)
    own = llama3()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=own, bos_token=BEGIN, eos_token=END
    )
    fast.save_pretrained(tmp_path)
    begin, end = own.token_to_id(BEGIN), own.token_to_id(END)
    loaded = load_model(f"hf:{tmp_path}", device="cpu")
    assert loaded.encoder.preamble("") == [begin]
    assert loaded.end_of_text_id == end
    plain = load_model(f"hf:{tmp_path}", device="cpu", special_tokens=False)
    assert plain.encoder.preamble("") == []


def test_an_export_is_scored_by_name_or_through_hf_with_its_own_tokenizer(
    tmp_path: Path, tokenizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_code_of_models(tmp_path, monkeypatch)
    settings = ModelSettings(width=32, num_layers=2, num_heads=2, vocabulary_size=257)
    export = ExportSettings(tokenizer=Path(tokenizer))
    folder = write_folder(fresh_model(settings, seed=1), tmp_path / "export", export)
    ours = load_model(str(folder), device="cpu")
    through = load_model(f"hf:{folder}", device="cpu")
    theirs = load_model(f"hf:{folder}", device="cpu", trust_remote_code=True)
    assert isinstance(through.scorer, OpenLMScorer)
    assert isinstance(theirs.scorer, HuggingFaceScorer)
    expected = ours.scorer.score([ONE])[0].nats
    for other in (through, theirs):
        assert other.scorer.score([ONE])[0].nats == pytest.approx(expected, abs=1e-5)
        assert other.encoder.plain("abc") == ours.encoder.plain("abc")


def test_code_of_a_model_runs_only_when_it_is_trusted(
    tmp_path: Path, tokenizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_code_of_models(tmp_path, monkeypatch)
    settings = ModelSettings(width=32, num_layers=2, num_heads=2, vocabulary_size=257)
    folder = write_folder(fresh_model(settings, seed=1), tmp_path / "custom")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "someone_else"}))
    source = folder / "modeling_openlm.py"
    source.write_text(source.read_text().replace("dclm_spark_openlm", "someone_else"))
    with pytest.raises(InputError, match="--trust-remote-code"):
        load_model(f"hf:{folder}", tokenizer, device="cpu")
    loaded = load_model(f"hf:{folder}", tokenizer, device="cpu", trust_remote_code=True)
    assert loaded.scorer.score([ONE])[0].nats.shape == (3,)


def test_a_name_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="model = hf:") as caught:
        load_model(f"hf:{tmp_path / 'absent'}", device="cpu")
    assert "\n" not in str(caught.value)


def run_job(*arguments: str) -> "subprocess.CompletedProcess[str]":
    job = Path(__file__).resolve().parents[3] / "jobs/evaluate_model.py"
    environment = os.environ | {"PYTHONPATH": str(job.parents[1])}
    return subprocess.run(
        [sys.executable, str(job), *arguments], env=environment, capture_output=True, text=True
    )


def test_an_evaluation_that_scores_nothing_fails(
    folder: str, tokenizer: str, tmp_path: Path
) -> None:
    common = ["--model", folder, "--tokenizer", tokenizer, "--output", str(tmp_path / "out")]
    ended = run_job(*common, "--data", str(tmp_path), "--tasks", "copa")
    assert ended.returncode == 2
    assert "nothing was scored: copa: no local_data" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out/results.json").exists()


def test_held_out_texts_alone_are_scored_and_printed(
    folder: str, tokenizer: str, tmp_path: Path
) -> None:
    texts = tmp_path / "news.jsonl"
    texts.write_text('{"text": "hello"}\n{"text": "world"}\n')
    common = ["--model", folder, "--tokenizer", tokenizer, "--output", str(tmp_path / "out")]
    ended = run_job(*common, "--heldout", str(texts))
    assert ended.returncode == 0, ended.stderr
    assert "bits_per_byte of news" in ended.stdout
    assert "(2 texts)" in ended.stdout


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
