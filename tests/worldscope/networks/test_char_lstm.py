"""A character LSTM of TensorFlow against a pass in numpy."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from worldscope.networks.char_lstm import CharLSTM, is_char_lstm
from worldscope.networks.loading import load_network

TEXT = "To be, or not to be"


@pytest.fixture(scope="module", params=["shakespeare", "darwin", "bolano"])
def folder(request: pytest.FixtureRequest, shared_data: Path) -> Path:
    return shared_data / "charrnn_ml5" / request.param


def in_numpy(
    folder: Path, text: str, n_layers: int = 2
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """h and c of every layer, and logits: TensorFlow's BasicLSTMCell, gates i, j, f, o."""
    described = json.loads((folder / "manifest.json").read_text())
    tensors = {
        name: np.fromfile(folder / entry["filename"], "<f4").reshape(entry["shape"])
        for name, entry in described.items()
    }

    def cell(layer: int, kinds: tuple[str, str]) -> np.ndarray:
        (name,) = (n for n in tensors if f"cell_{layer}/" in n and n.endswith(kinds))
        return tensors[name].astype(np.float64)

    def sigmoid(value: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-value))

    symbol_of = json.loads((folder / "vocab.json").read_text())
    (embedding,) = (tensors[n] for n in tensors if n.endswith("embedding"))
    (w_out,) = (tensors[n] for n in tensors if n.endswith("softmax_w"))
    (b_out,) = (tensors[n] for n in tensors if n.endswith("softmax_b"))
    width = len(w_out)
    h, c = [np.zeros(width)] * n_layers, [np.zeros(width)] * n_layers
    states: dict[str, list[np.ndarray]] = {}
    logits = []
    for character in text:
        x = embedding[symbol_of[character]].astype(np.float64)
        for layer in range(n_layers):
            kernel, bias = cell(layer, ("kernel", "weights")), cell(layer, ("bias", "biases"))
            i, j, f, o = np.split(np.concatenate([x, h[layer]]) @ kernel + bias, 4)
            c[layer] = c[layer] * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
            x = h[layer] = np.tanh(c[layer]) * sigmoid(o)
            states.setdefault(f"lstm.{layer}.hook_c", []).append(c[layer])
            states.setdefault(f"lstm.{layer}.hook_h", []).append(x)
        logits.append(x @ w_out + b_out)
    return {name: np.array(rows) for name, rows in states.items()}, np.array(logits)


def test_states_and_logits_equal_a_pass_in_numpy(folder: Path) -> None:
    network = load_network(folder)
    assert isinstance(network, CharLSTM)
    states, expected = in_numpy(folder, TEXT)
    logits, acts = network.run_with_cache(TEXT)
    np.testing.assert_allclose(logits[0], expected, atol=1e-4)
    torch.testing.assert_close(network(network.to_symbols(TEXT)).logits, logits, rtol=0, atol=1e-4)
    for name, rows in states.items():
        np.testing.assert_allclose(acts[name][0], rows, rtol=1e-5, atol=1e-5)


def test_it_writes_words_and_a_sample_does_not_depend_on_its_batch(folder: Path) -> None:
    network = load_network(folder)
    one = network.generate("The ", max_new=60, temperature=0.5, seeds=3)[0]
    many = network.generate(["A long", "The "], max_new=60, temperature=0.5, seeds=[3])
    assert one.continuation == many[1].continuation
    assert sum(word in one.continuation for word in (" the", " of", " and", " to", " in")) >= 1


def test_a_stream_carries_the_state(folder: Path) -> None:
    network = load_network(folder)
    symbols = network.to_symbols(TEXT)
    whole = network(symbols, read=["lstm.1.hook_c"]).reads["lstm.1.hook_c"]
    pieces = network.stream_reads(symbols, np.array([len(TEXT)]), ["lstm.1.hook_c"], chunk=5)
    joined = torch.cat([piece.reads["lstm.1.hook_c"] for piece in pieces], dim=1)
    torch.testing.assert_close(joined, whole, rtol=1e-5, atol=1e-5)


def test_edits_reach_the_text_that_follows(folder: Path) -> None:
    network = load_network(folder)
    with network.hooks([("lstm.1.hook_h", lambda value, _: torch.zeros_like(value))]):
        output = network(network.to_symbols(TEXT))
    expected = network.b_out.expand_as(output.logits)
    torch.testing.assert_close(output.logits, expected, rtol=0, atol=1e-6)
    steps = []
    with network.hooks([("embed.hook_out", lambda _, hook: steps.append(hook.step))]):
        network.generate("The", max_new=3)
    assert steps == [0, 1, 2, 3, 4]


def test_characters_have_places_and_unknown_ones_are_named(folder: Path) -> None:
    network = load_network(folder)
    found = network.codec.locate("ab")
    assert (found.starts.tolist(), found.ends.tolist()) == ([0, 1], [1, 2])
    assert not found.special.any()
    assert network.decode(network.encode(TEXT)) == TEXT
    with pytest.raises(ValueError, match="character 1 of the text is '\u4e00'"):
        network.encode("a\u4e00")
    with pytest.raises(ValueError, match="the text is empty"):
        network.encode("")


def test_a_missing_or_cut_tensor_is_named(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "charrnn_ml5" / "darwin"
    shutil.copytree(source, tmp_path / "d")
    folder = tmp_path / "d"
    assert is_char_lstm(folder)
    for file in folder.iterdir():
        file.chmod(0o644)
    (folder / "embedding").write_bytes(b"1234")
    with pytest.raises(ValueError, match="embedding is 4 bytes, and the manifest asks for 51,200"):
        load_network(folder)
    (folder / "embedding").unlink()
    with pytest.raises(ValueError, match="embedding is not there"):
        load_network(folder)
    (folder / "manifest.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"manifest\.json does not list tensors"):
        load_network(folder)


def write_layers(folder: Path, layers: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """A network of three characters from kernels and biases, layer by layer."""
    width = len(layers[0][1]) // 4
    tensors = {
        "embedding": np.eye(3, width, dtype="<f4"),
        "rnnlm/softmax_w": np.random.default_rng(1).normal(size=(width, 3)),
        "rnnlm/softmax_b": np.zeros(3, "<f4"),
    }
    for layer, (kernel, bias) in enumerate(layers):
        cell = f"rnnlm/multi_rnn_cell/cell_{layer}/basic_lstm_cell"
        tensors |= {f"{cell}/kernel": kernel, f"{cell}/bias": bias}
    manifest = {
        name: {"filename": name.replace("/", "_"), "shape": list(tensor.shape)}
        for name, tensor in tensors.items()
    }
    for name, tensor in tensors.items():
        tensor.astype("<f4").tofile(folder / name.replace("/", "_"))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "vocab.json").write_text(json.dumps({"a": 0, "b": 1, "c": 2}))


def test_eleven_layers_are_run_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    draw, width = np.random.default_rng(0), 4
    layers = [
        (draw.normal(size=(2 * width, 4 * width)), draw.normal(size=4 * width)) for _ in range(11)
    ]
    write_layers(tmp_path, layers)
    network = load_network(tmp_path)
    assert network.lstm.num_layers == 11
    states, expected = in_numpy(tmp_path, "abcacb", n_layers=11)
    logits, acts = network.run_with_cache("abcacb")
    np.testing.assert_allclose(logits[0], expected, atol=1e-5)
    for name, rows in states.items():
        np.testing.assert_allclose(acts[name][0], rows, atol=1e-5)
