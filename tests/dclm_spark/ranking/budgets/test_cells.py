"""Proxies repeat as often as their target; the schedule is a share of the run."""

from dataclasses import replace

import pytest

from dclm_spark.errors import SettingError
from dclm_spark.ranking.budgets.cells import Cell, cells_of, reading, whole_sizes
from dclm_spark.ranking.options import ModelSettings
from dclm_spark.ranking.prepared import Corpus
from dclm_spark.train.scales import scale

CORPUS = Corpus(
    name="a", recipe_hash="", manifest="a/manifest.json", num_tokens=1_000_000, tokenizer="",
    tokenizer_file="",
)  # fmt: skip
STEP = scale("test").tokens_per_step


def cell(tokens: int, target: int | None) -> Cell:
    return Cell(settings=replace(scale("test"), tokens=tokens), target_tokens=target)


def test_a_proxy_reads_as_often_as_the_target_would() -> None:
    how = reading(cell(100 * STEP, 8_000_000), CORPUS, 1_000_000, 4.0)
    assert how.target_passes == how.proxy_passes == 8.0
    assert how.unique_tokens == 100 * STEP // 8


def test_a_target_that_does_not_repeat_leaves_the_corpus_whole() -> None:
    how = reading(cell(100 * STEP, 900_000), CORPUS, 1_000_000, 4.0)
    assert how.unique_tokens is None
    assert how.target_passes == 0.9
    assert how.proxy_passes == 1.0


def test_a_sample_of_a_larger_corpus_is_read_as_the_whole_would_be() -> None:
    whole = whole_sizes(ModelSettings(output="o", corpus_tokens=("a=8e6",)), (CORPUS,))
    how = reading(cell(100 * STEP, 16_000_000), CORPUS, whole["a"], 4.0)
    assert how.target_passes == 2.0
    assert how.unique_tokens == 100 * STEP // 2


@pytest.mark.parametrize(
    ("tokens", "target", "size", "message"),
    [
        (5_000_064, None, 1_000_000, r"a: 5,000,064 tokens .*read its 1,000,000 5 times.*--max-p"),
        (5_000_064, 10_000_000, 8_000_000, "needs 4,000,051 unique ones .*hold 1,000,000"),
        (5_000_064, 1_000_000, 1_000_000, "--target-tokens 1000000: less than"),
    ],
)
def test_what_says_nothing_of_the_target_is_refused(
    tokens: int, target: int | None, size: int, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        reading(cell(tokens, target), CORPUS, size, 4.0)


def test_more_passes_are_taken_when_asked_for_and_by_the_control_of_repetition() -> None:
    assert reading(cell(5_000_064, None), CORPUS, 1_000_000, 6.0).proxy_passes > 5
    part = replace(CORPUS, num_tokens=125_000, part=8, control="duplicated data")
    assert reading(cell(5_000_064, None), part, 1_000_000, 4.0).proxy_passes > 5


def test_a_short_run_keeps_the_share_of_its_warm_up() -> None:
    (full,) = cells_of(ModelSettings(output="o", scales=("80m",)), 2048)
    (short,) = cells_of(ModelSettings(output="o", scales=("80m",), tokens=(13_107_200,)), 2048)
    share = full.settings.schedule.warmup_steps / full.settings.num_steps
    assert short.settings.num_steps == 100
    assert short.settings.schedule.warmup_steps == round(100 * share) == 10
    asked = ModelSettings(
        output="o", scales=("80m",), tokens=(13_107_200,), training=("schedule.warmup_steps=3",)
    )
    assert cells_of(asked, 2048)[0].settings.schedule.warmup_steps == 3


def test_cells_are_scales_times_targets_with_a_budget_each() -> None:
    settings = ModelSettings(
        output="o", scales=("20m", "80m"), tokens=(10**7, 10**8), target_tokens=(10**9, 10**10)
    )
    cells = cells_of(settings, 2048)
    assert [one.label for one in cells] == [
        "20m-for-1000000000", "20m-for-10000000000", "80m-for-1000000000", "80m-for-10000000000",
    ]  # fmt: skip
    assert [one.settings.tokens for one in cells] == [10**7, 10**7, 10**8, 10**8]


def test_the_target_of_a_scale_alone_is_its_own_budget() -> None:
    settings = ModelSettings(output="o", target_scale="gpt2-1.5b")
    assert settings.targets == (scale("gpt2-1.5b").tokens,)


def test_the_scale_of_gpt2_has_its_shape() -> None:
    model = scale("gpt2-1.5b").model
    assert (model.num_layers, model.width, model.num_heads) == (48, 1600, 25)
    assert 1.5e9 < model.num_parameters() < 1.7e9


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("b=1e9",), "known corpora are a"),
        (("a=many",), "expected a number"),
        (("a=inf",), "expected a number"),
        (("a=999999",), "a=999999: its shards alone hold 1,000,000 tokens"),
        (("a=0",), "its shards alone hold"),
        (("a",), "NAME=VAL"),
    ],
)
def test_a_size_of_an_unknown_corpus_is_refused(given: tuple[str, ...], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        whole_sizes(ModelSettings(output="o", corpus_tokens=given), (CORPUS,))
