"""What all language models of ours share: a codec, and what training asks of them."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from worldscope.networks.codecs import Codec
from worldscope.networks.generation import Generation, generate
from worldscope.networks.hooked import HookedNetwork, NamesFilter

State = tuple[Tensor, ...]
"""What is carried from chunk to chunk, each (batch, d)."""


class LanguageModel(HookedNetwork):
    """A network that predicts the next symbol of a text."""

    codec: Codec

    @property
    def n_symbols(self) -> int:
        """How many symbols it reads: 0 … n_symbols − 1."""
        return self.codec.n_symbols

    @abstractmethod
    def begin(self, prompts: Sequence[Sequence[int]]) -> tuple[Float[Tensor, "batch n"], State]:
        """Scores of the symbol after each prompt, and what `go_on` needs to know of it."""

    @abstractmethod
    def go_on(
        self, symbols: Int[Tensor, " batch"], state: State, step: int
    ) -> tuple[Float[Tensor, "batch n"], State]:
        """Scores of the symbol after one more, and the state then.

        Args:
            symbols: The next symbol of each text.
            state: From `begin` or the last call.
            step: How many symbols came before, in the longest text.
        """

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        max_new: int = 200,
        seeds: int | Sequence[int] = 0,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> list[Generation]:
        """Continues texts; see `worldscope.networks.generation.generate`."""
        return generate(
            self,
            prompts,
            max_new=max_new,
            seeds=seeds,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
        )

    def run_with_cache(
        self, inputs: str | Int[Tensor, "batch time"], names_filter: NamesFilter = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits and cached activations by canonical hook name, as TransformerLens gives them.

        Args:
            inputs: A text, or symbols.
            names_filter: Hook name or names to keep, or a function that is true of such a name;
                None keeps all.

        Raises:
            LookupError: If a name is unknown.
        """
        output = self(self.to_symbols(inputs), read=self.hook_names(names_filter))
        return output.logits, output.reads

    def loss(self, inputs: str | Int[Tensor, "batch time"]) -> Float[Tensor, "batch predicted"]:
        """Loss in nats of each symbol after the first, given those before it: (batch, time − 1)."""
        symbols = self.to_symbols(inputs)
        logits = self(symbols[:, :-1]).logits
        return functional.cross_entropy(
            logits.transpose(1, 2), symbols[:, 1:].long(), reduction="none"
        )

    def encode(self, value: Any, *, end: bool = True) -> list[int]:
        """Symbols of a text; symbols as they are.

        Args:
            value: A text, or symbols as whole numbers, (time,).
            end: Whether the codec may end a text with a symbol of its own.

        Raises:
            ValueError: If it is neither, or a symbol is outside the alphabet.
        """
        if isinstance(value, str):
            return self.codec.encode(value, end=end)
        symbols = np.asarray(value.cpu() if isinstance(value, Tensor) else value)
        if symbols.ndim != 1 or symbols.dtype.kind not in "iu":
            raise ValueError(
                f"the input is {value!r:.60}; this network reads texts, or symbols as whole numbers"
            )
        self._check_symbols(symbols)
        return symbols.tolist()

    def decode(self, symbols: Sequence[int]) -> str:
        """Text of symbols."""
        return self.codec.decode(symbols)

    def __call__(self, symbols: Any, *args: Any, **settings: Any) -> Any:
        """A forward pass; see `HookedNetwork`.

        Raises:
            ValueError: If it is not given symbols.
            RuntimeError: If another thread is using the network.
        """
        _check_batch(symbols)
        return super().__call__(symbols, *args, **settings)

    def to_symbols(self, inputs: str | Int[Tensor, "batch time"]) -> Int[Tensor, "batch time"]:
        """Symbols of a text as a batch of one; symbols pass through.

        Raises:
            ValueError: If the text is empty, or a symbol is outside the alphabet.
        """
        if isinstance(inputs, str):
            return torch.tensor([self.encode(inputs)], device=self.device)
        _check_batch(inputs)
        self._check_symbols(inputs)
        return inputs.to(self.device)

    def _check_symbols(self, symbols: Int[Tensor, "..."] | Int[np.ndarray, "..."]) -> None:
        if 0 not in symbols.shape and not 0 <= symbols.min() <= symbols.max() < self.n_symbols:
            raise ValueError(
                f"symbols run from {symbols.min()} to {symbols.max()}; "
                f"this network's are 0 to {self.n_symbols - 1}"
            )


def _check_batch(symbols: Any) -> None:
    if not isinstance(symbols, Tensor) or symbols.ndim != 2 or symbols.is_floating_point():
        of_shape = isinstance(symbols, Tensor) and f"a tensor of shape {tuple(symbols.shape)}"
        what = of_shape or f"{symbols!r:.40}"
        raise ValueError(
            f"this network is called with symbols, a tensor of whole numbers (batch, time), as "
            f"to_symbols gives of a text; it was given {what}"
        )


class TrainableModel(LanguageModel):
    """A language model that the trainer can train and a folder of ours can hold."""

    kind: ClassVar[str]
    """What its configuration file calls it."""
    state_names: ClassVar[tuple[str, ...]]
    """What is carried from chunk to chunk; none where each chunk is read by itself."""
    config: Any
    """Its shape: a frozen dataclass."""

    @abstractmethod
    def zero_state(self, batch: int) -> State:
        """The state before the first symbol."""

    @abstractmethod
    def training_loss(
        self, symbols: Int[Tensor, "batch length"], state: State
    ) -> tuple[Float[Tensor, ""], State]:
        """Mean loss in nats over a chunk of continuing streams, and the state after it.

        Args:
            symbols: What is read, and one more to predict.
            state: The state before the first symbol.
        """

    @abstractmethod
    def stream_nats(self, streams: Int[Tensor, "batch length"]) -> float:
        """Total loss in nats of every symbol but the first of each stream."""

    def extra_repr(self) -> str:
        """Shape of the network, shown when it is printed."""
        return ", ".join(f"{name}={value}" for name, value in asdict(self.config).items())
