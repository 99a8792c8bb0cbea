"""Freshly drawn models for tests."""

from dclm_spark.train.model import build, initialize
from dclm_spark.train.network import ModelSettings, OpenLM


def fresh_model(settings: ModelSettings, *, seed: int) -> OpenLM:
    """Return a network in fp32 on the CPU."""
    model = build(settings).to_empty(device="cpu")
    initialize(model, seed=seed)
    return model
