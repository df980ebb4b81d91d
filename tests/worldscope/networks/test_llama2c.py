"""A network of llama2.c against a forward pass in numpy."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from worldscope.networks.llama2c import is_llama2c
from worldscope.networks.loading import load_network


@pytest.fixture(scope="module")
def stories(shared_data: Path) -> Path:
    return shared_data / "stories260k"


def read_raw(file: Path) -> tuple[tuple[int, ...], dict[str, np.ndarray]]:
    """Header and weights in the order of the file."""
    data = file.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, context = struct.unpack_from("<7i", data)
    numbers, place, found = np.frombuffer(data, "<f4", offset=28).astype(np.float64), 0, {}
    kv = kv_heads * dim // heads
    for name, shape in (
        ("embed", (vocab, dim)),
        ("norm1", (layers, dim)),
        ("q", (layers, dim, dim)),
        ("k", (layers, kv, dim)),
        ("v", (layers, kv, dim)),
        ("o", (layers, dim, dim)),
        ("norm2", (layers, dim)),
        ("w1", (layers, hidden, dim)),
        ("w2", (layers, dim, hidden)),
        ("w3", (layers, hidden, dim)),
        ("norm", (dim,)),
    ):
        size = int(np.prod(shape))
        found[name] = numbers[place : place + size].reshape(shape)
        place += size
    return (layers, heads, kv_heads), found


def in_numpy(file: Path, symbols: list[int]) -> tuple[list[np.ndarray], np.ndarray]:
    """Residual stream after every block, and logits: rotary on adjacent pairs, as in run.c."""
    (layers, heads, kv_heads), w = read_raw(file)
    x = w["embed"][symbols]
    time, dim = x.shape
    width = dim // heads
    angles = np.arange(time)[:, None] / 10000 ** (np.arange(0, width, 2) / width)

    def norm(value: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return weight * value / np.sqrt((value**2).mean(-1, keepdims=True) + 1e-5)

    def turned(value: np.ndarray, count: int) -> np.ndarray:
        pairs = value.reshape(time, count, width // 2, 2)
        even, odd = pairs[..., 0], pairs[..., 1]
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(
            time, count, width
        )

    states = []
    for n in range(layers):
        h = norm(x, w["norm1"][n])
        q = turned(h @ w["q"][n].T, heads)
        k = turned(h @ w["k"][n].T, kv_heads).repeat(heads // kv_heads, 1)
        v = (h @ w["v"][n].T).reshape(time, kv_heads, width).repeat(heads // kv_heads, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(width)
        scores[:, ~np.tri(time, dtype=bool)] = -np.inf
        pattern = np.exp(scores - scores.max(-1, keepdims=True))
        pattern /= pattern.sum(-1, keepdims=True)
        x = x + np.einsum("hqk,khd->qhd", pattern, v).reshape(time, dim) @ w["o"][n].T
        h = norm(x, w["norm2"][n])
        gate = h @ w["w1"][n].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w["w3"][n].T)) @ w["w2"][n].T
        states.append(x)
    return states, norm(x, w["norm"]) @ w["embed"].T


def test_hidden_states_at_three_depths_and_logits_equal_a_pass_in_numpy(stories: Path) -> None:
    network = load_network(stories)
    symbols = network.encode("Once upon a time, there was a big dog. He liked to run.")
    states, expected = in_numpy(stories / "stories260K.bin", symbols)
    names = [f"blocks.{n}.hook_out" for n in (0, 2, 4)]
    logits, acts = network.run_with_cache(torch.tensor([symbols]), names)
    np.testing.assert_allclose(logits[0], expected, atol=1e-4)
    for n, name in zip((0, 2, 4), names, strict=True):
        np.testing.assert_allclose(acts[name][0], states[n], atol=1e-5)


def test_it_tells_the_story_that_it_is_known_for(stories: Path) -> None:
    network = load_network(stories / "stories260K.bin")
    (story,) = network.generate("", max_new=40, temperature=0.0)
    assert str(story).startswith("Once upon a time, there was a little girl named Lily.")


def merged(pieces: list[bytes], scores: list[float], text: str) -> list[int]:
    """The encoder of run.c: characters, then the best-scored neighbours merge."""
    symbols = [1]
    for character in (" " + text) if text else "":
        raw = character.encode()
        symbols += [pieces.index(raw)] if raw in pieces else [byte + 3 for byte in raw]
    while True:
        best = max(
            (
                (scores[pieces.index(joined)], -place, pieces.index(joined))
                for place in range(len(symbols) - 1)
                if (joined := pieces[symbols[place]] + pieces[symbols[place + 1]]) in pieces
            ),
            default=None,
        )
        if best is None:
            return symbols
        symbols[-best[1] : -best[1] + 2] = [best[2]]


@pytest.mark.parametrize(
    "text",
    ["Once upon a time", "Tom and Lily saw a big, red ball!", 'He said "no".\nZoë ran.', "a  b"],
)
def test_texts_become_the_symbols_that_run_c_makes(stories: Path, text: str) -> None:
    data = (stories / "tok512.bin").read_bytes()
    pieces, scores, place = [], [], 4
    for _ in range(512):
        score, length = struct.unpack_from("<fi", data, place)
        pieces.append(data[place + 8 : place + 8 + length])
        scores.append(score)
        place += 8 + length
    codec = load_network(stories).codec
    assert codec.encode(text) == merged(pieces, scores, text)
    found = codec.locate(text)
    assert found.special.tolist() == [True, *[False] * (len(found.symbols) - 1)]
    for piece, start, end in zip(
        codec.pieces(found.symbols)[1:], found.starts[1:], found.ends[1:], strict=True
    ):
        assert piece.strip() in text[start:end].encode()


def test_truncated_and_other_files_are_told_apart(stories: Path, tmp_path: Path) -> None:
    assert is_llama2c(stories)
    raw = (stories / "stories260K.bin").read_bytes()
    (tmp_path / "cut.bin").write_bytes(raw[:-4])
    with pytest.raises(ValueError, match=r"has 1,056,536 bytes, .* asks for 1,056,540"):
        load_network(tmp_path / "cut.bin")
    (tmp_path / "cut.bin").write_bytes(b"short")
    assert not is_llama2c(tmp_path)
    assert not is_llama2c(tmp_path / "none")
    (tmp_path / "stories260K.bin").write_bytes(raw)
    (tmp_path / "cut.bin").unlink()
    assert load_network(tmp_path).encode([5, 6]) == [5, 6]
    (tmp_path / "tok512.bin").write_bytes((stories / "tok512.bin").read_bytes()[:-9])
    with pytest.raises(ValueError, match="ends after 511 of 512 pieces"):
        load_network(tmp_path)
