"""Capturing inside a block: what the pass computed, and nothing left behind."""

import pytest
import torch

from worldscope.activations.capture import capture
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.transformer import Transformer

SYMBOLS = torch.tensor([[97, 98, 99]])


def test_what_is_captured_is_what_the_cache_holds(gpt: Transformer) -> None:
    with capture(gpt) as acts:
        logits = gpt(SYMBOLS).logits
    expected, cache = gpt.run_with_cache(SYMBOLS)
    assert acts.keys() == cache.keys()
    torch.testing.assert_close(logits, expected)
    for name, value in cache.items():
        torch.testing.assert_close(acts[name], value)


def test_aliases_and_ends_of_names_are_accepted(gpt: Transformer, network: MLSTM) -> None:
    with capture(gpt, "blocks.1.hook_resid_post") as acts:
        gpt(SYMBOLS)
    assert list(acts) == ["blocks.1.hook_out"]
    assert acts["blocks.1.hook_resid_post"] is acts["blocks.1.hook_out"]
    with capture(network, "hook_c") as acts:
        network(SYMBOLS)
    assert acts["hook_c"].shape == (1, 3, 5)


def test_edits_are_seen_and_nothing_is_left_behind(network: MLSTM) -> None:
    before = network(SYMBOLS).logits
    with (
        network.hooks([("hook_c", lambda value, _: torch.zeros_like(value))]),
        capture(network, "hook_c") as acts,
    ):
        network(SYMBOLS)
    assert not acts["hook_c"].any()
    with pytest.raises(KeyError), capture(network, "hook_c"):
        raise KeyError
    assert network.listeners == ()
    torch.testing.assert_close(network(SYMBOLS).logits, before)
    assert not network(SYMBOLS).reads


def test_several_passes_are_kept_apart(network: MLSTM) -> None:
    with capture(network, "hook_h") as acts:
        network(SYMBOLS)
        network(SYMBOLS[:, :2])
    assert [passed["lstm.0.hook_h"].shape[1] for passed in acts.passes] == [3, 2]
    with pytest.raises(LookupError, match="ran 2 times in the block"):
        acts["hook_h"]


def test_a_block_in_which_nothing_ran_is_an_error(network: MLSTM) -> None:
    with (
        pytest.raises(RuntimeError, match="the network never ran in the block"),
        capture(network, "hook_h"),
    ):
        pass
    with pytest.raises(LookupError, match="hook_h"), capture(network, "hook_hh"):
        pass


def test_blocks_may_be_nested(network: MLSTM) -> None:
    with capture(network, "hook_h") as outer:
        with capture(network, "hook_c") as inner:
            network(SYMBOLS)
        assert list(inner) == ["lstm.0.hook_c"]
    assert list(outer) == ["lstm.0.hook_h"]


def test_what_was_not_captured_is_not_in_it_and_is_named(gpt: Transformer) -> None:
    with capture(gpt, ["blocks.0.hook_out", "blocks.1.hook_out"]) as acts:
        gpt(SYMBOLS)
    assert "blocks.1.hook_resid_post" in acts
    for hook, said in (
        (
            "blocks.0.ln1.hook_in",
            r"^blocks.0.ln1.hook_in was not captured; blocks.0.hook_out, blocks.1.hook_out were",
        ),
        ("hook_q", r"^no hook point is called 'hook_q'; the nearest are "),
    ):
        assert hook not in acts
        assert acts.get(hook) is None
        with pytest.raises(KeyError, match=said):
            acts[hook]
