"""What a bridged transformer computes beside its weights."""

import json
from collections.abc import Mapping
from typing import Any

_ELSEWHERE = {
    "_name_or_path",
    "architectures",
    "default_padding_side",
    "default_prepend_bos",
    "device",
    "dtype",
    "model_name",
    "n_devices",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "seed",
    "tokenizer_appends_eos",
    "tokenizer_name",
    "tokenizer_prepends_bos",
    "torch_dtype",
    "transformers_version",
}
"""What a configuration says of where a network comes from and lives, how texts become symbols and
what a pass returns beside the scores; not of what it computes."""


def specify_bridge(bridge: Any) -> str:
    """The configurations of a bridge and of the model in it, without origin, device and dtype.

    Args:
        bridge: A `TransformerBridge`.
    """
    original = getattr(bridge.original_model, "config", None)
    described = [config.to_dict() for config in (bridge.cfg, original) if config is not None]
    return json.dumps(_computed(described), sort_keys=True, default=str)


def _computed(value: Any) -> Any:
    """The same structure without what is of no consequence, at any depth."""
    if isinstance(value, Mapping):
        return {str(k): _computed(part) for k, part in value.items() if k not in _ELSEWHERE}
    return [_computed(part) for part in value] if isinstance(value, list | tuple) else value
