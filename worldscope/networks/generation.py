"""Continuing texts symbol by symbol.

Every sample draws from a random generator of its own, seeded by its own seed, so that what is
sampled does not depend on which other samples share its batch.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from worldscope.networks.codecs import clean

if TYPE_CHECKING:
    from worldscope.networks.language_model import LanguageModel


@dataclass(frozen=True)
class Sampling:
    """How the next symbol is drawn."""

    temperature: float = 1.0
    """Divides the logits; 0 takes the likeliest symbol."""
    top_k: int | None = None
    """Draw among the k likeliest symbols only."""
    top_p: float | None = None
    """Draw among the fewest symbols that together have this probability (Holtzman et al. 2020)."""

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(f"temperature is {self.temperature}; it must be 0 or more")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; it must be 1 or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1")


@dataclass(frozen=True)
class Generation:
    """A prompt and how the network went on."""

    prompt: str
    continuation: str
    seed: int
    symbols: tuple[int, ...]
    """Symbols of the continuation."""

    def __str__(self) -> str:
        """The prompt as the network read it, with the continuation."""
        return clean(self.prompt) + self.continuation


def generate(
    network: "LanguageModel",
    prompts: str | Sequence[str],
    *,
    max_new: int = 200,
    seeds: int | Sequence[int] = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> list[Generation]:
    """Continues every prompt once for each seed, in the order prompt by prompt.

    Edits that are in place (`ws.steer`) act on the prompt and on the continuation; beside a longer
    prompt, the `hook.step` of a continuation counts on from the longest.

    A sample is the same whatever shares its batch, as far as the last digit of a matrix product is:
    that digit can depend on the size of the batch, and then tip a draw that falls on an edge.

    Args:
        network: Who writes.
        prompts: One text or several; an empty one starts a new review.
        max_new: Number of symbols to add.
        seeds: One for each sample of a prompt.
        temperature, top_k, top_p: See `Sampling`.

    Raises:
        ValueError: If there is no prompt or no seed, or a setting is out of its range.
        FloatingPointError: If the network's scores are not numbers.
    """
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    each = [seeds] if isinstance(seeds, int) else list(seeds)
    repeated = [text for text in texts for _ in each]
    cycled = each * len(texts)
    sampling = Sampling(temperature, top_k, top_p)
    steps = list(stream(network, repeated, cycled, max_new, sampling))
    symbols = torch.stack(steps, dim=1).tolist()
    return [
        Generation(text, network.decode(row), seed, tuple(row))
        for text, seed, row in zip(repeated, cycled, symbols, strict=True)
    ]


def stream(
    network: "LanguageModel",
    prompts: Sequence[str],
    seeds: Sequence[int],
    max_new: int,
    sampling: Sampling | None = None,
) -> Iterator[Int[Tensor, " batch"]]:
    """Yields the next symbol of every sample, `max_new` times.

    Args:
        network: Who writes.
        prompts: Text of each sample.
        seeds: Seed of each sample.
        max_new: Number of symbols to add.
        sampling: How to draw.

    Raises:
        ValueError: If there are no prompts, or not one seed for each, or `max_new` is under 1.
        FloatingPointError: If the network's scores are not numbers.
    """
    if not prompts or len(prompts) != len(seeds):
        raise ValueError(
            f"there are {len(prompts)} prompts and {len(seeds)} seeds; "
            f"give at least one prompt and a seed for each"
        )
    if max_new < 1:
        raise ValueError(f"max_new is {max_new}; it must be at least 1")
    sampling = sampling or Sampling()
    draws = torch.stack([_uniforms(seed, max_new) for seed in seeds], dim=1)
    encoded = [network.encode(prompt, end=False) for prompt in prompts]
    logits, state = network.begin(encoded)
    first_step = max(map(len, encoded))
    for step in range(max_new):
        symbols = draw(logits, draws[step].to(logits.device), sampling)
        yield symbols
        if step + 1 < max_new:
            logits, state = network.go_on(symbols, state, first_step + step)


def draw(
    logits: Float[Tensor, "batch n_symbols"], uniforms: Float[Tensor, " batch"], sampling: Sampling
) -> Int[Tensor, " batch"]:
    """The symbol at which the cumulative probability of the kept symbols passes a uniform number.

    Symbols are in the order of the alphabet, so that only top-k and top-p have to sort them.

    Raises:
        FloatingPointError: If a logit is not a number, or the largest is infinite.
    """
    scores = logits / (sampling.temperature or 1.0)
    if not scores.amax(dim=1).isfinite().all():
        raise FloatingPointError(
            "the scores of the next symbol are not numbers: an edit is too strong, "
            "the temperature too low, or the weights are damaged"
        )
    if sampling.temperature == 0:
        return scores.argmax(dim=1)
    probabilities = scores.softmax(dim=1)
    if sampling.top_k is not None or sampling.top_p is not None:
        probabilities = _keep_likeliest(probabilities, sampling)
    return _inverse_cumulative(probabilities, uniforms.double().unsqueeze(1))


def _inverse_cumulative(
    weights: Float[Tensor, "batch n"], uniforms: Float[Tensor, "batch 1"]
) -> Int[Tensor, " batch"]:
    """The first place at which the running sum passes a share of the whole.

    First the block, then the place in the block, so that running sums are over √n numbers.
    """
    width = math.isqrt(weights.shape[1] - 1) + 1
    blocks = functional.pad(weights, (0, -weights.shape[1] % width)).unflatten(1, (-1, width))
    block, share = _pass(blocks.sum(dim=2), uniforms)
    inside = blocks.take_along_dim(block.unsqueeze(2), dim=1).squeeze(1)
    place, _ = _pass(inside, share)
    return (block * width + place).squeeze(1)


def _pass(
    weights: Float[Tensor, "batch n"], shares: Float[Tensor, "batch 1"]
) -> tuple[Int[Tensor, "batch 1"], Float[Tensor, "batch 1"]]:
    """The first place at which the running sum passes a share of the whole, and how far into it."""
    running = weights.double().cumsum(dim=1)
    targets = shares * running[:, -1:]
    place = (running <= targets).sum(dim=1, keepdim=True).clamp(max=weights.shape[1] - 1)
    weight = weights.take_along_dim(place, dim=1)
    into = (targets - running.take_along_dim(place, dim=1) + weight) / weight
    return place, into.clamp(0, 1 - 2**-50)


def _keep_likeliest(
    probabilities: Float[Tensor, "batch n_symbols"], sampling: Sampling
) -> Float[Tensor, "batch n_symbols"]:
    """Probabilities with those outside top-k and top-p set to zero."""
    ranked, order = probabilities.sort(dim=1, descending=True, stable=True)
    mass = ranked.double().cumsum(dim=1)
    keep = torch.ones_like(ranked, dtype=torch.bool)
    if sampling.top_k is not None:
        keep[:, sampling.top_k :] = False
    if sampling.top_p is not None:
        keep &= mass - ranked < sampling.top_p * mass[:, -1:]
    return torch.zeros_like(probabilities).scatter(1, order, ranked * keep)


def _uniforms(seed: int, count: int) -> Float[Tensor, " count"]:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed))


def pad_right(
    encoded: Sequence[Sequence[int]], device: torch.device
) -> tuple[Int[Tensor, "batch longest"], Int[Tensor, " batch"]]:
    """Symbols of every text, padded with 0, and their numbers."""
    lengths = torch.tensor([len(symbols) for symbols in encoded], device=device)
    padded = torch.zeros(len(encoded), int(lengths.max()), dtype=torch.long)
    for row, symbols in enumerate(encoded):
        padded[row, : len(symbols)] = torch.tensor(symbols)
    return padded.to(device), lengths
