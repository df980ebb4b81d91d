"""The command line: `worldscope run`, `train`, `units`, `hooks`, `collect`, `store`, `dashboard`.

Each command is a function whose signature and docstring are its help. What a command needs is
imported inside it, so that `--help` answers at once.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser, auto_cli, auto_parser, set_parsing_settings

from experiments.sentiment_neuron.config import DEFAULT_NETWORK, PRESETS, Preset
from worldscope.activations.settings import ReadSettings
from worldscope.networks.train_config import TRANSFORMER, TrainConfig

if TYPE_CHECKING:
    from worldscope.worlds.world import World

set_parsing_settings(docstring_parse_attribute_docstrings=True)

_EXPECTED = (
    ValueError,
    LookupError,
    FileNotFoundError,
    FileExistsError,
    FloatingPointError,
    OSError,
)


def run_sentiment_neuron(
    preset: Preset = "demo",
    network: str = DEFAULT_NETWORK,
    replicas: tuple[str, ...] | None = None,
    data: str | None = None,
    limit: int | None = None,
    name: str | None = None,
    seed: int = 0,
) -> None:
    """Find, test and steer the sentiment unit of a network; writes runs/<name>/report.html.

    Args:
        preset: `demo` uses the reviews that ship with Worldscope; `full` uses IMDB and SST.
        network: `zoo:<name>` or the folder of a network.
        replicas: Networks from other seeds, to be read in the same way; those that the zoo has for
            a shipped network if not given.
        data: Folder that holds imdb/, sst/ and pang_lee/; without it `full` asks the hub.
        limit: Largest number of texts of each part of each data set; all if not given.
        name: Name of the run's folder; made from the time if not given.
        seed: Seed of splits, baselines and generations.
    """
    from experiments.sentiment_neuron.study import run_study

    config = replace(
        PRESETS[preset],
        network=network,
        replicas=replicas,
        data=data,
        limit=limit,
        seed=seed,
    )
    run = run_study(config, name=name)
    print(f"report: {run.report_path}")


def train_mlstm(
    data: tuple[str, ...] | str,
    out: str | None = None,
    folder: str | None = None,
    text_column: str = "text",
    group_column: str | None = None,
    hidden: int | None = None,
    embed: int | None = None,
    codec: Literal["bytes", "bpe"] | None = None,
    init: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    training: TrainConfig = TrainConfig(),  # noqa: B008  # frozen
) -> None:
    """Train a multiplicative LSTM on any text; goes on by itself where a stopped training ended.

    Args:
        data: A file (jsonl, csv, parquet, txt, plain or .gz), a folder of them, a data set's name
            on the hub, or one of our review sets: imdb and sst, without their test parts, or short.
            Several are written `[imdb,books.jsonl]`.
        out: Folder of the training; trainings/mlstm-<codec>-<hidden>-<data>, or with the
            name of the network to start from, if not given.
        folder: Folder that holds imdb/ or sst/, for these two names.
        text_column: Column with the text.
        group_column: Column of what must not be in both training and validation.
        hidden: Number of units; 512 if not given.
        embed: Width of the symbol embedding; 64 if not given.
        codec: bytes, which is taken if not given, or bpe: byte-pair pieces learned from the text.
        init: Network to start from, `zoo:<name>` or a folder, instead of random weights. It brings
            its own hidden, embed and codec.
        device: cpu or cuda.
        threads: Number of processor threads; all if not given.
        training: How to train.
    """
    from worldscope.networks.train_command import MLSTMShape

    asked = {"codec": codec, "hidden": hidden, "embed": embed}
    source = (data, folder, text_column, group_column)
    _train("mlstm", MLSTMShape, asked, source, out, init, device, threads, training)


def train_transformer(
    data: tuple[str, ...] | str,
    out: str | None = None,
    folder: str | None = None,
    text_column: str = "text",
    group_column: str | None = None,
    d_model: int | None = None,
    layers: int | None = None,
    heads: int | None = None,
    context: int | None = None,
    codec: Literal["bytes", "bpe"] | None = None,
    init: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    training: TrainConfig = TRANSFORMER,
) -> None:
    """Train a transformer on any text; goes on by itself where a stopped training ended.

    Args:
        data: A file (jsonl, csv, parquet, txt, plain or .gz), a folder of them, a data set's name
            on the hub, or one of our review sets: imdb and sst, without their test parts, or short.
            Several are written `[imdb,books.jsonl]`.
        out: Folder of the training; trainings/transformer-<codec>-<layers>x<d_model>-<data>, or
            with the name of the network to start from, if not given.
        folder: Folder that holds imdb/ or sst/, for these two names.
        text_column: Column with the text.
        group_column: Column of what must not be in both training and validation.
        d_model: Width of the residual stream; 256 if not given.
        layers: Number of blocks; 4 if not given.
        heads: Attention heads of a block; 4 if not given.
        context: Largest number of symbols that are read together, and so of training.chunk; 256 if
            not given.
        codec: bpe, byte-pair pieces learned from the text, which is taken if not given, or bytes.
        init: Network to start from, `zoo:<name>` or a folder, instead of random weights. It brings
            its own shape and codec.
        device: cpu or cuda.
        threads: Number of processor threads; all if not given.
        training: How to train.
    """
    from worldscope.networks.train_command import TransformerShape

    if context is not None:
        training = replace(training, chunk=min(training.chunk, context))
    sizes = {"d_model": d_model, "layers": layers, "heads": heads, "context": context}
    asked = {"codec": codec, **sizes}
    source = (data, folder, text_column, group_column)
    _train("transformer", TransformerShape, asked, source, out, init, device, threads, training)


def units(
    data: str,
    network: str = DEFAULT_NETWORK,
    text_column: str = "text",
    label_column: str = "label",
    group_column: str | None = None,
    hook: str = "hook_c",
    top: int = 10,
    limit: int | None = None,
    out: str | None = None,
    seed: int = 0,
) -> None:
    """Rank the units of a network for a label of your own data, with a held-out score and chance.

    Args:
        data: A file (jsonl, csv, parquet, txt, plain or .gz), a folder of them, or a hub name.
        network: `zoo:<name>` or the folder of a network.
        text_column: Column with the text.
        label_column: Column with two classes.
        group_column: Column of what must not be in both training and test.
        hook: Where to read; the cell state by default.
        top: How many units to print.
        limit: Largest number of texts, drawn at random.
        out: Write all units to this .csv or .parquet file.
        seed: Seed of the split, the draw and the permutations.
    """
    from experiments.sentiment_neuron.units_command import rank

    print(rank(data, network, text_column, label_column, group_column, hook, top, limit, out, seed))


def hooks(network: str = DEFAULT_NETWORK) -> None:
    """List the places where a network can be read: names, axes, widths, other names, editable.

    Args:
        network: `zoo:<name>` or the folder of a network.
    """
    from worldscope.networks.hooked import describe_hooks
    from worldscope.networks.loading import load_network

    print(describe_hooks(load_network(network)))


def collect(
    data: str,
    hooks: tuple[str, ...] | str,
    out: str,
    network: str = DEFAULT_NETWORK,
    text_column: str = "text",
    label_column: str | None = None,
    group_column: str | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    arithmetic: Literal["float32", "bfloat16"] = "float32",
    shard_mb: float = 128.0,
    device: str = "cpu",
    limit: int | None = None,
    read: ReadSettings = ReadSettings(),  # noqa: B008  # frozen
) -> None:
    """Write the activations of a network to disk; goes on by itself where it was stopped.

    Args:
        data: A file (jsonl, csv, parquet, txt, plain or .gz), a folder of them, a data set's name
            on the hub, or one of our review sets, which ship with Worldscope: short.
        hooks: Hook names, parted by commas; `worldscope hooks` lists them.
        out: Folder of the store.
        network: Whatever `ws.load_network` takes by name.
        text_column: Column with the text.
        label_column: Column of classes that rides along.
        group_column: Column of what must not be parted by a split.
        dtype: Type of the stored numbers.
        arithmetic: Type of the network's matrix products.
        shard_mb: Megabytes of activations after which a file is closed.
        device: cpu or cuda.
        limit: Read only so many texts, drawn at random. Without a group column the groups of the
            rows are the numbers of the texts in the file, from 0 on.
        read: Which positions become rows, and how texts are read.
    """
    from worldscope.activations.command import collect_to

    store = collect_to(
        out,
        network,
        data,
        hooks,
        (text_column, label_column, group_column),
        dtype=dtype,
        arithmetic=arithmetic,
        shard_mb=shard_mb,
        device=device,
        limit=limit,
        settings=read,
    )
    print(store)


def store_info(folder: str) -> None:
    """Say what an activation store holds and where it comes from.

    Args:
        folder: Of the store.
    """
    from worldscope.activations.describe import describe_store
    from worldscope.activations.store import load_store

    print(describe_store(load_store(folder)))


def store_verify(folder: str) -> None:
    """Compare every file of a store with its checksum; exit status 1 if it is not whole.

    Args:
        folder: Of the store.
    """
    from worldscope.activations.store import load_store

    store = load_store(folder)
    damage = store.verify()
    if damage:
        raise ValueError(f"{folder} is not whole: {'; '.join(damage)}")
    print(f"{folder} is whole: {len(store):,} rows in {len(store.manifest.shards)} shards")


def dashboard(port: int = 8501, runs: str | None = None) -> None:
    """Open the dashboard in a browser on this machine.

    Args:
        port: Port on localhost.
        runs: Folder of runs; ./runs if not given.
    """
    from dashboards.launch import launch

    launch(port=port, runs=None if runs is None else Path(runs))


COMMANDS = {
    "run": {"_help": "Run a study.", "sentiment_neuron": run_sentiment_neuron},
    "train": {"_help": "Train a network.", "mlstm": train_mlstm, "transformer": train_transformer},
    "units": units,
    "hooks": hooks,
    "collect": collect,
    "store": {"_help": "Look at activations on disk.", "info": store_info, "verify": store_verify},
    "dashboard": dashboard,
}


_SUBJECTS = {
    ("hooks",): "--network",
    ("store", "info"): "--folder",
    ("store", "verify"): "--folder",
}
"""Options whose name may be left out, straight after the command."""
_GROUPS = {
    ("collect",): ("read", ReadSettings),
    ("train", "mlstm"): ("training", TrainConfig),
    ("train", "transformer"): ("training", TrainConfig),
}
"""Groups whose name may be left out before an option: `--positions` is `--read.positions`."""


class DashedParser(ArgumentParser):
    """Writes options with dashes: `--text-column` for the parameter `text_column`."""

    def add_argument(self, *names: str, **settings: Any) -> Any:
        """See `argparse.ArgumentParser.add_argument`."""
        dashed = (name.replace("_", "-") if name.startswith("--") else name for name in names)
        return super().add_argument(*dashed, **settings)


_PARSER = {
    "as_positional": False,
    "parser_class": DashedParser,
    "prog": "worldscope",
    "description": "Find, prove and move the features of a network.",
}


def build_parser() -> ArgumentParser:
    """The parser of the whole command line."""
    return auto_parser(COMMANDS, **_PARSER)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; what the user can mend is said in one sentence, without a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        auto_cli(COMMANDS, args=_with_group(_with_subject(given)), **_PARSER)
        sys.stdout.flush()
    except BrokenPipeError:  # what reads us, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (KeyError, IndexError):  # no sentence of ours
        raise
    except _EXPECTED as error:
        print(f"worldscope: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("worldscope: stopped", file=sys.stderr)
        sys.exit(130)


def _with_subject(arguments: list[str]) -> list[str]:
    """`store info FOLDER` as `store info --folder FOLDER`."""
    for command, option in _SUBJECTS.items():
        rest = arguments[len(command) :]
        if tuple(arguments[: len(command)]) == command and rest and not rest[0].startswith("-"):
            return [*command, option, *rest]
    return arguments


def _with_group(arguments: list[str]) -> list[str]:
    """`collect --positions last` as `collect --read.positions last`."""
    for command, (group, settings) in _GROUPS.items():
        if tuple(arguments[: len(command)]) == command:
            short = {f"--{field.name.replace('_', '-')}" for field in fields(settings)}
            return [
                f"--{group}.{argument[2:]}" if argument.partition("=")[0] in short else argument
                for argument in arguments
            ]
    return arguments


def _train(
    kind: str,
    shape: Callable[..., Any],
    asked: dict[str, Any],
    source: tuple[tuple[str, ...] | str, str | None, str, str | None],
    out: str | None,
    init: str | None,
    device: str,
    threads: int | None,
    training: TrainConfig,
) -> None:
    import torch

    from worldscope.networks.loading import load_network
    from worldscope.networks.train_command import train

    given = {name: value for name, value in asked.items() if value is not None}
    if init is not None and given:
        raise ValueError(f"{init} has its own {' and '.join(given)}; give init, or these")
    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads is {threads}; it must be at least 1")
        torch.set_num_threads(threads)
    start = shape(**given) if init is None else load_network(init)
    if init is not None and start.kind != kind:
        raise ValueError(f"{init} is not a {kind}: use `worldscope train {start.kind}`")
    worlds = _training_worlds(*source)
    texts = [text for world in worlds for text in world.inputs]
    groups = [(world.name, group) for world in worlds for group in world.groups]
    named = "-".join(world.name for world in worlds)
    name = f"{kind}-{init or start}-{named}".replace(":", "-").replace("/", "-")
    folder = Path(out) if out else Path("trainings") / name
    train(texts, groups, folder, start, device=device, config=training)
    print(f"network: {folder}")


def _training_worlds(
    data: tuple[str, ...] | str,
    folder: str | None,
    text_column: str,
    group_column: str | None,
) -> list["World"]:
    names = (data,) if isinstance(data, str) else data
    return [_training_world(name, folder, text_column, group_column) for name in names]


def _training_world(
    data: str, folder: str | None, text_column: str, group_column: str | None
) -> "World":
    from worldscope.worlds.files import load_world
    from worldscope.worlds.reviews import load_reviews

    if data in ("imdb", "sst"):
        return load_reviews(data, data=folder).select(lambda row: row["split"] != "test")
    if data == "short":
        return load_reviews(data)
    return load_world(data, text_column=text_column, group_column=group_column)
