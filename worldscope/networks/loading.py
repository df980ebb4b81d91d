"""Networks by name, from a folder of ours, or from the zoo; and writing them."""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from worldscope.networks.codecs import BytesCodec, Codec, load_codec
from worldscope.networks.huggingface import load_bridge, load_hugging_face
from worldscope.networks.language_model import TrainableModel
from worldscope.networks.mlstm import MLSTM, MLSTMConfig
from worldscope.networks.quantised import pack_8bit, unpack_8bit
from worldscope.networks.transformer import Transformer, TransformerConfig

ZOO = Path(__file__).parent / "zoo"
KINDS = {
    network.kind: (network, shape)
    for network, shape in ((MLSTM, MLSTMConfig), (Transformer, TransformerConfig))
}
"""Networks of ours, and what describes their shape, by the `kind` of their configuration file."""


def zoo_names() -> list[str]:
    """Names of the shipped networks."""
    return sorted(path.parent.name for path in ZOO.glob("*/config.json"))


def zoo_checkpoints(name: str) -> list[tuple[str, float]]:
    """Names for `load_network` of a zoo network's checkpoints and of itself, in order of training.

    Returns:
        Each with the megabytes of text that it had read: the network itself if its card says so,
        and nothing for one outside the zoo.
    """
    if not name.startswith("zoo:") or "/" in name:
        return []
    folder = _zoo_folder(name[4:])
    stages = [(f"{name}/{path.name}", megabytes(path)) for path in folder.glob("checkpoints/*MB")]
    card = folder / "card.json"
    if card.is_file():
        seen = json.loads(card.read_text(encoding="utf-8"))["training"]["bytes_seen"]
        stages.append((name, seen / 1e6))
    return sorted(stages, key=lambda stage: stage[1])


def megabytes(checkpoint: Path) -> float:
    """How much text a checkpoint in a folder such as `4MB` had read."""
    return float(checkpoint.name.removesuffix("MB"))


def zoo_replicas(name: str) -> tuple[str, ...]:
    """The networks `zoo:<name>-<units>-seed<n>`: trained like a zoo network, from other seeds."""
    if not name.startswith("zoo:"):
        return ()
    wanted = re.compile(rf"{re.escape(name[4:])}-\d+-seed\d+")
    return tuple(f"zoo:{found}" for found in zoo_names() if wanted.fullmatch(found))


def load_network(
    source: Any,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = torch.float32,
    **settings: Any,
) -> Any:
    """A trained network, ready to run, behind one interface (`HookedNetwork`).

    One thread at a time may use it; load one for each thread, or hold a lock around every use.

    Args:
        source: `zoo:<name>` for a shipped network, `zoo:<name>/<checkpoint>` for one of its
            checkpoints; a folder written by `save_network` or by Hugging Face's
            `save_pretrained`; a file or folder of llama2.c, of a character LSTM of TensorFlow, or
            of the MDN-RNN of World Models; a name on the Hugging Face hub; a Hugging Face model in
            memory; or a `TransformerBridgeConfig`, with `weights`.
        device: Where to put it.
        dtype: Type of the matrix products, float32 or bfloat16, or its name. The weights of
            networks of ours stay float32.
        settings: For Hugging Face: `tokenizer`, `revision`, `compatibility_mode`; for llama2.c:
            `compatibility_mode`; for a configuration: `weights`, `tokenizer`. See
            `worldscope.networks.huggingface`.

    Raises:
        LookupError: If the zoo has no such network.
        FileNotFoundError: If there is no such network here or on the hub.
        ValueError: If its files are damaged or do not fit together, for another dtype, or for a
            device that is not there.
    """
    dtype, device = _dtype(dtype), _device(device)
    if not isinstance(source, str | Path):
        return _load_from_memory(source, device, dtype, settings)
    network = _load_named(source, device, dtype, settings)
    network.name = str(source)
    return network


