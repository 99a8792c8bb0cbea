import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dclm_spark.train import openlm
from dclm_spark.train.model import load
from dclm_spark.train.network import OpenLM
from dclm_spark.train.optimizer import (
    OptimizerSettings,
    ScheduleSettings,
    StepJudge,
    build_optimizer,
    clip_gradients,
    learning_rate,
    step_unless,
)
from tests.shared_data import SHARED


@pytest.fixture(scope="module")
def golden() -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not SHARED.is_dir():
        pytest.skip(f"the shared test data is absent ({SHARED})")
    arrays = np.load(SHARED / "golden/openlm_tiny.npz")
    facts = json.loads((SHARED / "golden/openlm_tiny.json").read_text())
    return {name: torch.from_numpy(arrays[name]) for name in arrays.files}, facts


def reference(arrays: dict[str, Tensor], moment: str, prefix: str = "") -> dict[str, Tensor]:
    names = [name for name in arrays if name.startswith(moment + "/")]
    return {prefix + name.split("/", 1)[1]: arrays[name].clone() for name in names}


def golden_model(arrays: dict[str, Tensor]) -> OpenLM:
    weights = openlm.from_openlm(reference(arrays, "init"))
    model = OpenLM(openlm.infer_settings(weights, sequence_length=48))
    openlm.load_weights(model, weights)
    return model


