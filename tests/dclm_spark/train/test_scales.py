import dataclasses
from pathlib import Path

import pytest
import torch

from dclm_spark import settings as settings_tree
from dclm_spark.train.model import build
from dclm_spark.train.scales import SCALES, TrainSettings, scale

# Spec section 6.1: weights with the gains of the QK norm, tokens, steps.
PUBLISHED = {
    "400m-1x": (411_665_408, 8_232_325_120, 7_850),
    "1b-1x": (1_439_893_504, 28_795_904_000, 54_923),
    "3b-1x": (2_796_096_000, 55_918_643_200, 106_656),
    "7b-1x": (6_889_672_704, 137_788_211_200, 32_851),
    "7b-2x": (6_889_672_704, 275_576_422_400, 65_702),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_scale_has_the_published_weights_tokens_and_steps(name: str) -> None:
    settings = scale(name)
    weights, tokens, steps = PUBLISHED[name]
    assert sum(weight.numel() for weight in build(settings.model).parameters()) == weights
    assert settings.model.num_parameters() == weights
    assert (settings.tokens, settings.num_steps) == (tokens, steps)


def test_the_table_of_hyperparameters_is_the_published_one() -> None:
    found = {
        name: (
            s.schedule.warmup_steps, s.optimizer.peak_rate, s.optimizer.weight_decay,
            s.schedule.end_rate, s.batch_sequences, s.z_loss, s.precision, s.seed,
        )
        for name in PUBLISHED
        for s in [scale(name)]
    }  # fmt: skip
    seven = (5_000, 2e-3, 0.05, 3e-5, 2048, 5e-6, "bf16", 124)
    assert found == {
        "400m-1x": (2_000, 3e-3, 0.033, 3e-5, 512, 1e-4, "bf16-mixed", 124),
        "1b-1x": (5_000, 3e-3, 0.033, 3e-5, 256, 1e-4, "bf16-mixed", 124),
        "3b-1x": (5_000, 3e-3, 0.033, 3e-5, 256, 1e-4, "bf16", 124),
        "7b-1x": seven,
        "7b-2x": seven,
    }


@pytest.mark.parametrize(("name", "weights"), [("80m", 79e6), ("125m", 126e6)])
def test_a_scale_for_ranking_has_twenty_tokens_for_each_weight(name: str, weights: float) -> None:
    settings = scale(name)
    assert settings.model.num_parameters() == pytest.approx(weights, rel=0.01)
    assert settings.tokens / settings.model.num_parameters() == pytest.approx(20, rel=0.01)
    assert settings.tokens == settings.num_steps * settings.tokens_per_step


def test_the_long_run_stops_at_two_trillion_tokens_of_its_schedule() -> None:
    settings = scale("7b-long")
    assert settings.tokens == 4_409_222_758_400
    assert settings.last_step * settings.tokens_per_step <= 2_000_000_000_000
    assert settings.last_step < settings.num_steps / 2


def test_a_cooldown_begins_at_the_rate_where_the_long_run_stopped() -> None:
    settings = scale("7b-cooldown-270b")
    assert settings.optimizer.peak_rate == 0.001170118158
    assert (settings.schedule.warmup_steps, settings.seed) == (0, 64)


@pytest.mark.parametrize("name", SCALES)
def test_every_scale_survives_the_way_through_yaml(name: str, tmp_path: Path) -> None:
    settings_tree.save(scale(name), tmp_path / "settings.yaml")
    assert settings_tree.read(TrainSettings, tmp_path / "settings.yaml") == scale(name)


def test_every_value_can_be_overridden() -> None:
    settings = settings_tree.override(
        scale("test"),
        ["optimizer.peak_rate=3e-3", "data.weights=[1, 2]", "stop_tokens=1000", "compile=true"],
    )
    assert settings.optimizer.peak_rate == 3e-3
    assert settings.data.weights == (1.0, 2.0)
    assert (settings.stop_tokens, settings.compile) == (1000, True)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optimizer.peak_rat=1", r"did you mean optimizer\.peak_rate"),
        ("pases=2", r"did you mean data\.passes"),
        ("seed=many", r"seed = 'many': expected a whole number"),
        ("seed=true", r"seed = True: expected a whole number"),
        ("seed.x=1", r"seed is a value"),
        ("seed", r"expected key\.path=value"),
        ("precision=fp8", r"precision = 'fp8': expected one of"),
        ("tokens=5", r"less than one step"),
        ("model.num_heads=3", r"model\.width = .* must be a multiple"),
    ],
)
def test_a_wrong_override_says_what_is_right(assignment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings_tree.override(scale("test"), [assignment])


def test_an_unknown_scale_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 7b-1x"):
        scale("7b1x")


def test_operations_per_token_are_six_per_weight_in_products_and_those_of_attention() -> None:
    model = scale("7b-1x").model
    in_products = 6_682_841_088 + 2 * 32 * 4096  # spec 6.1, "non-embedding", and QK gains
    assert model.flops_per_token() == 6 * in_products + 12 * 32 * 4096 * 2048


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        scale("tiny").tokens = 1  # type: ignore[misc]


def test_the_first_weights_have_the_published_deviations() -> None:
    from tests.dclm_spark.train.models import fresh_model

    model = fresh_model(
        dataclasses.replace(scale("tiny").model, vocabulary_size=4096), seed=1
    ).state_dict()
    width, hidden = 64, 256
    for name, deviation in {
        "tok_embeddings.weight": width**-0.5,
        "layers.3.attention.out_proj.weight": width**-0.5 / 8**0.5,
        "layers.1.feed_forward.w3.weight": hidden**-0.5 / 4**0.5,
    }.items():
        # A normal cut at three deviations has 0.9866 of its deviation left.
        assert float(model[name].std()) == pytest.approx(0.9866 * deviation, rel=0.03)
        assert float(model[name].abs().max()) <= 3 * deviation
    assert torch.equal(model["layers.0.attention.q_norm.weight"], torch.ones(width))
