"""What a bridged transformer computes beside its weights."""

import json
from typing import Any

from worldscope.networks.digest import computed, torch_hooks


def specify_bridge(bridge: Any) -> str:
    """The configurations of a bridge and of the model in it, and hooks of torch that are set.

    Left out are origin, device and dtype.

    Args:
        bridge: A `TransformerBridge`.
    """
    original = getattr(bridge.original_model, "config", None)
    described = [config.to_dict() for config in (bridge.cfg, original) if config is not None]
    hooks = torch_hooks(bridge.original_model)
    said = computed([*described, {"hooks of torch": hooks}] if hooks else described)
    return json.dumps(said, sort_keys=True, default=str)


def long_texts_are_read_otherwise(bridge: Any) -> bool:
    """Whether the longest text of a batch decides the rotary angles of all of them.

    Source: LongRoPE, Ding et al. 2024, section 3.2, as Phi-3 uses it.
    """
    config = getattr(bridge.original_model, "config", None)
    return "longrope" in json.dumps(config.to_dict(), default=str) if config else False
