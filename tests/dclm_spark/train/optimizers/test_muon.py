from pathlib import Path

import pytest
import torch

from dclm_spark.settings import override
from dclm_spark.train.checkpoints.folder import CheckpointError
from dclm_spark.train.export import write_folder
from dclm_spark.train.logs import read_log
from dclm_spark.train.model import load
from dclm_spark.train.network import ModelSettings
from dclm_spark.train.optimizer import OptimizerSettings, build_optimizer, step_unless
from dclm_spark.train.optimizers.muon import orthogonal
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.models import fresh_model
from tests.dclm_spark.train.ranks import end, start_ranks
from tests.dclm_spark.train.shards import counting_rows, write_shards

MUON = ["optimizer.matrices=muon", "schedule.shape=wsd", "schedule.end_rate=0.0"]
MODEL = ModelSettings(width=32, num_layers=2, num_heads=2, vocabulary_size=256, sequence_length=16)


def stop(steps: int) -> str:
    return f"stop_tokens={steps * 128}"


def losses(output: Path) -> list[float]:
    lines = read_log(output / "log.jsonl")
    return [line["loss"] for line in lines if line["kind"] == "train"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = counting_rows(100, 32)
    return write_shards(tmp_path_factory.mktemp("shards"), rows, sequences_per_shard=90)


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole")
    train(override(scale("test"), MUON), shards=shards, output=output)
    return output


@pytest.mark.parametrize("shape", [(2, 24, 48), (2, 48, 24), (1, 30, 30)])
def test_singular_values_become_about_one_and_vectors_stay(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert values.min() > 0.3
    assert values.max() < 1.3
    exact = torch.linalg.svd(matrices, full_matrices=False)
    polar = exact[0] @ exact[2]
    assert (
        torch.nn.functional.cosine_similarity(
            orthogonal(matrices).flatten(), polar.flatten(), dim=0
        )
        > 0.95
    )


def step_of(**options: float) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the weights before and after one step on made-up gradients."""
    model = fresh_model(MODEL, seed=1).train().requires_grad_(True)
    settings = OptimizerSettings(matrices="muon", peak_rate=0.1, weight_decay=0.0)
    optimizer = build_optimizer(settings, model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    generator = torch.Generator().manual_seed(2)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)
    if options.get("bad"):
        model.layers[0].attention.in_proj.weight.grad[0, 0] = float("nan")  # type: ignore[index,union-attr]
    step_unless(optimizer, torch.tensor(options.get("refused", 0.0)), 0.1)
    return before, {name: p.detach().clone() for name, p in model.named_parameters()}


def test_the_parts_of_a_fused_matrix_are_orthogonal_by_themselves() -> None:
    before, after = step_of()
    update = (
        before["layers.0.attention.in_proj.weight"] - after["layers.0.attention.in_proj.weight"]
    ) / 0.1
    for part in update.chunk(3):
        # 0.2 in the root mean square, which is AdamW's own.
        assert part.square().mean().sqrt() == pytest.approx(0.2, rel=0.2)
        values = torch.linalg.svdvals(part) / (0.2 * 32**0.5)
        assert 0.3 < values.min() < values.max() < 1.3


def test_embeddings_and_norms_are_updated_as_by_adamw() -> None:
    before, after = step_of()
    for name in ("tok_embeddings.weight", "output.weight", "layers.1.ffn_norm.weight"):
        assert (before[name] - after[name]).abs().mean() == pytest.approx(0.1, rel=0.01)


def test_a_refused_step_changes_nothing_although_its_gradient_is_not_finite() -> None:
    before, after = step_of(refused=1.0, bad=1.0)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_resumed_run_is_bitwise_the_undisturbed_one_and_is_exported(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    train(override(scale("test"), [*MUON, stop(11)]), shards=shards, output=output)
    train(override(scale("test"), MUON), shards=shards, output=output, resume=True)
    assert losses(output) == losses(whole)
    ours, _ = load(output)
    folder = write_folder(ours, tmp_path / "export")
    for one, other in zip(load(folder)[0].parameters(), load(whole)[0].parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.long  # Starts two processes.
def test_two_ranks_go_on_from_one_process_and_lose_what_it_would(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    train(override(scale("test"), [*MUON, stop(10)]), shards=shards, output=output)
    results = end(start_ranks(shards, output, 2, *MUON))
    assert [code for code, _ in results] == [0, 0], results
    assert losses(output) == pytest.approx(losses(whole), abs=1e-3)


def test_a_branch_with_another_optimizer_of_matrices_is_refused(
    shards: Path, whole: Path, tmp_path: Path
) -> None:
    settings = override(scale("test"), [f"initial_state={whole}"])
    with pytest.raises(CheckpointError, match=r"optimizer\.matrices was 'muon' and is 'adamw'"):
        train(settings, shards=shards, output=tmp_path)


def test_a_probe_has_the_network_of_its_scale_and_six_tenths_of_the_tokens() -> None:
    for name in ("20m", "80m", "125m", "400m"):
        base, probe = scale("400m-1x" if name == "400m" else name), scale(f"probe-{name}")
        assert probe.model == base.model
        assert probe.tokens == base.tokens * 3 // 5
        assert (probe.optimizer.matrices, probe.schedule.shape) == ("muon", "wsd")
