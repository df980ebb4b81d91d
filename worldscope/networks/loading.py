"""Networks by name, from a folder of ours, or from the zoo; and writing them."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from worldscope.networks.codecs import BytesCodec, Codec, load_codec
from worldscope.networks.mlstm import MLSTM, MLSTMConfig
from worldscope.networks.quantised import pack_8bit, unpack_8bit

ZOO = Path(__file__).parent / "zoo"


def zoo_names() -> list[str]:
    """Names of the shipped networks."""
    return sorted(path.parent.name for path in ZOO.glob("*/config.json"))


def load_network(
    name: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> MLSTM:
    """A trained network, ready to run.

    Args:
        name: `zoo:<name>` for a shipped network, `zoo:<name>/<checkpoint>` for one of its
            checkpoints, or a folder written by `save_network`.
        device: Where to put it.
        dtype: Type of the matrix products, float32 or bfloat16. Cells and gates stay float32.

    Raises:
        LookupError: If the zoo has no such network.
        FileNotFoundError: If the folder holds no network.
        ValueError: If its weights are truncated or do not fit its configuration.
    """
    folder = _zoo_folder(str(name)[4:]) if str(name).startswith("zoo:") else Path(name)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no network: config.json is missing")
    config = json.loads((folder / "config.json").read_text())
    if config.pop("kind", None) != "mlstm":
        raise ValueError(f"{folder / 'config.json'} does not describe a network that is known here")
    codec = load_codec(config["codec"], folder)
    network = MLSTM(MLSTMConfig(**config), codec)
    network.load_state_dict(_read_weights(folder / "model.safetensors", network))
    network.dtype = dtype
    return network.requires_grad_(False).eval().to(device)


def save_network(network: MLSTM, folder: str | Path, *, eight_bit: bool = False) -> None:
    """Writes config.json, the codec and the weights as safetensors; nothing is left half-written.

    Args:
        network: What to write.
        folder: Where to; made if missing.
        eight_bit: Store matrices as 8-bit integers with one scale a row (a quarter of the size).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    partial = folder / "model.safetensors.partial"
    save_file(pack_8bit(tensors) if eight_bit else tensors, partial)
    network.codec.save(folder)
    config = json.dumps({"kind": "mlstm", **asdict(network.config)}, indent=2)
    (folder / "config.json").write_text(config + "\n")
    partial.replace(folder / "model.safetensors")


def new_mlstm(
    codec: Codec | None = None, *, d_hidden: int = 512, d_embed: int = 64, seed: int = 0
) -> MLSTM:
    """A multiplicative LSTM with the initial weights of a seed; the global generator is untouched."""
    codec = codec or BytesCodec()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MLSTM(MLSTMConfig(codec.n_symbols, d_hidden, d_embed, codec.name), codec)


def _zoo_folder(name: str) -> Path:
    network, _, checkpoint = name.partition("/")
    if network not in zoo_names():
        raise LookupError(f"the zoo has no {network!r}; it has {', '.join(zoo_names())}")
    if not checkpoint:
        return ZOO / network
    folder = ZOO / network / "checkpoints" / checkpoint
    if not folder.is_dir():
        there = sorted(path.name for path in (ZOO / network / "checkpoints").glob("*"))
        raise LookupError(f"{network} has no checkpoint {checkpoint!r}; it has {', '.join(there)}")
    return folder


def _read_weights(path: Path, network: MLSTM) -> dict[str, torch.Tensor]:
    try:
        tensors = unpack_8bit(load_file(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing; copy the whole folder of the network") from None
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or not safetensors ({error}); copy it again") from None
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in expected.keys() | found.keys():
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"{path} holds {name} of shape {found.get(name)}, but config.json asks for "
                f"{expected.get(name)}; the two files are not of one network"
            )
    return tensors
