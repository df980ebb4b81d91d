"""Puts a finished training into the zoo: weights, small checkpoints and a card with its figures.

    python -m experiments.sentiment_neuron.ship --training trainings/mlstm-bytes-512-imdb \\
        --name reviews-mlstm --data DATA --command "worldscope train mlstm …"

A network that read other text beside the reviews says so with `--also`.
"""

import json
import shutil
from pathlib import Path

from jsonargparse import auto_cli

from evidence.compression import compression_baselines
from worldscope.networks.corpus import pack
from worldscope.networks.loading import ZOO, Storage, load_network, megabytes, save_network
from worldscope.networks.training import bits_per_byte
from worldscope.worlds.reviews import load_reviews

LARGEST_FILE = 24_000_000


def ship(
    training: str,
    name: str,
    data: str,
    command: str,
    test_bytes: int = 2_000_000,
    ngram_bytes: int = 40_000_000,
    continued_mb: float = 0.0,
    storage: Storage = "float32",
    also: str = "",
    zoo: str = str(ZOO),
) -> None:
    """Writes a network of the zoo and its card.

    Args:
        training: Folder of the training.
        name: Name in the zoo.
        data: Folder that holds imdb/.
        command: Command that made the training, for the card.
        test_bytes: How much IMDB test text to measure bits per byte on.
        ngram_bytes: How much training text the n-gram model counts.
        continued_mb: Megabytes that the network had read before this training, if it continued the
            network of this name in the zoo, whose checkpoints then stay.
        storage: Type of the stored weights.
        also: A sentence on what else it was trained on.
        zoo: Where to write.
    """
    source, target = Path(training), Path(zoo) / name
    save_network(load_network(source), target, storage=storage)
    for checkpoint in target.glob("checkpoints/*MB"):
        if megabytes(checkpoint) > continued_mb:
            shutil.rmtree(checkpoint)
    for snapshot in source.glob("snapshots/*MB"):
        small = target / "checkpoints" / f"{megabytes(snapshot) + continued_mb:g}MB"
        save_network(load_network(snapshot), small, storage="int8")
        (small / "codec.json").unlink(missing_ok=True)
    size = (target / "model.safetensors").stat().st_size
    if size > LARGEST_FILE:
        raise ValueError(f"{target} has {size:,} bytes of weights; the zoo takes {LARGEST_FILE:,}")
    facts = _facts(source, target, data, test_bytes, ngram_bytes, continued_mb)
    facts |= {"storage": storage, "also": also}
    (target / "card.json").write_text(json.dumps(facts, indent=2) + "\n")
    (target / "CARD.md").write_text(_card(name, facts, command))


def _facts(
    source: Path,
    target: Path,
    data: str,
    test_bytes: int,
    ngram_bytes: int,
    continued_mb: float,
) -> dict:
    network = load_network(target)
    imdb = load_reviews("imdb", data=data)
    test = _sample(imdb.select(lambda row: row["split"] == "test").inputs, network, test_bytes)
    train = _sample(imdb.select(lambda row: row["split"] != "test").inputs, network, ngram_bytes)
    last = json.loads((source / "log.jsonl").read_text().splitlines()[-1])
    settings = json.loads((source / "checkpoint" / "training.json").read_text())
    return {
        "config": json.loads((target / "config.json").read_text()),
        "weights_bytes": (target / "model.safetensors").stat().st_size,
        "digest": network.digest,
        "training": {
            **settings["config"],
            "steps": last["step"],
            "bytes_seen": last["bytes_seen"] + round(continued_mb * 1e6),
            "continued_mb": continued_mb,
        },
        "test_bytes": len(_framed(network, test)),
        "bits_per_byte": {
            name: bits_per_byte(load_network(folder), pack(test, network.codec))
            for name, folder in _stages(target)
        },
        "compressors": _compressors(_framed(network, train), _framed(network, test)),
        "ngram_train_bytes": len(_framed(network, train)),
        "checkpoints": [path.name for path in _checkpoints(target)],
    }


def _compressors(train: bytes, test: bytes) -> dict[str, float]:
    table = compression_baselines(train, test, progress=True)
    return dict(zip(table["method"], table["bits_per_byte"], strict=True))


