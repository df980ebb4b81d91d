"""The activations of a store, where they lie: in the memory maps of its shards."""

import mmap
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldscope.activations.manifest import Manifest, Shard
from worldscope.activations.mapped import MappedRows
from worldscope.activations.memory import available_memory
from worldscope.activations.settings import torch_dtype
from worldscope.activations.shards import (
    Place,
    advise,
    map_acts,
    map_shard,
    read_ahead,
    read_places,
)

_OF_A_PROCESS = ("_maps", "_mapped_rows", "places")


class StoredActs:
    """Rows of all shards, by canonical hook name."""

    def __init__(self, folder: Path, manifest: Manifest):
        """Nothing is read or mapped yet."""
        self.manifest = manifest
        self.files = [folder / shard.acts for shard in manifest.shards]
        self.starts = np.cumsum([0, *(shard.n_rows for shard in manifest.shards)])

    def read(self, hook: str, start: int, stop: int) -> Float[Tensor, "rows ..."]:
        """A range of rows that there are: in place within a shard, and joined over several."""
        parts = [
            map_acts(self.files[shard], self.places[shard][hook])[first:last]
            for shard, first, last in self._parts(start, stop)
        ]
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts) if parts else self.new(hook, 0)

    def gather(
        self, hook: str, rows: Int[np.ndarray, " n"], out: Float[Tensor, "n ..."]
    ) -> Float[Tensor, "n ..."]:
        """Writes some rows that there are to `out`, in the order asked for."""
        return self._mapped_rows[hook].gather(rows, out) if len(rows) else out

    def new(self, hook: str, rows: int) -> Float[Tensor, "rows ..."]:
        """Memory for so many rows."""
        source = self.manifest.source
        return torch.empty(rows, *source.hooks[hook], dtype=torch_dtype(source.dtype))

    def advise(self, hook: str, shard: int, first: int, n: int) -> None:
        """See `ActivationStore.advise`."""
        advise(self._maps[shard], self.places[shard][hook], first, n)

    def bring_in(self) -> None:
        """See `ActivationStore.bring_in`."""
        if sum(map(len, self._maps)) < 0.8 * available_memory():
            for mapped, file in zip(self._maps, self.files, strict=True):
                read_ahead(mapped, file)

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which maps the shards itself."""
        return {name: value for name, value in vars(self).items() if name not in _OF_A_PROCESS}

    @cached_property
    def places(self) -> list[dict[str, Place]]:
        """Where the tensors of every shard lie in its file, by hook.

        Raises:
            FileNotFoundError: If a shard is missing.
            ValueError: If one is damaged, or not of the shape that the manifest says.
        """
        shards = zip(self.files, self.manifest.shards, strict=True)
        return [self._checked_places(file, shard) for file, shard in shards]

    def _checked_places(self, file: Path, shard: Shard) -> dict[str, Place]:
        places = read_places(file)
        for name, shape in self.manifest.source.hooks.items():
            found = places[name].shape if name in places else None
            if found != (shard.n_rows, *shape):
                raise ValueError(
                    f"{file} holds {name} as {found}, not {(shard.n_rows, *shape)}; it is not of "
                    "this store"
                )
        return places

    @cached_property
    def _maps(self) -> list[mmap.mmap]:
        # A shard that is damaged is named by its place; an empty one could not be mapped.
        return [map_shard(self.files[shard]) for shard in range(len(self.places))]

    @cached_property
    def _mapped_rows(self) -> dict[str, MappedRows]:
        return {
            name: MappedRows(self._maps, [places[name] for places in self.places])
            for name in self.manifest.source.hooks
        }

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Shard, first and last row within it, of everything in a range."""
        for shard, (low, high) in enumerate(pairwise(self.starts.tolist())):
            first, last = max(start, low), min(stop, high)
            if first < last:
                yield shard, first - low, last - low
