"""Character LSTMs that were trained in TensorFlow and stored tensor by tensor.

A folder holds `vocab.json`, which numbers the characters, `manifest.json`, which names the tensors
and their shapes, and each tensor as raw little-endian float32 (the format of ml5's charRNN).
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from worldscope.networks.codecs import Codec, Encoding
from worldscope.networks.generation import pad_right
from worldscope.networks.hooked import HookPoint, Piece
from worldscope.networks.language_model import LanguageModel, State
from worldscope.networks.torch_recurrent import lstm_of_tensorflow, recurrent_hooks, run_recurrent


class CharacterCodec(Codec):
    """One symbol for each character of a fixed set; texts are read as they are."""

    name = "characters"

    def __init__(self, symbol_of: dict[str, int]):
        """Args:
        symbol_of: Symbol of each character: 0 … n − 1.
        """
        self.symbol_of, self.n_symbols = symbol_of, len(symbol_of)
        self._characters = sorted(symbol_of, key=symbol_of.__getitem__)

    def encode(self, text: str, *, end: bool = True) -> list[int]:
        """Symbols of a text.

        Raises:
            ValueError: If it is empty, or holds a character outside the set.
        """
        if not text:
            raise ValueError("the text is empty; give at least one character")
        for place, character in enumerate(text):
            if character not in self.symbol_of:
                raise ValueError(
                    f"character {place} of the text is {character!r}, which this network never "
                    f"saw; it knows {''.join(sorted(self.symbol_of))!r}"
                )
        return [self.symbol_of[character] for character in text]

    def locate(self, text: str) -> Encoding:
        """See `Codec.locate`: symbol i is character i."""
        places = np.arange(len(text))
        nowhere = np.zeros(len(text), dtype=bool)
        return Encoding(self.encode(text), places, places + 1, nowhere)

    def pieces(self, symbols: Sequence[int]) -> list[bytes]:
        """See `Codec.pieces`."""
        return [self._characters[symbol].encode() for symbol in symbols]

    def save(self, folder: Path) -> None:
        """Writes `vocab.json`."""
        (folder / "vocab.json").write_text(self.specification(), encoding="utf-8")

    def specification(self) -> str:
        """See `Codec.specification`."""
        return json.dumps(self.symbol_of)


class CharLSTMOutput(NamedTuple):
    """What a forward pass gives back."""

    logits: Float[Tensor, "batch time n_symbols"]
    """Scores of the next character after each."""
    reads: dict[str, Float[Tensor, "batch time d"]]
    """The asked-for activations by canonical hook name, after edits."""
    state: State
    """Last h and c, each (layers, batch, d)."""


class CharLSTM(LanguageModel):
    """Embedding, LSTM layers, softmax.

    Hooks `embed.hook_out` and `lstm.<layer>.hook_{h,c,i,f,o,u}`.
    """

    def __init__(
        self,
        codec: CharacterCodec,
        embedding: Float[Tensor, "n_symbols d_in"],
        lstm: nn.LSTM,
        w_out: Float[Tensor, "d n_symbols"],
        b_out: Float[Tensor, " n_symbols"],
    ):
        """All weights are given."""
        super().__init__()
        self.codec, self.lstm = codec, lstm
        self.embed = nn.Parameter(embedding)
        self.w_out, self.b_out = nn.Parameter(w_out), nn.Parameter(b_out)
        widths = {"embed.hook_out": embedding.shape[1], **recurrent_hooks(lstm, "lstm")}
        self.hook_dict = {name: HookPoint(name, width) for name, width in widths.items()}

    @torch.no_grad()
    def forward(
        self,
        symbols: Int[Tensor, "batch time"],
        state: State | None = None,
        read: Collection[str] = (),
        *,
        logits: bool = True,
        first_step: int = 0,
    ) -> CharLSTMOutput:
        """Runs the network without gradients.

        Args:
            symbols: Characters of each text.
            state: h and c before the first; zeros if None.
            read: Hook names to return, after edits.
            logits: Whether to compute the scores of the next character; else they are empty.
            first_step: What `hook.step` is at the first character, for a text that goes on.

        Raises:
            LookupError: If a hook name is unknown.
        """
        names = self.hook_names(list(read))
        acting = {name: point for name, point in self.hook_dict.items() if point.edits}
        embedded, point = self.embed[symbols.to(self.device)], acting.pop("embed.hook_out", None)
        if point is not None:
            steps = enumerate(embedded.unbind(1), first_step)
            embedded = torch.stack([point.apply(value, step) for step, value in steps], dim=1)
        edits = {
            name: lambda value, step, p=point: p.apply(value, first_step + step)
            for name, point in acting.items()
        }
        lstm_names = [name for name in names if name != "embed.hook_out"]
        if lstm_names or edits:
            h, last, reads = run_recurrent(
                self.lstm, embedded, state, prefix="lstm", read=lstm_names, edits=edits
            )
        else:
            (h, last), reads = self.lstm(embedded, state), {}
        self.runs += 1
        scores = h @ self.w_out + self.b_out if logits else h[..., :0]
        available = {"embed.hook_out": embedded, **reads}
        return CharLSTMOutput(scores, {name: available[name] for name in names}, last)

    def stream_reads(
        self,
        inputs: Int[Tensor, "batch time"],
        lengths: Int[np.ndarray, " batch"],
        names: Sequence[str],
        *,
        chunk: int,
    ) -> Iterator[Piece]:
        """See `HookedNetwork.stream_reads`; the state is carried from piece to piece."""
        state = None
        for start in range(0, inputs.shape[1], chunk):
            alive = int((lengths > start).sum())
            if state is not None:
                state = tuple(part[:, :alive] for part in state)
            part = inputs[:alive, start : start + chunk]
            output: CharLSTMOutput = self(part, state, read=names, logits=False, first_step=start)
            state = output.state
            yield Piece(start, start + part.shape[1], output.reads)

    def begin(self, prompts: Sequence[Sequence[int]]) -> tuple[Float[Tensor, "batch n"], State]:
        """See `LanguageModel.begin`; the last layer's h and every state end with each prompt."""
        padded, lengths = pad_right(prompts, self.device)
        layers = range(self.lstm.num_layers)
        names = [f"lstm.{layer}.hook_{part}" for part in "hc" for layer in layers]
        output: CharLSTMOutput = self(padded, read=names)
        rows, last = torch.arange(len(padded), device=self.device), lengths - 1
        h, c = (
            torch.stack([output.reads[f"lstm.{n}.hook_{part}"][rows, last] for n in layers])
            for part in "hc"
        )
        return output.logits[rows, last], (h, c)

    def go_on(
        self, symbols: Int[Tensor, " batch"], state: State, step: int
    ) -> tuple[Float[Tensor, "batch n"], State]:
        """See `LanguageModel.go_on`."""
        output: CharLSTMOutput = self(symbols.unsqueeze(1), state, first_step=step)
        return output.logits[:, 0], output.state


