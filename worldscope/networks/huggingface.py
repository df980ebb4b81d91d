"""Transformers of Hugging Face and of TransformerLens, through a `TransformerBridge`."""

import copy
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn

from worldscope.networks.bridge_specification import (
    long_texts_are_read_otherwise,
    specify_bridge,
)
from worldscope.networks.bridged import (
    blocks_needed,
    bridge_points,
    instead_of_stream,
    run_bridge,
)
from worldscope.networks.codecs import Codec
from worldscope.networks.context_model import ContextModel, ContextOutput
from worldscope.networks.evaluation import not_training
from worldscope.networks.hub import bridge_of_hub
from worldscope.networks.plain_pass import PlainPass, plain_pass, twin
from worldscope.networks.pretrained import check_weights, read_pretrained
from worldscope.networks.tokenizer_codec import NoCodec, TokenizerCodec, read_tokenizer


class BridgedModel(ContextModel):
    """A causal transformer inside a `TransformerBridge` (`bridge`), read and edited at its hooks.

    Inputs are padded at the end: what follows a symbol cannot change it, so that no mask is needed.
    Where the length of a text decides how it is read (LongRoPE), each length is read apart.
    """

    def __init__(
        self, bridge: Any, codec: Codec | None = None, *, original: nn.Module | None = None
    ):
        """Finds out where the network can be read and edited, by reading a few symbols.

        Args:
            bridge: A `TransformerBridge`; it is used as it is.
            codec: How texts become symbols; none are read without.
            original: The model that it bridges, from `plain_pass.twin`, to run where that is
                faster.

        Raises:
            ValueError: If what follows a symbol changes what is read at it, or the codec gives
                symbols that the network cannot read.
        """
        super().__init__()
        self.bridge = bridge.eval().requires_grad_(False)
        self.context = int(bridge.cfg.n_ctx)
        self.pads = not long_texts_are_read_otherwise(bridge)
        self.codec = codec or NoCodec(self.n_symbols)
        self._unwritten = _unwritten(self.codec, self.n_symbols)
        self.dtype = next(bridge.parameters()).dtype
        few = torch.arange(min(4, self.context), device=self.device).unsqueeze(0) % self.n_symbols
        self._check_causal()
        self.hook_dict, self.aliases = bridge_points(bridge, few)
        self.instead = instead_of_stream(self.aliases)
        self._plain: PlainPass | None = None
        if original is not None:
            self._plain = plain_pass(original, bridge, few, self.hook_dict)

    @property
    def n_symbols(self) -> int:
        """Rows of its embedding; its codec may use fewer."""
        return int(self.bridge.cfg.d_vocab)

    def specification(self) -> str:
        """See `HookedNetwork.specification`."""
        return specify_bridge(self.bridge)

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
            logits: Whether to compute the scores of the next symbol; else they are empty, and
                blocks above the deepest hook are not run.

        Raises:
            LookupError: If a hook name is unknown.
            ValueError: If there are more symbols than the network can read together.
        """
        self.check_length(symbols)
        symbols = symbols.to(self.device).long()
        names = self.hook_names(list(read))
        with not_training(self.bridge), not_training(self.bridge.original_model):
            scores, reads = self._run(symbols, names, logits)
        self.runs += 1
        if scores is None or not logits:
            scores = torch.empty(*symbols.shape, 0, device=self.device)
        return ContextOutput(scores.float(), {name: reads[name].float() for name in names})

    @torch.no_grad()
    def _check_causal(self) -> None:
        pair = torch.tensor([[0, 0], [0, self.n_symbols - 1]], device=self.device)
        one, other = self.bridge(pair[:, : self.context])[:, 0].float()
        limit = max(1e-4, 2 * torch.finfo(self.dtype).eps)
        if (one - other).abs().max() > limit * (one - one.mean()).abs().max():
            raise ValueError(
                "what follows a symbol changes what this network reads at it, so that it does not "
                "predict the next symbol; read it through ws.wrap"
            )

    def _run(
        self, symbols: Tensor, names: Sequence[str], logits: bool
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        edited = [name for name, point in self.hook_dict.items() if point.edits]
        plain = self._plain
        if plain and plain.has(names) and not edited and plain.stands_for(self.bridge):
            return plain(symbols, names, logits=logits)
        layers = None if logits else blocks_needed([*names, *edited])
        return run_bridge(self.bridge, symbols, self.hook_dict, names, layers=layers)

    def _last_scores(
        self, texts: Int[Tensor, "batch longest"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch n"]:
        """As of any network that reads a context; what stands for nothing is never written."""
        scores = super()._last_scores(texts, lengths)
        scores[:, self._unwritten] = -torch.inf
        return scores


def load_hugging_face(
    source: str | Path | nn.Module,
    *,
    tokenizer: Any = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
    compatibility_mode: bool = False,
) -> BridgedModel:
    """A causal language model of Hugging Face.

    Args:
        source: A name on the hub, a folder written by `save_pretrained`, or a model in memory,
            which is copied.
        tokenizer: Its fast tokenizer; that of the folder or the hub if None.
        device: Where to put it.
        dtype: Type of its weights and of the matrix products.
        revision: Branch, tag or commit, for a name on the hub.
        compatibility_mode: Fold norms and centre weights as HookedTransformer does; logits then
            shift, log-probabilities do not.

    Raises:
        FileNotFoundError: If the hub does not give it, or cannot be reached and no copy is here.
        ValueError: If it is of an architecture that TransformerLens does not know, or not causal.
    """
    if isinstance(source, nn.Module):
        model = copy.deepcopy(source)
    elif Path(source).is_dir():
        model, tokenizer = _read_folder(Path(source), tokenizer, dtype)
    else:
        bridge, original = bridge_of_hub(str(source), tokenizer, device, dtype, revision)
        return _finished(bridge, tokenizer or bridge.tokenizer, compatibility_mode, original)
    original = twin(_cast(model, device, dtype))
    return _finished(_bridge_module(model), tokenizer, compatibility_mode, original)


def load_bridge(
    config: Any,
    weights: str | Path | Mapping[str, Tensor],
    *,
    tokenizer: Any = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> BridgedModel:
    """A network of TransformerLens' own architecture.

    Args:
        config: A `TransformerBridgeConfig`.
        weights: A safetensors file, or a state dict, by TransformerLens' names.
        tokenizer: A fast Hugging Face tokenizer.
        device: Where to put it.
        dtype: Type of its weights and of the matrix products.

    Raises:
        ValueError: If the weights are not those of such a network; the first that differs is named.
    """
    from transformer_lens.model_bridge.sources.native import boot

    bridge = boot(config)
    tensors = dict(weights if isinstance(weights, Mapping) else load_file(weights))
    expected = bridge.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        ours, theirs = expected.get(name), tensors.get(name)
        if ours is None or theirs is None or ours.shape != theirs.shape:
            found, asked = (None if t is None else tuple(t.shape) for t in (theirs, ours))
            raise ValueError(f"the weights hold {name} as {found}; the configuration asks {asked}")
    bridge.load_state_dict(tensors)
    codec = None if tokenizer is None else TokenizerCodec(tokenizer, int(config.d_vocab))
    return BridgedModel(_cast(bridge, device, dtype), codec)


def _unwritten(codec: Codec, n_symbols: int) -> list[int]:
    """Symbols of a network that its codec cannot turn into text."""
    if codec.n_symbols > n_symbols:
        raise ValueError(
            f"the codec has {codec.n_symbols} symbols, and the network reads 0 to {n_symbols - 1}; "
            "give the codec that it was trained with"
        )
    unused = codec.unused if isinstance(codec, TokenizerCodec) else []
    return [*unused, *range(codec.n_symbols, n_symbols)]


def is_hugging_face(folder: Path) -> bool:
    """Whether a folder was written by `save_pretrained`."""
    import json

    file = folder / "config.json"
    try:
        return "model_type" in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def _finished(
    bridge: Any, tokenizer: Any, compatibility_mode: bool, original: nn.Module | None
) -> BridgedModel:
    if compatibility_mode:
        bridge.enable_compatibility_mode(disable_warnings=True)
        original = None  # its weights are no longer those of the bridge
    codec = None if tokenizer is None else TokenizerCodec(tokenizer, int(bridge.cfg.d_vocab))
    return BridgedModel(bridge, codec, original=original)


def _cast(model: nn.Module, device: str | torch.device, dtype: torch.dtype) -> nn.Module:
    """Moves a model; only weights change their type, since rotary angles would become wrong."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    return model.to(device)


def _bridge_module(model: nn.Module) -> Any:
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    kind, config = type(model).__name__, getattr(model, "config", None)
    if config is None:
        raise ValueError(f"{kind} is not a Hugging Face model; wrap any other with ws.wrap")
    if not kind.endswith(("ForCausalLM", "LMHeadModel")):
        raise ValueError(f"{kind} does not predict the next symbol; read it through ws.wrap")
    try:
        return build_bridge_from_module(model.eval(), kind, hf_config=config)
    except (ValueError, NotImplementedError, KeyError) as error:
        raise ValueError(
            f"TransformerLens knows no {kind} ({str(error):.120}); read it through ws.wrap"
        ) from None


def _read_folder(folder: Path, tokenizer: Any, dtype: torch.dtype) -> tuple[nn.Module, Any]:
    try:
        model, found = read_pretrained(folder, dtype, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{folder} holds no causal model in safetensors: {said:.200}") from None
    check_weights(folder, model, found)
    return model, tokenizer or read_tokenizer(folder)
