import pytest
import torch
from torch import Tensor

from dclm_spark.train.losses import head_losses


def losses_and_gradients(function: object, chunk_tokens: int | None = None) -> list[Tensor]:
    torch.manual_seed(0)
    states = torch.randn(2, 16, 32, requires_grad=True)
    weight = torch.randn(300, 32, requires_grad=True)
    targets = torch.randint(300, (2, 16))
    cross_entropy, normalizer = function(states, weight, targets, chunk_tokens)  # type: ignore[operator]
    (cross_entropy.mean() + 1e-2 * (normalizer**2).mean()).backward()
    assert states.grad is not None
    assert weight.grad is not None
    return [cross_entropy.detach(), normalizer.detach(), states.grad, weight.grad]


def test_cross_entropy_is_torchs_own() -> None:
    torch.manual_seed(0)
    states, weight = torch.randn(2, 16, 32), torch.randn(300, 32)
    targets = torch.randint(300, (2, 16))
    found, _ = head_losses(states, weight, targets)
    logits = (states @ weight.t()).flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, targets.flatten(), reduction="none")
    torch.testing.assert_close(found.flatten(), expected)


@pytest.mark.parametrize("chunk_tokens", [5, 32])
def test_chunks_change_neither_losses_nor_gradients(chunk_tokens: int) -> None:
    whole, chunked = (losses_and_gradients(head_losses, one) for one in (None, chunk_tokens))
    for one, other in zip(whole, chunked, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.long
def test_the_compiled_losses_are_those_of_the_plain_ones() -> None:
    plain = losses_and_gradients(head_losses)
    compiled = losses_and_gradients(torch.compile(head_losses))
    for one, other in zip(plain, compiled, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