def is_char_lstm(folder: Path) -> bool:
    """Whether a folder holds such a network."""
    return (folder / "manifest.json").is_file() and (folder / "vocab.json").is_file()


def load_char_lstm(
    folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> CharLSTM:
    """A character LSTM from its folder.

    Args:
        folder: Holds vocab.json, manifest.json and the tensors.
        device: Where to put it.
        dtype: float32 only.

    Raises:
        ValueError: If a tensor is missing or of another size, or for another dtype.
    """
    if dtype != torch.float32:
        raise ValueError(f"dtype is {dtype}; a character LSTM is read in torch.float32")
    folder = Path(folder)
    tensors = _read_tensors(folder)
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    codec = CharacterCodec({character: int(symbol) for character, symbol in vocabulary.items()})
    lstm = lstm_of_tensorflow(
        _matching(tensors, ("kernel", "weights"), folder),
        _matching(tensors, ("bias", "biases"), folder),
    )
    network = CharLSTM(
        codec, tensors["embedding"], lstm, tensors["rnnlm_softmax_w"], tensors["rnnlm_softmax_b"]
    )
    return network.requires_grad_(False).eval().to(device)


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        described = {
            name.replace("/", "_"): (entry["filename"], entry["shape"])
            for name, entry in manifest.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / 'manifest.json'} does not list tensors: {error}") from None
    found = {}
    for name, (filename, shape) in described.items():
        if name == "Variable":  # the step counter of the training
            continue
        file = folder / Path(filename).name
        size = 4 * int(np.prod(shape))
        if not file.is_file() or file.stat().st_size != size:
            has = f"{file.stat().st_size:,} bytes" if file.is_file() else "not there"
            raise ValueError(f"{file} is {has}, and the manifest asks for {size:,} bytes")
        found[name] = torch.from_numpy(np.fromfile(file, "<f4").reshape(shape))
    return found


def _matching(tensors: dict[str, Tensor], ends: tuple[str, ...], folder: Path) -> list[Tensor]:
    """Tensors of the LSTM's layers whose names end so, in the order of the layers' numbers."""
    found = (name for name in tensors if "lstm_cell" in name and name.endswith(ends))
    names = sorted(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    if not names:
        raise ValueError(f"{folder} lists no tensor of an LSTM cell that ends with {ends[0]}")
    return [tensors[name] for name in names]
