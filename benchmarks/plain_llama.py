"""A Llama in llama2.c's format, as one writes it in numpy with run.c beside it."""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Pass(NamedTuple):
    """What a forward pass leaves behind, in double precision."""

    states: list[np.ndarray]
    """(time, d) after every block."""
    normed: np.ndarray
    """(time, d) after the last norm."""
    logits: np.ndarray
    """(time, n_symbols)."""


def run(file: Path, symbols: list[int]) -> Pass:
    """Reads symbols: rotary on adjacent pairs, the unembedding tied to the embedding."""
    (layers, heads, kv_heads), w = read(file)
    x = w["embed"][symbols]
    time, dim = x.shape
    width = dim // heads
    states = []
    for n in range(layers):
        h = norm(x, w["norm1"][n])
        q = turned((h @ w["q"][n].T).reshape(time, heads, width))
        k = turned((h @ w["k"][n].T).reshape(time, kv_heads, width))
        v = (h @ w["v"][n].T).reshape(time, kv_heads, width)
        k, v = (part.repeat(heads // kv_heads, axis=1) for part in (k, v))
        x = x + attended(q, k, v).reshape(time, dim) @ w["o"][n].T
        h = norm(x, w["norm2"][n])
        gate = h @ w["w1"][n].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w["w3"][n].T)) @ w["w2"][n].T
        states.append(x)
    normed = norm(x, w["norm"])
    return Pass(states, normed, normed @ w["embed"].T)


def read(file: Path) -> tuple[tuple[int, int, int], dict[str, np.ndarray]]:
    """(layers, heads, key heads), and the weights in the order of the file."""
    data = file.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, _ = struct.unpack_from("<7i", data)
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


def norm(value: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Root-mean-square norm of rows."""
    return weight * value / np.sqrt((value**2).mean(-1, keepdims=True) + 1e-5)


def turned(value: np.ndarray) -> np.ndarray:
    """Rotary positions of (time, heads, width)."""
    time, heads, width = value.shape
    angles = np.arange(time)[:, None] / 10000 ** (np.arange(0, width, 2) / width)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    even, odd = value[..., ::2], value[..., 1::2]
    pairs = np.stack([even * cos - odd * sin, even * sin + odd * cos], -1)
    return pairs.reshape(time, heads, width)


def attended(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Values, mixed by causal attention: (time, heads, width)."""
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
    scores[:, ~np.tri(len(q), dtype=bool)] = -np.inf
    pattern = np.exp(scores - scores.max(-1, keepdims=True))
    pattern /= pattern.sum(-1, keepdims=True)
    return np.einsum("hqk,khd->qhd", pattern, v)