def _dtype(given: str | torch.dtype) -> torch.dtype:
    for name, dtype in _DTYPES.items():
        if given in (name, dtype):
            return dtype
    raise ValueError(
        f"dtype is {given}; it must be torch.float32 or torch.bfloat16, or a name: "
        f"{' or '.join(_DTYPES)}"
    )


def _device(given: str | torch.device) -> torch.device:
    try:
        device = torch.device(given)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # the latter from a torch that was built without it
        raise ValueError(
            f"this machine, or this build of torch, has no device {str(given)!r}; give device='cpu'"
        ) from None
    return device


def _load_named(
    source: str | Path, device: str | torch.device, dtype: torch.dtype, settings: dict[str, Any]
) -> Any:
    def loaded(load: Callable[..., Any], where: str | Path) -> Any:
        _check_settings(load, source, settings)
        return load(where, device=device, dtype=dtype, **settings)

    if str(source).startswith("zoo:"):
        return loaded(_load_own, _zoo_folder(str(source)[4:]))
    path = Path(source)
    for recognised, home, load in _FORMATS:
        module = import_module(f"worldscope.networks.{home}")
        if path.exists() and getattr(module, recognised)(path):
            return loaded(getattr(module, load), path)
    of_hub = isinstance(source, str) and _HUB_NAME.fullmatch(source) and source not in zoo_names()
    if of_hub and not path.exists():
        return loaded(load_hugging_face, source)
    return loaded(_load_own, path)


def _check_settings(load: Callable[..., Any], source: str | Path, settings: Iterable[str]) -> None:
    """Raises:
    TypeError: If what loads the source takes no such setting.
    """
    known = list(inspect.signature(load).parameters)[1:]
    for name in settings:
        if name not in known:
            raise TypeError(f"{source} takes no setting {name!r}; it takes {', '.join(known)}")


_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
_FORMATS = (
    ("is_hugging_face", "huggingface", "load_hugging_face"),
    ("is_char_lstm", "char_lstm", "load_char_lstm"),
    ("is_mdn_rnn", "mdn_rnn", "load_mdn_rnn"),
    ("is_llama2c", "llama2c", "load_llama2c"),
)
"""Formats of others: what recognises one, where it lives, and what loads it."""


def _load_from_memory(
    source: Any, device: str | torch.device, dtype: torch.dtype, settings: dict[str, Any]
) -> Any:
    if isinstance(source, nn.Module):
        return load_hugging_face(source, device=device, dtype=dtype, **settings)
    if "weights" in settings:
        return load_bridge(source, device=device, dtype=dtype, **settings)
    raise ValueError(
        f"a {type(source).__name__} is no network: give a name, a folder, a Hugging Face model, or "
        "a TransformerBridgeConfig with weights=..."
    )


def _load_own(folder: Path, *, device: str | torch.device, dtype: torch.dtype) -> TrainableModel:
    kind, config = _read_config(folder)
    network = kind(config, load_codec(config.codec, _codec_folder(folder)))
    network.load_state_dict(_read_weights(folder / "model.safetensors", network))
    network.dtype = dtype
    return network.requires_grad_(False).eval().to(device)


Storage = Literal["float32", "float16", "int8"]


