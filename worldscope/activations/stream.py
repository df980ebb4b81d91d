"""Activations handed straight to a consumer, each row once, without a store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from worldscope.activations.allocator import keeping_freed_memory
from worldscope.activations.inputs import Data, as_inputs
from worldscope.activations.named import Named
from worldscope.activations.reader import Cursor, Reader, Work
from worldscope.activations.settings import read_settings, torch_dtype
from worldscope.networks.hooked import HookedNetwork


@dataclass(frozen=True)
class ActivationBatch:
    """Rows of activations, fresh from the network."""

    acts: Named[Float[Tensor, "rows ..."]]
    """Activations by canonical hook name; row i of each is of the same position."""
    work: Work

    def table(self) -> pa.Table:
        """What is known of every row; the columns of a store's table."""
        return self.work.table()


def stream_activations(
    network: HookedNetwork,
    data: Data,
    hooks: str | Sequence[str],
    *,
    dtype: "str | torch.dtype" = "float32",
    progress: bool = False,
    **settings: Any,
) -> Iterator[ActivationBatch]:
    """Yields the activations that `collect` would write, batch by batch, in the same order.

    Args:
        network: What reads.
        data: A world, or a list of texts or of arrays (time, …).
        hooks: Hook names, or one.
        dtype: Type of the numbers: float32, bfloat16 or float16.
        progress: Show a progress bar.
        settings: Which positions become rows and how inputs are read; see `ReadSettings`.

    Raises:
        LookupError, ValueError, FloatingPointError: As `collect`.
    """
    reading = read_settings(settings)
    kind = torch_dtype(dtype)
    reader = Reader(network, as_inputs(data, column=reading.column), hooks, reading)
    return _stream(reader, kind, progress)


def _stream(reader: Reader, dtype: torch.dtype, progress: bool) -> Iterator[ActivationBatch]:
    shapes = reader.row_shapes()
    bar = tqdm(total=len(reader.inputs), desc="reading", unit="input", disable=not progress)
    with bar, keeping_freed_memory():
        for work in reader.works(Cursor()):
            rows = {n: torch.empty(work.n_rows, *s, dtype=dtype) for n, s in shapes.items()}
            acts = Named(rows)
            reader.read_into(work, acts)
            bar.update(work.inputs_done - bar.n)
            yield ActivationBatch(acts, work)
