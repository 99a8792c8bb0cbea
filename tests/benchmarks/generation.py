"""What an export's key-value cache saves: `python -m tests.benchmarks.generation --scale 1b-1x`.

A model of random weights. With the cache, single tokens at a few places of the text are timed;
without it, whole texts of a few lengths: what a text that grows by `--tokens` takes is summed up
from them.
"""

import argparse
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from transformers import DynamicCache

from dclm_spark.train.modeling_openlm import OpenLMConfig, OpenLMForCausalLM
from dclm_spark.train.scales import scale

TIMED_STEPS = 16


def model_of(name: str) -> OpenLMForCausalLM:
    """Return a model of the scale, in the form of an export."""
    settings = scale(name).model
    network = {
        "width": settings.width, "num_layers": settings.num_layers,
        "num_heads": settings.num_heads, "vocabulary_size": settings.vocabulary_size or 50_432,
    }  # fmt: skip
    return OpenLMForCausalLM(OpenLMConfig(network)).eval()


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes, waiting for the device."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default="1b-1x")
    parser.add_argument("--prompt", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=256)
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model_of(given.scale).to(device)
    text = torch.randint(50_000, (1, given.prompt + given.tokens), device=device)
    cache = DynamicCache(config=model.config)
    ends = np.linspace(given.prompt, given.prompt + given.tokens, TIMED_STEPS + 1, dtype=int)
    steps = []
    with torch.inference_mode():
        model(text[:, : given.prompt], past_key_values=cache)
        for at, end in pairwise(ends.tolist()):
            steps.append(seconds(lambda at=at: model(text[:, at : at + 1], past_key_values=cache)))
            model(text[:, at + 1 : end], past_key_values=cache)
        lengths = [given.prompt, given.prompt + given.tokens // 2, given.prompt + given.tokens]
        whole = [
            seconds(lambda size=size: model(text[:, :size], use_cache=False)) for size in lengths
        ]
    cached = float(np.mean(steps)) * given.tokens
    fed = np.interp(np.arange(given.prompt, given.prompt + given.tokens), lengths, whole).sum()
    print(
        f"{given.scale} on {device}, {given.tokens} tokens after {given.prompt}: with the cache "
        f"{cached:.1f} s ({np.mean(steps) * 1000:.0f} ms a token), without "
        f"{fed:.1f} s (texts of {lengths} tokens took {[round(one, 2) for one in whole]} s): "
        f"{fed / cached:.1f} times"
    )


if __name__ == "__main__":
    main()
