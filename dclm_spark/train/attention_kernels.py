"""Which kernel computes attention; copied into Hugging Face exports next to `network.py`."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

# All but cuDNN's, which plans each new length: 45 ms for each token of a growing text on an H200.
_FOR_ANY_LENGTH = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


def attend(
    q_BNSH: Tensor, k_BNTH: Tensor, v_BNTH: Tensor, mask: Tensor | None, is_causal: bool
) -> Tensor:
    """Return scaled dot-product attention [B, N, S, H]; `mask` is True where it may go.

    Without gradients lengths change from call to call, so kernels are used that need no plan.
    """
    changing = q_BNSH.is_cuda and not torch.is_grad_enabled()
    if not changing or torch.compiler.is_compiling():
        return F.scaled_dot_product_attention(
            q_BNSH, k_BNTH, v_BNTH, attn_mask=mask, is_causal=is_causal
        )
    with sdpa_kernel(_FOR_ANY_LENGTH):
        return F.scaled_dot_product_attention(
            q_BNSH, k_BNTH, v_BNTH, attn_mask=mask, is_causal=is_causal
        )
