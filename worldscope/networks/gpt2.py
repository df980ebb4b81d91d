"""A transformer of ours as a Hugging Face GPT-2, for every tool that knows that format."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from worldscope.networks.transformer import Transformer

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

_NAMES = {
    "ln1": "ln_1",
    "ln2": "ln_2",
    "attn.o": "attn.c_proj",
    "mlp.in": "mlp.c_fc",
    "mlp.out": "mlp.c_proj",
}
"""Parts of a block: ours and Hugging Face's; queries, keys and values are one part there."""


def to_gpt2(network: Transformer) -> "GPT2LMHeadModel":
    """The same network with copies of its weights; logits agree to 1e-5.

    Its unembedding is not tied to its embedding. Save it with `save_pretrained`.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    config = network.config
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.n_symbols,
            n_positions=config.n_ctx,
            n_embd=config.d_model,
            n_layer=config.n_layers,
            n_head=config.n_heads,
            activation_function="gelu_new",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    model.load_state_dict(_renamed(weights, config.n_layers))
    return model.eval()


def _renamed(weights: dict[str, Tensor], n_layers: int) -> dict[str, Tensor]:
    renamed = {
        "transformer.wte.weight": weights["embed.weight"],
        "transformer.wpe.weight": weights["pos_embed.weight"],
        "lm_head.weight": weights["unembed.weight"],
    }
    for kind in ("weight", "bias"):
        renamed[f"transformer.ln_f.{kind}"] = weights[f"ln_final.{kind}"]
        for layer in range(n_layers):
            ours, theirs = f"blocks.{layer}.", f"transformer.h.{layer}."
            joined = torch.cat([weights[f"{ours}attn.{part}.{kind}"] for part in "qkv"])
            renamed[f"{theirs}attn.c_attn.{kind}"] = joined.t()
            for part, name in _NAMES.items():
                renamed[f"{theirs}{name}.{kind}"] = weights[f"{ours}{part}.{kind}"].t()
    return {name: tensor.contiguous() for name, tensor in renamed.items()}