def test_the_same_weights_give_the_references_logits(golden: Any) -> None:
    arrays, _ = golden
    logits = golden_model(arrays)(arrays["tokens"][0][:, :-1])
    torch.testing.assert_close(logits.detach(), arrays["logits"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("chunk_tokens", [None, 50])
def test_twelve_steps_give_the_references_losses_norms_rates_and_weights(
    golden: Any, chunk_tokens: int | None
) -> None:
    arrays, facts = golden
    model = golden_model(arrays)
    model.loss_chunk_tokens = chunk_tokens
    settings = OptimizerSettings(peak_rate=facts["lr"], weight_decay=facts["weight_decay"])
    schedule = ScheduleSettings(warmup_steps=facts["warmup_steps"], end_rate=facts["end_lr"])
    optimizer = build_optimizer(settings, model)
    judge = StepJudge(settings, torch.device("cpu"))
    for step, wanted in enumerate(facts["steps"]):
        rate = learning_rate(schedule, peak_rate=facts["lr"], step=step, num_steps=12)
        tokens = arrays["tokens"][step]
        cross_entropy, normalizer = model(tokens[:, :-1], tokens[:, 1:])
        loss = cross_entropy.mean() + facts["z_loss"] * (normalizer**2).mean()
        loss.backward()
        norm = clip_gradients(model, facts["grad_clip"])
        step_unless(optimizer, judge.refuse(loss, norm, step), rate)
        assert rate == pytest.approx(wanted["lr"], rel=1e-12)
        assert loss.item() == pytest.approx(wanted["loss"], abs=1e-5)
        assert cross_entropy.mean().item() == pytest.approx(wanted["cross_entropy"], abs=1e-5)
        assert norm.item() == pytest.approx(wanted["grad_norm"], abs=1e-5)
    final = openlm.to_openlm(model.state_dict(), 2)
    for name, value in reference(arrays, "final").items():
        torch.testing.assert_close(final[name], value, rtol=0, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
def test_a_released_checkpoint_loads_whatever_wrapped_it(
    golden: Any, prefix: str, tmp_path: Path
) -> None:
    arrays, _ = golden
    path = tmp_path / "epoch_6.pt"
    torch.save({"epoch": 6, "state_dict": reference(arrays, "init", prefix)}, path)
    model, settings = load(path)
    logits = model(arrays["tokens"][0][:, :-1])
    torch.testing.assert_close(logits, arrays["logits"], rtol=0, atol=1e-5)
    assert settings.model.num_heads == 4


def test_weights_survive_the_way_to_openlms_names_and_back(golden: Any, tmp_path: Path) -> None:
    arrays, _ = golden
    model = golden_model(arrays)
    openlm.write_model(model, tmp_path / "model.pt")
    written = torch.load(tmp_path / "model.pt", weights_only=True)["state_dict"]
    assert written.keys() == reference(arrays, "init").keys()
    loaded, _ = load(tmp_path / "model.pt")
    assert all(
        torch.equal(value, loaded.state_dict()[n]) for n, value in model.state_dict().items()
    )


def test_weights_of_another_shape_are_named(golden: Any) -> None:
    arrays, _ = golden
    model = golden_model(arrays)
    narrow = OpenLM(dataclasses.replace(model.settings, num_layers=1))
    with pytest.raises(ValueError, match=r"do not fit the model: layers\.1"):
        openlm.load_weights(narrow, model.state_dict())


def test_something_else_than_a_model_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="not an OpenLM state dict"):
        load(tmp_path / "other.pt")
    with pytest.raises(ValueError, match="neither a training output"):
        load(tmp_path)


def bf16_arrays(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.bfloat16() for name, value in reference(arrays, "init").items()}


def test_a_bf16_file_has_the_rotary_base_that_it_was_trained_with(
    golden: Any, tmp_path: Path
) -> None:
    torch.save({"state_dict": bf16_arrays(golden[0])}, tmp_path / "bf16.pt")
    assert load(tmp_path / "bf16.pt")[1].model.rotary_base == 10_000.0


@pytest.mark.parametrize("head_width", [32, 80, 128])
@pytest.mark.parametrize("base", [10_000.0, 20_000.0, 100_000.0, 500_000.0, 1_000_000.0, 5e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rotary_bases_are_read_from_frequencies_of_either_precision(
    head_width: int, base: float, dtype: torch.dtype
) -> None:
    exponent = torch.arange(0, head_width, 2).float() / head_width
    frequencies = (1.0 / base**exponent).to(dtype)
    assert openlm.rotary_base(frequencies) == base
    # A file that was kept in fp32 after a run in bf16.
    assert openlm.rotary_base(frequencies.bfloat16().float()) == base


def test_rescaled_frequencies_are_refused() -> None:
    exponent = torch.arange(0, 64, 2).float() / 64
    with pytest.raises(ValueError, match="no rotary base"):
        openlm.rotary_base(0.25 / 10_000.0**exponent)


def hub_folder(folder: Path, arrays: dict[str, Tensor], **options: Any) -> Path:
    """Write released weights as DCLM-7B's folder has them: cut into files, under `model.`."""
    from safetensors.torch import save_file

    folder.mkdir()
    weights = sorted(reference(arrays, "init", "model.").items())
    files = {"model-00001-of-00002.safetensors": dict(weights[:7])}
    files["model-00002-of-00002.safetensors"] = dict(weights[7:])
    for name, part in files.items():
        save_file(part, folder / name)
    index = {"weight_map": {key: name for name, part in files.items() for key in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    given = {"dim": 64, "n_heads": 4, "seq_len": 48, "qk_norm": True, "weight_tying": False}
    config = {"model_type": "openlm", "params": None, "params_args_dict": given | options}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_folder_in_the_form_of_the_hub_is_read(golden: Any, tmp_path: Path) -> None:
    arrays, _ = golden
    model, settings = load(hub_folder(tmp_path / "dclm", arrays))
    logits = model(arrays["tokens"][0][:, :-1])
    torch.testing.assert_close(logits, arrays["logits"], rtol=0, atol=1e-5)
    assert (settings.model.sequence_length, settings.model.rotary_base) == (48, 10_000.0)


def test_a_hub_folder_without_buffers_has_the_frequencies_of_its_settings(
    golden: Any, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = hub_folder(tmp_path / "dclm", golden[0], norm_eps=1e-6)
    expected = load(folder)[0].rotary.inverse_frequencies
    for path in folder.glob("*.safetensors"):
        kept = {name: w for name, w in load_file(path).items() if "inv_freq" not in name}
        save_file(kept, path)
    model, settings = load(folder)
    torch.testing.assert_close(model.rotary.inverse_frequencies, expected)
    assert settings.model.norm_epsilon == 1e-6


def test_a_hub_folder_of_another_architecture_is_refused(golden: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="qk_norm = False"):
        load(hub_folder(tmp_path / "other", golden[0], qk_norm=False))
    with pytest.raises(ValueError, match="n_heads = 8"):
        load(hub_folder(tmp_path / "heads", golden[0], n_heads=8))


def test_a_missing_part_of_a_hub_folder_is_named(golden: Any, tmp_path: Path) -> None:
    folder = hub_folder(tmp_path / "dclm", golden[0])
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match="model-00002-of-00002"):
        load(folder)
