"""A network that several visitors use: one pass at a time, so that nobody reads another's edits.

An edit is a hook on the network itself, seen by every pass while it is in place. Each pass here,
edited or not, therefore happens while its lock is held, and no edit outlives the lock.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from worldscope.activations.text import read_text
from worldscope.features.statistics import Statistics, measure_statistics
from worldscope.networks.generation import Sampling, stream
from worldscope.networks.language_model import LanguageModel
from worldscope.steering.edits import Edit


@dataclass(frozen=True)
class Reading:
    """A text as a network read it, piece by piece."""

    pieces: list[bytes]
    """The bytes of each piece after the first, which begins every text and is not predicted."""
    acts: Float[np.ndarray, "time d"]
    """Activations of one hook after each of these pieces."""
    bits_per_byte: float
    """Bits that the network needed for each of these bytes."""

    @property
    def n_bytes(self) -> int:
        """How many bytes were predicted."""
        return sum(map(len, self.pieces))


class Pair(NamedTuple):
    """The next piece of two texts that are written side by side."""

    unsteered: bytes
    steered: bytes


@dataclass(frozen=True, eq=False)
class SharedNetwork:
    """A network and the lock that every pass holds."""

    network: LanguageModel
    """Reading its names, widths and codec needs no lock; running it does."""
    _lock: Lock = field(default_factory=Lock, repr=False)

    @cached_property
    def digest(self) -> str:
        """What names its weights."""
        return self.network.digest

    @contextmanager
    def alone(self) -> Iterator[LanguageModel]:
        """The network, with nobody else running it and no edits of others in place."""
        with self._lock:
            yield self.network

    def widths(self) -> dict[str, int]:
        """Number of units at every hook that has units at every step, by canonical name."""
        points = self.network.hook_dict.values()
        return {p.name: p.width for p in points if p.axes == ("batch", "time", "d")}

    def piece_name(self) -> str:
        """What the network reads at a time: "byte" or "token"."""
        return "byte" if self.network.codec.name == "bytes" else "token"

    def read(self, text: str, hook: str) -> Reading:
        """Reads a text, unedited.

        Raises:
            ValueError: If the text is empty.
            LookupError: If the hook is unknown.
        """
        with self.alone() as network:
            seen = read_text(network, text, [hook])
        (acts,) = seen.acts.values()
        pieces = seen.pieces[1:]
        bits = float(seen.nats.double().sum()) / math.log(2)
        return Reading(pieces, acts[1:].cpu().numpy(), bits / sum(map(len, pieces)))

    def statistics(self, texts: Sequence[str], hook: str) -> Statistics:
        """Mean and covariance of a hook over all symbols of some texts, unedited.

        Raises:
            LookupError: If the hook is unknown.
        """
        with self.alone() as network:
            return measure_statistics(network, texts, hook)

    def write_side_by_side(
        self, prompt: str, edit: Edit, *, sampling: Sampling, seed: int, length: int
    ) -> Iterator[Pair]:
        """Continues a prompt twice, piece by piece, without and with an edit, from one seed.

        Other visitors' passes come in between the pieces.

        Args:
            prompt: Where both texts begin; read under the edit by the steered one.
            edit: What is done at every step of the steered text.
            sampling: How to draw.
            seed: Of both texts, so that only the edit makes them differ.
            length: Number of pieces.

        Raises:
            ValueError: If the edit's feature belongs to another network.
        """
        edit.feature.check_fits(self.network)
        edits = [(edit.feature.hook, edit)]
        unsteered = stream(self.network, [prompt], [seed], length, sampling)
        steered = stream(self.network, [prompt], [seed], length, sampling)
        for _ in range(length):
            with self.alone() as network:
                symbols = [int(next(unsteered))]
                with network.hooks(edits):
                    symbols.append(int(next(steered)))
            yield Pair(*self.network.codec.pieces(symbols))
