"""Batched, chunked reading against one text at a time."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldscope.activations.reading import encode_texts, read_states, stream_states
from worldscope.networks.mlstm import MLSTM

C, H = "lstm.0.hook_c", "lstm.0.hook_h"
some_texts = st.lists(
    st.text("abcé ", min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=7
)


def one_by_one(network: MLSTM, texts: list[str], hook: str) -> list[np.ndarray]:
    """States of all symbols of each text, with no other text beside it."""
    return [network(network.to_symbols(text), read=[hook]).reads[hook][0].numpy() for text in texts]


@settings(max_examples=15)
@given(texts=some_texts, batch=st.integers(1, 10))
def test_states_equal_those_of_each_text_read_alone(
    network: MLSTM, texts: list[str], batch: int
) -> None:
    states = read_states(network, texts, ["hook_c", H], batch=batch)
    assert set(states) == {(C, "final"), (C, "mean"), (H, "final"), (H, "mean")}
    for hook in (C, H):
        alone = one_by_one(network, texts, hook)
        final = np.stack([acts[-1] for acts in alone])
        mean = np.stack([acts.mean(axis=0) for acts in alone])
        np.testing.assert_allclose(states[hook, "final"], final, atol=2e-6)
        np.testing.assert_allclose(states[hook, "mean"], mean, atol=2e-6)
        assert states[hook, "mean"].dtype == np.float32


@settings(max_examples=15)
@given(texts=some_texts, batch=st.integers(1, 10), chunk=st.integers(1, 50))
def test_every_symbol_is_streamed_once_with_its_state(
    network: MLSTM, texts: list[str], batch: int, chunk: int
) -> None:
    seen: list[list[int]] = [[] for _ in texts]
    states: list[list[np.ndarray]] = [[] for _ in texts]
    for part in stream_states(network, texts, [C], batch=batch, chunk=chunk):
        assert part.symbols.shape[0] <= batch
        assert part.symbols.shape[1] <= chunk
        mask = part.mask()
        for place, row in enumerate(part.rows):
            assert part.start == len(seen[row])
            seen[row] += part.symbols[place][mask[place]].tolist()
            states[row].append(part.acts[C][place][mask[place]].numpy())
    assert seen == encode_texts(network, texts)
    for row, alone in enumerate(one_by_one(network, texts, C)):
        np.testing.assert_allclose(np.concatenate(states[row]), alone, atol=2e-6)


@settings(max_examples=10)
@given(texts=some_texts)
def test_a_chunk_reduces_over_its_own_symbols_only(network: MLSTM, texts: list[str]) -> None:
    for part in stream_states(network, texts, [C], chunk=16):
        for place, count in enumerate(part.counts):
            acts = part.acts[C][place, :count].numpy()
            np.testing.assert_array_equal(part.last(C)[place], acts[-1])
            np.testing.assert_allclose(part.total(C)[place], acts.sum(axis=0), atol=1e-5)


def test_the_mean_is_over_the_frame_too(network: MLSTM) -> None:
    """One visible byte makes four symbols: the front mark has two, the end mark one."""
    (part,) = stream_states(network, ["x"], [C])
    assert bytes(part.symbols[0].tolist()) == b"\n x "
    mean = read_states(network, ["x"])[C, "mean"]
    np.testing.assert_allclose(mean[0], part.acts[C][0].numpy().mean(axis=0), atol=1e-6)


def test_only_the_asked_positions_are_given(network: MLSTM) -> None:
    assert set(read_states(network, ["a"], positions=["mean"])) == {(C, "mean")}


def test_edits_in_place_are_seen(network: MLSTM) -> None:
    steps = []

    def hold(value: torch.Tensor, hook: object) -> torch.Tensor:
        steps.append(getattr(hook, "step", None))
        return torch.full_like(value, 0.25)

    with network.hooks([(C, hold)]):
        states = read_states(network, ["a text that is longer than a chunk", "b"])
    assert (states[C, "mean"] == 0.25).all()
    assert steps == list(range(len("a text that is longer than a chunk") + 3))


def test_a_state_that_is_not_a_number_is_named(network: MLSTM) -> None:
    broken = copy.deepcopy(network)
    broken.embed[ord("z")] = float("nan")
    with pytest.raises(FloatingPointError, match=r"hook_c unit 0 is nan for text 1; the weights"):
        read_states(broken, ["fine", "lazy", "fine too"])


def test_an_empty_text_is_refused_by_its_index(network: MLSTM) -> None:
    with pytest.raises(ValueError, match=r"text 2 \(.*\): the text is empty"):
        read_states(network, ["a", "b", " \n "])
    with pytest.raises(ValueError, match="there is no text to read"):
        read_states(network, [])


def test_one_string_is_not_taken_for_a_text_of_each_character(network: MLSTM) -> None:
    with pytest.raises(ValueError, match="the texts are one string, 'dull'; give a list of texts"):
        read_states(network, "dull")


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_or_chunk_of_nothing_is_refused(network: MLSTM, size: int) -> None:
    with pytest.raises(ValueError, match=f"batch is {size} and chunk 16; both must be at least 1"):
        read_states(network, ["a"], batch=size)
    with pytest.raises(ValueError, match=f"batch is 256 and chunk {size}; both must be at least 1"):
        next(stream_states(network, ["a"], [C], chunk=size))


def test_an_unknown_hook_or_position_is_refused(network: MLSTM) -> None:
    with pytest.raises(LookupError, match="no hook point is called 'hook_q'"):
        read_states(network, ["a"], ["hook_q"])
    with pytest.raises(ValueError, match="no position is called 'last'; choose final, mean"):
        read_states(network, ["a"], positions=["last"])


def test_progress_is_shown_only_when_asked_for(
    network: MLSTM, capsys: pytest.CaptureFixture[str]
) -> None:
    read_states(network, ["a film"])
    assert capsys.readouterr().err == ""
    read_states(network, ["a film"], progress=True)
    assert "9.00/9.00" in capsys.readouterr().err
