"""One text, piece by piece."""

import pytest
import torch

from worldscope.activations.text import read_text
from worldscope.networks.mlstm import MLSTM

C, H = "lstm.0.hook_c", "lstm.0.hook_h"


def test_there_is_a_row_for_every_piece_of_the_framed_text(network: MLSTM) -> None:
    seen = read_text(network, "café", ["hook_c", H])
    assert b"".join(seen.pieces) == "\n café ".encode()
    assert {name: acts.shape for name, acts in seen.acts.items()} == {C: (8, 5), H: (8, 5)}


def test_activations_are_those_of_the_forward_pass(network: MLSTM) -> None:
    _, cache = network.run_with_cache("a fine film")
    seen = read_text(network, "a fine film", list(cache))
    for name, acts in cache.items():
        assert torch.equal(seen.acts[name], acts[0])


def test_nats_are_the_loss_of_the_network_after_a_zero(network: MLSTM) -> None:
    nats = read_text(network, "a fine film").nats
    assert nats[0] == 0
    torch.testing.assert_close(nats[1:], network.loss("a fine film")[0])


def test_edits_in_place_are_seen(network: MLSTM) -> None:
    with network.hooks([(C, lambda value, hook: torch.full_like(value, 0.25))]):
        assert (read_text(network, "a fine film").acts[C] == 0.25).all()


def test_an_empty_text_and_an_unknown_hook_are_refused(network: MLSTM) -> None:
    with pytest.raises(ValueError, match="the text is empty"):
        read_text(network, "  ")
    with pytest.raises(LookupError, match="no hook point is called 'hook_q'"):
        read_text(network, "a", ["hook_q"])
