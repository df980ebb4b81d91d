"""A linear layer and its GELU as one kernel of oneDNN, without gradients.

The result of the product is not written to memory and read again before it is bent.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def has_linear_gelu(x: Float[Tensor, "..."]) -> bool:
    """Whether `linear_gelu` can take this input here and now."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and torch.backends.mkldnn.is_available()
    )


def linear_gelu(
    x: Float[Tensor, "*batch d_in"],
    weight: Float[Tensor, "d_out d_in"],
    bias: Float[Tensor, " d_out"],
) -> Float[Tensor, "*batch d_out"]:
    """GELU, by its approximation with tanh, of a linear layer, in the type that autocast has set.

    Source: Hendrycks & Gimpel 2016, section 2.
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", [], "tanh")