def save_network(
    network: TrainableModel, folder: str | Path, *, storage: Storage = "float32"
) -> None:
    """Writes config.json, the codec and the weights as safetensors.

    A network that was there stays whole until all of the new one is written.

    Args:
        network: What to write.
        folder: Where to; made if missing.
        storage: Type of the stored weights; int8 stores matrices as 8-bit integers with one scale
            a row (a quarter of the size).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".saving-") as staged:
        _write(network, Path(staged), storage)
        for file in sorted(Path(staged).iterdir()):
            file.replace(folder / file.name)


def _write(network: TrainableModel, folder: Path, storage: Storage) -> None:
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    if storage == "float16":
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    packed = pack_8bit(tensors) if storage == "int8" else tensors
    (folder / "model.safetensors").write_bytes(save(packed))  # save_file lets nobody else read it
    network.codec.save(folder)
    config = json.dumps({"kind": network.kind, **asdict(network.config)}, indent=2)
    (folder / "config.json").write_text(config + "\n")


def new_mlstm(
    codec: Codec | None = None, *, d_hidden: int = 512, d_embed: int = 64, seed: int = 0
) -> MLSTM:
    """A multiplicative LSTM with the initial weights of a seed.

    Args:
        codec: What it reads; bytes if None.
        d_hidden: Number of units.
        d_embed: Width of the symbol embedding.
        seed: Of the weights; torch's global generator is left as it was.
    """
    codec = codec or BytesCodec()
    network = MLSTM(MLSTMConfig(codec.n_symbols, d_hidden, d_embed, codec.name), codec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network.initialise()
    return network


def _zoo_folder(name: str) -> Path:
    network, _, checkpoint = name.partition("/")
    if network not in zoo_names():
        raise LookupError(f"the zoo has no {network!r}; it has {_listed(zoo_names())}")
    if not checkpoint:
        return ZOO / network
    folders = {path.name: path for path in (ZOO / network / "checkpoints").glob("*")}
    if checkpoint not in folders:
        raise LookupError(f"{network} has no checkpoint {checkpoint!r}; it has {_listed(folders)}")
    return folders[checkpoint]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _read_config(folder: Path) -> tuple[Callable[[Any, Codec], TrainableModel], Any]:
    """The class of a network and its configuration."""
    file = folder / "config.json"
    if (folder / "checkpoint" / "config.json").is_file() and not file.is_file():
        raise FileNotFoundError(
            f"the training in {folder} has not finished: go on with it, or load "
            f"{folder / 'checkpoint'}"
        )
    if not file.is_file():
        lack = "config.json is missing" if folder.exists() else "there is no such file or folder"
        raise FileNotFoundError(
            f"{folder} holds no network: {lack} "
            f"(shipped networks are called zoo:<name>: {_listed(zoo_names())})"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        kind = config.pop("kind", None) if isinstance(config, dict) else None
        if kind not in KINDS:
            raise ValueError(f"its kind is {kind!r}, not {' or '.join(KINDS)}")
        types = get_type_hints(KINDS[kind][1])
        if odd := sorted(config.keys() ^ types.keys()):
            raise ValueError(f"it lacks, or should not have, {', '.join(odd)}")
        for name, value in config.items():
            if not isinstance(value, types[name]):
                raise ValueError(f"{name} is {value!r}, not {types[name].__name__}")
        of_kind, shape = KINDS[kind]
        return of_kind, shape(**config)
    except ValueError as error:
        raise ValueError(f"{file} does not describe a network known here: {error}") from None


def _codec_folder(folder: Path) -> Path:
    """Checkpoints of the zoo share the codec of their network."""
    of_zoo = folder.parent.name == "checkpoints" and folder.is_relative_to(ZOO)
    return folder.parents[1] if of_zoo else folder


def _read_weights(path: Path, network: TrainableModel) -> dict[str, torch.Tensor]:
    try:
        packed = load_file(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing; copy the whole folder of the network"
        ) from None
    except SafetensorError as error:
        raise ValueError(
            f"{path} is truncated or not safetensors ({error}); copy it again"
        ) from None
    tensors = _unpacked(packed, path)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {
        name: tuple(tensor.shape) for name, tensor in tensors.items() if tensor.is_floating_point()
    }
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"{path} holds {_shaped(name, found)}, but config.json asks for "
                f"{_shaped(name, expected)}; the two files are not of one network"
            )
    return {name: tensors[name].float() for name in expected}


def _unpacked(packed: Mapping[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    try:
        return unpack_8bit(packed)
    except RuntimeError as error:
        raise ValueError(
            f"{path} holds scales that do not fit its rows ({error}); copy it again"
        ) from None


def _shaped(name: str, shapes: Mapping[str, tuple[int, ...]]) -> str:
    return f"{name} of shape {shapes[name]}" if name in shapes else f"no {name}"
