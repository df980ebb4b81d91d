"""Transformers of our own: TransformerLens' native architecture, with a codec and a fused pass."""

import json
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from worldscope.networks.bridged import (
    blocks_needed,
    bridge_points,
    instead_of_stream,
    run_bridge,
)
from worldscope.networks.codecs import Codec
from worldscope.networks.context_model import ContextModel, ContextOutput
from worldscope.networks.fused import fused_hooks, hidden_states, unwrap
from worldscope.networks.language_model import State, TrainableModel


@dataclass(frozen=True)
class TransformerConfig:
    """Shape of a transformer: pre-norm, learned positions, GELU, as GPT-2 (Radford et al. 2019)."""

    n_symbols: int
    """Size of the alphabet."""
    d_model: int = 256
    """Width of the residual stream."""
    n_layers: int = 4
    """Number of blocks."""
    n_heads: int = 4
    """Attention heads of a block."""
    n_ctx: int = 256
    """Largest number of symbols that are read together."""
    codec: str = "bpe"
    """Name of the codec: bytes or bpe."""

    def __post_init__(self) -> None:
        for name in ("n_symbols", "d_model", "n_layers", "n_heads", "n_ctx"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model is {self.d_model}; {self.n_heads} heads cannot share it")


class Transformer(ContextModel, TrainableModel):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A language model whose inside is a `TransformerBridge` (`bridge`).

    Weights are named as TransformerLens names them: `blocks.0.attn.q.weight`.

    Source: Radford et al. 2019, section 2.3; initial weights as there, with standard deviation
    0.02, over √(2 · layers) where a block writes to the residual stream.
    """

    kind = "transformer"
    state_names = ()

    def __init__(self, config: TransformerConfig, codec: Codec, *, seed: int = 0):
        """Draws initial weights; torch's global generator is left as it was.

        Raises:
            ValueError: If the codec is not the one that the configuration names.
        """
        super().__init__()
        codec.check(config.codec, config.n_symbols)
        self.config, self.codec, self.context = config, codec, config.n_ctx
        self.bridge = _native_bridge(config, seed)
        few = torch.zeros(1, min(2, config.n_ctx), dtype=torch.long)
        self.hook_dict, self.aliases = bridge_points(self.bridge, few)
        self.instead = instead_of_stream(self.aliases)
        self._fused = frozenset(fused_hooks(config.n_layers))

    def zero_state(self, batch: int) -> State:
        """Nothing is carried from chunk to chunk."""
        return ()

    def training_loss(
        self, symbols: Int[Tensor, "batch length"], state: State
    ) -> tuple[Float[Tensor, ""], State]:
        """Mean loss in nats over a chunk, each row read by itself; see `TrainableModel`."""
        logits = self.logits(symbols[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), symbols[:, 1:].flatten().long())
        return loss, ()

    @torch.no_grad()
    def forward(
        self,
        symbols: Int[Tensor, "batch time"],
        read: Collection[str] = (),
        *,
        logits: bool = True,
    ) -> ContextOutput:
        """Runs the network without gradients.

        Args:
            symbols: Symbols of each text, from its beginning on.
            read: Hook names to return, after edits.
            logits: Whether to compute the scores of the next symbol; else they are empty.

        Raises:
            LookupError: If a hook name is unknown.
            ValueError: If there are more symbols than the network can read together.
        """
        self.check_length(symbols)
        symbols = symbols.to(self.device)
        names = self.hook_names(list(read))
        edited = [name for name, point in self.hook_dict.items() if point.edits]
        layers = None if logits else blocks_needed([*names, *edited])
        run = self._run_fused if self._fused.issuperset([*names, *edited]) else self._run_bridge
        with self._arithmetic():
            scores, reads = run(symbols, names, layers)
        self.runs += 1
        if scores is None:
            scores = torch.empty(*symbols.shape, 0, device=self.device)
        return ContextOutput(scores.float(), {name: reads[name].float() for name in names})

    def _run_fused(
        self, symbols: Tensor, names: Collection[str], layers: int | None
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        reads: dict[str, Tensor] = {}

        def seen(name: str, value: Tensor) -> Tensor:
            point = self.hook_dict[name]
            if point.edits:
                value = point.edited(value)
            if name in names:
                shared = any(value is other for other in reads.values())
                reads[name] = value.clone() if shared else value
            return value

        edited = [name for name, point in self.hook_dict.items() if point.edits]
        visits = {name: partial(seen, name) for name in {*names, *edited}}
        model = self.bridge.original_model
        hidden = hidden_states(model, symbols, visits, layers=layers)
        return (None if hidden is None else unwrap(model.head)(hidden)), reads

    def _run_bridge(
        self, symbols: Tensor, names: Collection[str], layers: int | None
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        return run_bridge(self.bridge, symbols, self.hook_dict, names, layers=layers)

    def logits(self, symbols: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time n_symbols"]:
        """Scores of the next symbol, with gradients and without hooks.

        Raises:
            ValueError: If there are more symbols than the network can read together.
        """
        self.check_length(symbols)
        model = self.bridge.original_model
        with self._arithmetic():
            scores = unwrap(model.head)(hidden_states(model, symbols, {}))
        return scores.float()

    @torch.no_grad()
    def stream_nats(self, streams: Int[Tensor, "batch length"]) -> float:
        """Total loss of every symbol but the first of each stream.

        A symbol is given at least half of the context that the network can read, where there is so
        much before it.
        """
        nats = 0.0
        for start, first, end in self.windows(streams.shape[1] - 1):
            logits = self.logits(streams[:, start:end])[:, first - start :]
            targets = streams[:, first + 1 : end + 1]
            nats += functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten().long(), reduction="sum"
            ).item()
        return nats

    def specification(self) -> str:
        """See `HookedNetwork.specification`."""
        return json.dumps({"kind": self.kind, **asdict(self.config)})

    def state_dict(self, *args: Any, **settings: Any) -> dict[str, Tensor]:
        """Weights by TransformerLens' names."""
        return self.bridge.state_dict(*args, **settings)

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args: Any, **settings: Any) -> Any:
        """Takes weights by TransformerLens' names."""
        return self.bridge.load_state_dict(state_dict, *args, **settings)

    def _arithmetic(self) -> AbstractContextManager:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def _native_bridge(config: TransformerConfig, seed: int) -> Any:
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources.native import boot

    return boot(
        TransformerBridgeConfig(
            d_model=config.d_model,
            d_head=config.d_model // config.n_heads,
            n_heads=config.n_heads,
            n_layers=config.n_layers,
            n_ctx=config.n_ctx,
            d_vocab=config.n_symbols,
            d_mlp=4 * config.d_model,
            act_fn="gelu_new",
            normalization_type="LN",
            init_mode="gpt2",
            initializer_range=0.02,
            seed=seed,
        )
    )
