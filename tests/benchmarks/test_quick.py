"""Each benchmark at its small size: both sides agree, and the lines say what they must."""

import json
from collections.abc import Callable, Iterable

import pytest

from benchmarks.all import ALL
from benchmarks.collect_peers import NO_PEERS
from benchmarks.timing import NO_BF16, Row, show

WORDS = {
    "work", "unit", "ours", "peer", "peer_name", "ratio", "bar", "equal", "repeats", "spread",
    "absent",
}  # fmt: skip


@pytest.mark.parametrize("rows", ALL, ids=lambda rows: rows.__module__)
def test_a_benchmark_checks_equality_and_prints_its_rows(
    rows: Callable[[bool], Iterable[Row]], capsys: pytest.CaptureFixture[str]
) -> None:
    show([rows], ["--quick", "--json"])
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any(row["absent"] is None for row in printed)
    for row in printed:
        assert set(row) == WORDS
        if row["absent"] is not None:
            assert row["absent"] in (NO_BF16, NO_PEERS)
            assert row["ratio"] is row["ours"] is row["peer"] is None
            continue
        assert row["equal"]
        assert min(row["ours"], row["peer"]) > 0
        assert row["bar"] is None or row["bar"] > 0
        low, high = row["spread"]
        assert 0 < low <= row["ratio"] <= high
        assert row["repeats"] > 1


def test_the_plain_network_is_the_same_network() -> None:
    """Before and after its weight norm is put on: the logits of both sides agree."""
    import torch

    from benchmarks.plain_mlstm import PlainMLSTM
    from worldscope.networks.loading import new_mlstm

    network = new_mlstm(d_hidden=8)
    plain = PlainMLSTM(network)
    symbols = torch.randint(0, 256, (3, 10))
    expected, _ = network.training_loss(symbols, network.zero_state(3))
    for _ in range(2):
        loss, _ = plain.training_loss(symbols, plain.zero_state(3))
        torch.testing.assert_close(loss, expected)
        plain.normalise()
