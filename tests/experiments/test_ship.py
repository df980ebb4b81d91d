"""What a shipment leaves in the zoo, first and as the continuation of one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.sentiment_neuron import ship as shipping
from experiments.sentiment_neuron.ship import ship
from worldscope.networks.loading import load_network
from worldscope.networks.train_command import MLSTMShape, train
from worldscope.networks.train_config import TrainConfig
from worldscope.worlds.reviews import load_reviews

CONFIG = TrainConfig(total_bytes=4_000, batch=4, chunk=50, snapshots=(0.001, 0.002))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reviews of this project, a third of them test text, in the place of IMDB."""
    short = load_reviews("short")
    parts = ["test" if row % 3 == 0 else "train" for row in range(len(short))]
    split = replace(short, dataset=short.dataset.add_column("split", parts))  # pyright: ignore
    monkeypatch.setattr(shipping, "load_reviews", lambda name, data: split)


def trained(out: Path, init: str | None = None) -> Path:
    texts = load_reviews("short").inputs
    groups = [str(row) for row in range(len(texts))]
    first = load_network(init) if init else MLSTMShape("bytes", 8, 4)
    train(texts, groups, out, first, device="cpu", config=CONFIG)
    return out


def shipped(training: Path, zoo: Path, **settings) -> dict:
    ship(str(training), "net", "", "train it", 5_000, 5_000, zoo=str(zoo), **settings)
    return json.loads((zoo / "net" / "card.json").read_text())


def test_a_shipment_holds_the_network_its_checkpoints_and_its_figures(
    tmp_path: Path, world: None
) -> None:
    training = trained(tmp_path / "training")
    facts = shipped(training, tmp_path)
    assert load_network(tmp_path / "net").digest == load_network(training).digest
    assert facts["checkpoints"] == ["0.001MB", "0.002MB"]
    assert facts["training"]["bytes_seen"] == 4_000
    assert list(facts["bits_per_byte"]) == ["0.001MB", "0.002MB", "final"]
    card = (tmp_path / "net" / "CARD.md").read_text()
    assert "20 steps of 4 streams × 50 symbols: 0.0 MB\nof text. Adam" in card
    assert f"| **this network** | {facts['bits_per_byte']['final']:.3f} |" in card
    assert 'in 8 bits: `ws.load_network("zoo:net/<checkpoint>")`.' in card


def test_a_continued_training_counts_on_from_the_network_it_began_with(
    tmp_path: Path, world: None
) -> None:
    shipped(trained(tmp_path / "first"), tmp_path)
    second = trained(tmp_path / "second", init=str(tmp_path / "net"))
    facts = shipped(second, tmp_path, continued_mb=0.001)
    assert facts["checkpoints"] == ["0.001MB", "0.002MB", "0.003MB"]
    assert facts["training"]["bytes_seen"] == 5_000
    assert (
        "after the 0.001 MB that it had read before" in (tmp_path / "net" / "CARD.md").read_text()
    )
