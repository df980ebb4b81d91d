"""Activations of one text, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from worldscope.networks.language_model import LanguageModel


@dataclass(frozen=True)
class TextReading:
    """A text, piece by piece, with the activations after each piece."""

    pieces: list[bytes]
    """The bytes that each symbol stands for, the frame of the codec included."""
    acts: dict[str, Float[Tensor, "time d"]]
    """Activations by canonical hook name."""
    nats: Float[Tensor, " time"]
    """Loss of each piece given those before it; the first has none and is 0."""


def read_text(
    network: LanguageModel, text: str, hooks: str | Sequence[str] = "hook_c"
) -> TextReading:
    """Reads one text and keeps the activations of every symbol, after any edits in place.

    Raises:
        ValueError: If the text is empty.
        LookupError: If a hook is unknown.
    """
    symbols = network.to_symbols(text)
    output = network(symbols, read=network.hook_names(hooks))
    losses = functional.cross_entropy(output.logits[0, :-1], symbols[0, 1:], reduction="none")
    return TextReading(
        pieces=network.codec.pieces(symbols[0].tolist()),
        acts={name: acts[0] for name, acts in output.reads.items()},
        nats=functional.pad(losses, (1, 0)),
    )