def _stages(target: Path) -> list[tuple[str, Path]]:
    return [*((path.name, path) for path in _checkpoints(target)), ("final", target)]


def _checkpoints(target: Path) -> list[Path]:
    return sorted(target.glob("checkpoints/*MB"), key=megabytes)


def _sample(texts: list[str], network, size: int) -> list[str]:
    """Texts in an order drawn from seed 0, until they have `size` bytes."""
    import numpy as np

    chosen, total = [], 0
    for index in np.random.default_rng(0).permutation(len(texts)):
        chosen.append(texts[index])
        total += len(texts[index].encode())
        if total >= size:
            break
    return chosen


def _framed(network, texts: list[str]) -> bytes:
    return b"".join(b"".join(network.codec.pieces(network.encode(text))) for text in texts)


def _card(name: str, facts: dict, command: str) -> str:
    config, training = facts["config"], facts["training"]
    return CARD.format(
        name=name,
        command=command,
        described=DESCRIBED[config["kind"]].format(config=config),
        storage=facts["storage"],
        data_also=f"\n{facts['also']}\n" if facts["also"] else "",
        training=training,
        shape=training["decay"] if training["decay"] == "cosine" else "linear",
        weights_bytes=facts["weights_bytes"],
        digest=facts["digest"],
        read_mb=training["bytes_seen"] / 1e6 - training["continued_mb"],
        continued=_continued(training["continued_mb"]),
        decay=training["decay_fraction"],
        test_mb=facts["test_bytes"] / 1e6,
        ngram_mb=facts["ngram_train_bytes"] / 1e6,
        also=_stored(name) if facts["checkpoints"] else "",
        table=_bits_table(facts),
    )


def _continued(megabytes: float) -> str:
    return f", after the {megabytes:g} MB that it had read before" if megabytes else ""


def _stored(name: str) -> str:
    return f'\nCheckpoints are stored in 8 bits: `ws.load_network("zoo:{name}/<checkpoint>")`.'


def _bits_table(facts: dict) -> str:
    stages = {
        "**this network**" if stage == "final" else f"its checkpoint {stage}": bits
        for stage, bits in facts["bits_per_byte"].items()
    }
    rows = {**stages, **facts["compressors"]}
    return "\n".join(f"| {label} | {bits:.3f} |" for label, bits in rows.items())


DESCRIBED = {
    "mlstm": (
        "A multiplicative LSTM language model of film reviews (Krause et al. 2016; Radford et al. "
        "2017):\n{config[d_hidden]} units, embedding {config[d_embed]}, weight normalisation, "
        "codec {config[codec]}\n({config[n_symbols]:,} symbols)."
    ),
    "transformer": (
        "A transformer language model of film reviews, pre-norm with learned positions (Radford et "
        "al. 2019):\n{config[n_layers]} blocks, {config[d_model]} wide, {config[n_heads]} heads, "
        "context {config[n_ctx]}, codec {config[codec]} ({config[n_symbols]:,}\nsymbols)."
    ),
}
"""First paragraph of a card, by kind of network."""

CARD = """# zoo:{name}

{described}
{weights_bytes:,} bytes of {storage} weights, digest `{digest}`.

## Data

The training and unlabelled reviews of the Large Movie Review Dataset (Maas et al. 2011, "Learning
word vectors for sentiment analysis", ACL; the data set states no licence and asks for the
citation), without the texts that also occur in its test part and without reviews of the test part's
films. One film in a hundred is held out for validation. No label was used.
{data_also}
## Training

`{command}`

{training[steps]:,} steps of {training[batch]} streams × {training[chunk]} symbols: {read_mb:.1f} MB
of text{continued}. Adam, peak rate {training[lr]}, falling to zero ({shape}) over the last
{decay:.0%}; weight decay {training[weight_decay]}; gradient norm at most {training[clip]}; seed
{training[seed]}.

## Bits per byte

On {test_mb:.1f} MB of IMDB test text: whole reviews, in an order drawn from seed 0. The n-gram
model counted {ngram_mb:.0f} MB of the training text; the compressors see the test text only.{also}

| | bits per byte |
|---|---|
{table}
"""


if __name__ == "__main__":
    auto_cli(ship, as_positional=False)
