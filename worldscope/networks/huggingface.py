"""Transformers of Hugging Face and of TransformerLens, through a `TransformerBridge`."""

import copy
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Int
from safetensors.torch import load_file
from torch import Tensor, nn

from worldscope.networks.bridged import blocks_needed, bridge_points, run_bridge
from worldscope.networks.codecs import Codec
from worldscope.networks.context_model import ContextModel, ContextOutput
from worldscope.networks.tokenizer_codec import NoCodec, TokenizerCodec


class BridgedModel(ContextModel):
    """A causal transformer inside a `TransformerBridge` (`bridge`), read and edited at its hooks.

    Inputs are padded at the end: what follows a symbol cannot change it, so that no mask is needed.
    """

    def __init__(self, bridge: Any, codec: Codec | None = None, *, native: bool = False):
        """Finds out where the network can be read, by reading two symbols.

        Args:
            bridge: A `TransformerBridge`; it is used as it is.
            codec: How texts become symbols; none are read without.
            native: Whether it is of TransformerLens' own architecture.
        """
        super().__init__()
        self.bridge = bridge.eval().requires_grad_(False)
        self.context = int(bridge.cfg.n_ctx)
        self.n_symbols = int(bridge.cfg.d_vocab)
        self.codec = codec or NoCodec(self.n_symbols)
        self.dtype = next(bridge.parameters()).dtype
        few = torch.zeros(1, min(2, self.context), dtype=torch.long, device=self.device)
        self.hook_dict, self.aliases = bridge_points(bridge, few, native=native)

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
        edited = [name for name, point in self.hook_dict.items() if point.edits]
        layers = None if logits else blocks_needed([*names, *edited])
        scores, reads = run_bridge(self.bridge, symbols, self.hook_dict, names, layers=layers)
        self.runs += 1
        if scores is None or not logits:
            scores = torch.empty(*symbols.shape, 0, device=self.device)
        return ContextOutput(scores.float(), {name: reads[name].float() for name in names})

    def encode(self, text: Any, *, end: bool = True) -> list[int]:
        """Symbols of a text; a row of symbols passes through.

        Raises:
            ValueError: If a symbol is outside the alphabet, or there is no tokenizer for a text.
        """
        if isinstance(text, str):
            return self.codec.encode(text, end=end)
        symbols = torch.as_tensor(text)
        if symbols.ndim != 1 or symbols.is_floating_point():
            raise ValueError(
                f"the input has the shape {tuple(symbols.shape)} and holds {symbols.dtype}; give "
                "a text or a row of whole numbers"
            )
        return self.to_symbols(symbols.unsqueeze(0))[0].tolist()


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
        FileNotFoundError: If the hub does not give it.
        ValueError: If it is of an architecture that TransformerLens does not know, or not causal.
    """
    if isinstance(source, nn.Module):
        bridge = _bridge_module(copy.deepcopy(source).to(device, dtype))
    elif Path(source).is_dir():
        bridge, tokenizer = _bridge_folder(Path(source), tokenizer, device, dtype)
    else:
        bridge = _bridge_hub(str(source), tokenizer, device, dtype, revision)
        tokenizer = tokenizer or bridge.tokenizer
    if compatibility_mode:
        bridge.enable_compatibility_mode(disable_warnings=True)
    codec = None if tokenizer is None else TokenizerCodec(tokenizer, int(bridge.cfg.d_vocab))
    return BridgedModel(bridge, codec)


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
    return BridgedModel(bridge.to(device, dtype), codec, native=True)


def is_hugging_face(folder: Path) -> bool:
    """Whether a folder was written by `save_pretrained`."""
    import json

    file = folder / "config.json"
    try:
        return "model_type" in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


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


def _bridge_folder(
    folder: Path, tokenizer: Any, device: str | torch.device, dtype: torch.dtype
) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{folder} holds no causal model in safetensors: {said:.200}") from None
    if tokenizer is None and (folder / "tokenizer.json").is_file():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return _bridge_module(cast(nn.Module, model).to(device)), tokenizer


def _bridge_hub(
    name: str,
    tokenizer: Any,
    device: str | torch.device,
    dtype: torch.dtype,
    revision: str | None,
) -> Any:
    from transformer_lens.model_bridge import TransformerBridge

    try:
        return TransformerBridge.boot_transformers(
            name, device=device, dtype=dtype, tokenizer=tokenizer, revision=revision
        )
    except Exception as error:  # the hub's client raises many kinds
        said = " ".join(str(error).split())
        raise FileNotFoundError(
            f"{name!r} is neither a network here nor one that the hub gives: {said:.200}"
        ) from error
