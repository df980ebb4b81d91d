"""Networks in the format of llama2.c, as Hugging Face Llamas.

Source: Karpathy 2023, llama2.c, `export.py` (version 0) and `run.c` (the tokenizer).
"""

import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from worldscope.networks.huggingface import BridgedModel, load_hugging_face

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

_BOS = 1


class _Header(NamedTuple):
    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    """Negative if the unembedding is not tied to the embedding."""
    context: int


def is_llama2c(path: Path) -> bool:
    """Whether a file, or the one .bin file of a folder that is no tokenizer, is of this format."""
    try:
        return _header(_weights_file(path)).layers < 1000
    except (OSError, ValueError):
        return False


def load_llama2c(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    compatibility_mode: bool = False,
) -> BridgedModel:
    """A network in llama2.c's format, with the vocabulary `tok*.bin` beside it if there is one.

    Args:
        path: The file, or its folder.
        device: Where to put it.
        dtype: Type of its weights and of the matrix products.
        compatibility_mode: See `load_hugging_face`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file has another size than its header says.
    """
    file = _weights_file(Path(path))
    model = read_llama(file)
    vocabularies = sorted(file.parent.glob("tok*.bin"))
    tokenizer = read_vocabulary(vocabularies[0], model.config.vocab_size) if vocabularies else None
    return load_hugging_face(
        model,
        tokenizer=tokenizer,
        device=device,
        dtype=dtype,
        compatibility_mode=compatibility_mode,
    )


def read_llama(file: Path) -> "LlamaForCausalLM":
    """The weights as a Hugging Face model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    h = _header(file)
    config = LlamaConfig(
        vocab_size=abs(h.vocab),
        hidden_size=h.dim,
        intermediate_size=h.hidden,
        num_hidden_layers=h.layers,
        num_attention_heads=h.heads,
        num_key_value_heads=h.kv_heads,
        max_position_embeddings=h.context,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=h.vocab > 0,
        bos_token_id=_BOS,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    model.load_state_dict(_named(file, h), strict=True)
    return model.eval()


def read_vocabulary(file: Path, n_symbols: int) -> "PreTrainedTokenizerFast":
    """The vocabulary as a Hugging Face tokenizer: pairs merge in the order of their scores.

    Raises:
        ValueError: If the file is truncated.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces, scores = _pieces(file, n_symbols)
    symbol_of = {piece: symbol for symbol, piece in reversed(list(enumerate(pieces)))}
    pairs = [
        (-scores[symbol], symbol_of[piece[:cut]], (piece[:cut], piece[cut:]))
        for piece, symbol in symbol_of.items()
        if symbol > 258
        for cut in range(1, len(piece))
        if piece[:cut] in symbol_of and piece[cut:] in symbol_of
    ]
    model = models.BPE(
        vocab=symbol_of,
        merges=[pair for _, _, pair in sorted(pairs)],
        unk_token="<unk>",
        byte_fallback=True,
        fuse_unk=False,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", _BOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def _weights_file(path: Path) -> Path:
    if path.is_file():
        return path
    files = [file for file in sorted(path.glob("*.bin")) if not file.name.startswith("tok")]
    if len(files) != 1:
        raise FileNotFoundError(
            f"{path} holds {len(files)} networks in llama2.c's format; give one"
        )
    return files[0]


def _header(file: Path) -> _Header:
    with file.open("rb") as opened:
        head = opened.read(28)
    if len(head) < 28:
        raise ValueError(f"{file} has {len(head)} bytes; llama2.c's header alone has 28")
    header = _Header(*struct.unpack("<7i", head))
    if min(header._replace(vocab=abs(header.vocab))) < 1 or header.dim % header.heads:
        raise ValueError(f"{file} is not in llama2.c's format (version 0): it begins {header}")
    return header


def _named(file: Path, h: _Header) -> dict[str, Tensor]:
    """Weights by Hugging Face's names."""
    width = h.dim // h.heads
    kv, vocab = h.kv_heads * width, abs(h.vocab)
    shapes = {
        "embed_tokens": (vocab, h.dim),
        "input_layernorm": (h.layers, h.dim),
        "self_attn.q_proj": (h.layers, h.dim, h.dim),
        "self_attn.k_proj": (h.layers, kv, h.dim),
        "self_attn.v_proj": (h.layers, kv, h.dim),
        "self_attn.o_proj": (h.layers, h.dim, h.dim),
        "post_attention_layernorm": (h.layers, h.dim),
        "mlp.gate_proj": (h.layers, h.hidden, h.dim),
        "mlp.down_proj": (h.layers, h.dim, h.hidden),
        "mlp.up_proj": (h.layers, h.hidden, h.dim),
        "norm": (h.dim,),
        "rotations": (2, h.context, width // 2),
    }
    if h.vocab < 0:
        shapes["lm_head"] = (vocab, h.dim)
    expected = 28 + 4 * sum(int(np.prod(shape)) for shape in shapes.values())
    if file.stat().st_size != expected:
        raise ValueError(
            f"{file} has {file.stat().st_size:,} bytes, and its header asks for {expected:,}; it "
            "is truncated or not in llama2.c's format (version 0)"
        )
    numbers, place = np.fromfile(file, "<f4", offset=28), 0
    named = {}
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        tensor = torch.from_numpy(numbers[place : place + size].reshape(shape).copy())
        place += size
        if name in ("self_attn.q_proj", "self_attn.k_proj"):
            tensor = _halves_apart(tensor, width)
        if len(shape) == 1 or name in ("embed_tokens", "lm_head"):
            named[name if name == "lm_head" else f"model.{name}"] = tensor
        elif name != "rotations":
            named |= {f"model.layers.{n}.{name}": part for n, part in enumerate(tensor)}
    named.setdefault("lm_head", named["model.embed_tokens"])
    return {f"{name}.weight": tensor for name, tensor in named.items()}


def _halves_apart(weight: Tensor, width: int) -> Tensor:
    """Rows of each head in the order of Hugging Face's rotary: halves, not adjacent pairs."""
    layers, rows, dim = weight.shape
    pairs = weight.view(layers, rows // width, width // 2, 2, dim)
    return pairs.transpose(2, 3).reshape(layers, rows, dim)


def _pieces(file: Path, n_symbols: int) -> tuple[list[str], list[float]]:
    data = file.read_bytes()
    pieces, scores, place = [], [], 4
    for symbol in range(n_symbols):
        if place + 8 > len(data):
            raise ValueError(f"{file} ends after {symbol} of {n_symbols} pieces; copy it again")
        score, length = struct.unpack_from("<fi", data, place)
        raw = data[place + 8 : place + 8 + length]
        place += 8 + length
        pieces.append(raw.decode("utf-8", "replace").replace(" ", "▁"))
        scores.append(score)
    if place != len(data):
        raise ValueError(
            f"{file} has {len(data):,} bytes, and its first {n_symbols} pieces end at {place:,}; "
            "give the vocabulary that the network was trained with"
        )
    pieces[:3] = ["<unk>", "<s>", "</s>"]
    return pieces, scores
