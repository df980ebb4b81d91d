"""Models that transformers reads: every weight comes from the files, and none is drawn."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn


def read_pretrained(
    source: str | Path, dtype: torch.dtype, **settings: Any
) -> tuple[nn.Module, dict[str, Any]]:
    """A causal model, and what of its weights was found, for `check_weights`.

    Args:
        source: What `save_pretrained` wrote, or a name on the hub.
        dtype: Type of its weights.
        settings: Further ones of `from_pretrained`.
    """
    from transformers import AutoModelForCausalLM

    with _quiet_transformers():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **settings,
        )
    return loaded


def check_weights(source: str | Path, model: nn.Module, found: Mapping[str, Any]) -> None:
    """Raises:
    ValueError: If a weight of the model is not in the files, or of another shape.
    """
    if absent := sorted(found["missing_keys"]):
        raise ValueError(
            f"{source} lacks {len(absent)} of the weights of a {type(model).__name__}, "
            f"{absent[0]} for one; copy it again, or read a model without a head through ws.wrap"
        )
    if others := sorted(found["mismatched_keys"]):
        name, theirs, ours = others[0]
        raise ValueError(
            f"{source} holds {name} as {tuple(theirs)}; its configuration asks {tuple(ours)}"
        )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Has transformers log errors alone: what it reports of weights is checked by us."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
