"""What language models share that read a bounded number of symbols together."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from worldscope.networks.generation import pad_right
from worldscope.networks.hooked import Piece
from worldscope.networks.language_model import LanguageModel, State


class ContextOutput(NamedTuple):
    """What a forward pass gives back."""

    logits: Float[Tensor, "batch time n_symbols"]
    """Scores of the next symbol after each symbol."""
    reads: dict[str, Float[Tensor, "batch ..."]]
    """The asked-for activations by canonical hook name, after edits."""


class ContextModel(LanguageModel):
    """A causal language model that sees at most `context` symbols at once."""

    context: int  # pyright: ignore[reportIncompatibleVariableOverride]

    def forward(
        self, symbols: Int[Tensor, "batch time"], read: Collection[str] = (), *, logits: bool = True
    ) -> ContextOutput:
        """Runs the network without gradients."""
        raise NotImplementedError

    def stream_reads(
        self,
        inputs: Int[Tensor, "batch time"],
        lengths: Int[np.ndarray, " batch"],
        names: Sequence[str],
        *,
        chunk: int,
    ) -> Iterator[Piece]:
        """See `HookedNetwork.stream_reads`; pieces are as long as the context allows.

        Raises:
            ValueError: If a hook has other axes than batch, time and more.
        """
        for name in names:
            if self.hook_dict[name].axes[:2] != ("batch", "time"):
                axes = ", ".join(self.hook_dict[name].axes)
                raise ValueError(
                    f"{name} has the axes ({axes}); a stream needs batch and time first"
                )
        for start, first, end in self.windows(inputs.shape[1]):
            alive = int((lengths > first).sum())
            output = self(inputs[:alive, start:end], read=names, logits=False)
            new = {name: acts[:, first - start :] for name, acts in output.reads.items()}
            yield Piece(first, end, new)

    def begin(self, prompts: Sequence[Sequence[int]]) -> tuple[Float[Tensor, "batch n"], State]:
        """See `LanguageModel.begin`; the state is the texts so far, and how long each is."""
        state = pad_right(prompts, self.device)
        return self._last_scores(*state), state

    def go_on(
        self, symbols: Int[Tensor, " batch"], state: State, step: int
    ) -> tuple[Float[Tensor, "batch n"], State]:
        """See `LanguageModel.go_on`; as much as the context holds is read again."""
        texts, lengths = state
        texts = functional.pad(texts, (0, 1))
        texts[torch.arange(len(texts), device=self.device), lengths] = symbols
        return self._last_scores(texts, lengths + 1), (texts, lengths + 1)

    def windows(self, length: int) -> Iterator[tuple[int, int, int]]:
        """(start, first, end): where a window begins, its first step that is new, and its end."""
        first = 0
        while first < length:
            start = max(0, first - self.context // 2)
            end = min(start + self.context, length)
            yield start, first, end
            first = end

    def check_length(self, symbols: Int[Tensor, "batch time"]) -> None:
        """Raises:
        ValueError: If there are more symbols than the network can read together.
        """
        if symbols.shape[1] > self.context:
            raise ValueError(
                f"{symbols.shape[1]} symbols are more than the {self.context} that this "
                "network can read together; shorten the text"
            )

    def _last_scores(
        self, texts: Int[Tensor, "batch longest"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch n"]:
        """Scores of the symbol after each text, from the last symbols that the context holds."""
        width = min(self.context, texts.shape[1])
        first = (lengths - width).clamp_min(0)
        places = first.unsqueeze(1) + torch.arange(width, device=self.device)
        output: Any = self(texts.take_along_dim(places, dim=1))
        return output.logits[torch.arange(len(texts), device=self.device), lengths - first - 1]
