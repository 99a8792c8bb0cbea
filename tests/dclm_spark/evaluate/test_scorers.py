from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.evaluate.scorers import (
    BATCH_TOKENS,
    MOST_BATCH_TOKENS,
    HuggingFaceScorer,
    OpenLMScorer,
    fitting_tokens,
)
from dclm_spark.evaluate.scoring import Scorer, TokenScores
from dclm_spark.train.network import ModelSettings, OpenLM
from dclm_spark.train.scales import scale
from tests.dclm_spark.evaluate.logit_scorer import LogitScorer
from tests.dclm_spark.train.models import fresh_model


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors on many threads spend their time waiting."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Letters:
    """A tokenizer of which only decoding is asked."""

    def encode(self, sequence: str, *, add_special_tokens: bool = True) -> None:
        raise NotImplementedError

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        return " ".join(f"<{number}>" for number in ids)


class Plain:
    """The slow, obvious way: the whole sequence through the model's own forward."""

    end_of_text_id = 0

    def __init__(self, model: OpenLM) -> None:
        self.model = model

    def logits(
        self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> list[NDArray[np.float32]]:
        found = []
        for row, length, start in zip(tokens, lengths, starts, strict=True):
            logits = self.model(torch.tensor(row[None, :length]))[0]
            found.append(logits[start - 1 : length - 1].numpy())
        return found


def tiny() -> OpenLM:
    settings = ModelSettings(width=32, num_layers=2, num_heads=2, vocabulary_size=64)
    model = fresh_model(settings, seed=1).eval().requires_grad_(False)
    # Fresh weights predict nearly nothing; louder ones make mistakes visible.
    torch.nn.init.normal_(model.output.weight, std=0.5)
    return model


def candidates() -> list[Candidate]:
    draw = np.random.default_rng(0)
    contexts = [tuple(draw.integers(1, 64, size).tolist()) for size in (5, 12, 30)]
    endings = [(3,), (4,), (5, 6, 7), (8, 9), (3,)]
    return [
        Candidate((*context, *ending), len(context), "x", len(context))
        for context in contexts
        for ending in endings
    ]


def same(ours: list[TokenScores], plain: list[TokenScores]) -> None:
    for one, other in zip(ours, plain, strict=True):
        assert one.nats == pytest.approx(other.nats, abs=1e-4)
        assert one.is_greedy.tolist() == other.is_greedy.tolist()


def test_a_shared_context_gives_the_scores_of_whole_sequences() -> None:
    model = tiny()
    plain = LogitScorer(Plain(model), Letters())
    same(OpenLMScorer(model, Letters()).score(candidates()), plain.score(candidates()))


@pytest.mark.parametrize("stops", [(), ("<7>", "<21>", "<40>")])
def test_cached_generation_gives_the_tokens_of_feeding_everything_again(
    stops: tuple[str, ...],
) -> None:
    model = tiny()
    prompts = [candidate.tokens for candidate in candidates()[::5]]
    ours = OpenLMScorer(model, Letters()).generate(prompts, 12, stops)
    assert ours == LogitScorer(Plain(model), Letters()).generate(prompts, 12, stops)
    assert all(1 <= len(new) <= 12 for new in ours)


def hugging_face() -> Scorer:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPTNeoXConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    return HuggingFaceScorer(transformers.GPTNeoXForCausalLM(config), Letters())


def test_a_hugging_face_model_scores_the_same_alone_and_in_a_batch() -> None:
    scorer = hugging_face()
    same(scorer.score(candidates()), [scorer.score([one])[0] for one in candidates()])


def test_a_hugging_face_model_generates_the_same_alone_and_in_a_batch() -> None:
    scorer = hugging_face()
    prompts = [candidate.tokens for candidate in candidates()[::5]]
    together = scorer.generate(prompts, 8, ())
    assert [new[:8] for new in together] == [scorer.generate([p], 8, ())[0] for p in prompts]


def test_what_is_computed_at_once_fits_the_memory_of_a_device() -> None:
    with torch.device("meta"):
        small, large = OpenLM(scale("80m").model), OpenLM(scale("7b-1x").model)
    small.activation_dtype = large.activation_dtype = torch.bfloat16
    assert fitting_tokens(small, 80 << 30) == MOST_BATCH_TOKENS
    assert fitting_tokens(large, 24 << 30) == BATCH_TOKENS
    # 7 G weights in fp32, 2 x 32 x 4,096 numbers of keys and values with 8 copies beside them.
    assert 9_000 < fitting_tokens(large, 140 << 30) < 14_000
