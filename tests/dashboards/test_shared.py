"""Passes over a network that several visitors share."""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from dashboards.shared import SharedNetwork
    from worldscope.features.feature import Feature

HOOK = "lstm.0.hook_c"
TEXT = "It was — by far — the best."


@pytest.fixture
def shared(network_folder: Path) -> "SharedNetwork":
    from dashboards.shared import SharedNetwork
    from worldscope.networks.loading import load_network

    return SharedNetwork(load_network(network_folder))


@pytest.fixture
def feature(shared: "SharedNetwork") -> "Feature":
    from worldscope.features.feature import unit_feature

    return unit_feature(shared.network, shared.statistics(["one text", "another"], HOOK), 2)


def test_a_reading_is_the_capture_without_the_piece_that_begins_every_text(
    shared: "SharedNetwork",
) -> None:
    from worldscope.activations.text import read_text

    reading = shared.read(TEXT, "hook_c")
    seen = read_text(shared.network, TEXT, [HOOK])
    assert b"".join(reading.pieces).decode() == f" {TEXT} "
    np.testing.assert_array_equal(reading.acts, seen.acts[HOOK][1:].numpy())


def test_bits_per_byte_are_the_networks_own_loss(shared: "SharedNetwork") -> None:
    reading = shared.read(TEXT, HOOK)
    nats = float(shared.network.loss(TEXT).sum())
    assert reading.n_bytes == len(f" {TEXT} ".encode())
    assert reading.bits_per_byte == pytest.approx(nats / math.log(2) / reading.n_bytes, rel=1e-5)


def test_both_texts_are_what_the_network_writes_without_and_with_the_edit(
    shared: "SharedNetwork", feature: "Feature"
) -> None:
    from worldscope.networks.generation import Sampling
    from worldscope.steering.edits import Clamp, steer

    network, edit = shared.network, Clamp(feature, 4.0)
    how = {"max_new": 30, "seeds": 7, "temperature": 0.9, "top_k": 40}
    (plain,) = network.generate("So", **how)
    with steer(network, edit):
        (steered,) = network.generate("So", **how)
    pairs = shared.write_side_by_side(
        "So", edit, sampling=Sampling(0.9, top_k=40), seed=7, length=30
    )
    unsteered_bytes, steered_bytes = map(b"".join, zip(*pairs, strict=True))
    assert unsteered_bytes == bytes(plain.symbols)
    assert steered_bytes == bytes(steered.symbols)
    assert plain.symbols != steered.symbols


def test_adding_nothing_writes_the_same_text_twice(
    shared: "SharedNetwork", feature: "Feature"
) -> None:
    from worldscope.networks.generation import Sampling
    from worldscope.steering.edits import Add

    pairs = shared.write_side_by_side("", Add(feature, 0.0), sampling=Sampling(), seed=1, length=20)
    assert all(pair.unsteered == pair.steered for pair in pairs)


def test_between_two_pieces_others_read_an_unedited_network(
    shared: "SharedNetwork", feature: "Feature"
) -> None:
    from worldscope.networks.generation import Sampling
    from worldscope.steering.edits import Clamp

    before = shared.read(TEXT, HOOK).acts
    pairs = shared.write_side_by_side(
        "So", Clamp(feature, 6.0), sampling=Sampling(), seed=0, length=3
    )
    for _ in pairs:
        np.testing.assert_array_equal(shared.read(TEXT, HOOK).acts, before)


def test_a_text_that_is_stopped_leaves_the_network_free_and_unedited(
    shared: "SharedNetwork", feature: "Feature"
) -> None:
    from worldscope.networks.generation import Sampling
    from worldscope.steering.edits import Clamp

    before = shared.read(TEXT, HOOK).acts
    pairs = shared.write_side_by_side(
        "So", Clamp(feature, 6.0), sampling=Sampling(), seed=0, length=50
    )
    assert isinstance(pairs, Iterator)
    next(pairs)
    del pairs
    np.testing.assert_array_equal(shared.read(TEXT, HOOK).acts, before)


def test_a_reading_waits_for_a_steered_pass_and_is_not_steered(
    shared: "SharedNetwork", feature: "Feature"
) -> None:
    """The steered pass is held up inside its edit, where a reading without a lock would see it."""
    from worldscope.networks.generation import Sampling
    from worldscope.steering.edits import Clamp

    inside, go_on = threading.Event(), threading.Event()

    @dataclass(frozen=True)
    class SlowClamp(Clamp):
        def change(self, values):
            inside.set()
            assert go_on.wait(20)
            return super().change(values)

    before = shared.read(TEXT, HOOK).acts
    pairs = shared.write_side_by_side(
        "So", SlowClamp(feature, 6.0), sampling=Sampling(), seed=0, length=1
    )
    read: list[np.ndarray] = []
    writer = threading.Thread(target=lambda: list(pairs))
    reader = threading.Thread(target=lambda: read.append(shared.read(TEXT, HOOK).acts))
    writer.start()
    assert inside.wait(20)
    reader.start()
    reader.join(0.2)
    assert reader.is_alive()
    go_on.set()
    writer.join(20)
    reader.join(20)
    np.testing.assert_array_equal(read[0], before)


def test_a_feature_of_another_network_is_refused(
    shared: "SharedNetwork", feature: "Feature"
) -> None:
    from dataclasses import replace

    from worldscope.networks.generation import Sampling
    from worldscope.steering.edits import Clamp

    stranger = replace(feature, network="0123456789abcdef")
    pairs = shared.write_side_by_side(
        "So", Clamp(stranger, 1.0), sampling=Sampling(), seed=0, length=1
    )
    with pytest.raises(ValueError, match="0123456789abcdef"):
        next(pairs)


def test_it_names_its_hooks_and_what_it_reads(shared: "SharedNetwork") -> None:
    widths = shared.widths()
    assert list(widths) == [f"lstm.0.hook_{gate}" for gate in "hcifoum"]
    assert set(widths.values()) == {16}
    assert shared.piece_name() == "byte"
