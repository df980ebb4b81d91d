"""What is checked of the hooks of a wrapped module, once for each, when it is first read there."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int, Shaped
from torch import Tensor

from worldscope.networks.alone import Read, check_read_alone, nearly_equal
from worldscope.networks.following import check_time
from worldscope.networks.one_pass import Reads


class ReadChecks:
    """Checks that are yet to be made of a module; of a changed one they are made again."""

    def __init__(self, *, timed: bool):
        """Args:
        timed: Whether axis 1 of the inputs is their time.
        """
        self.timed = timed
        self._repeated: set[str] = set()
        self._alone: set[tuple[str, bool]] = set()
        """Hooks that were compared, and whether inputs were padded there."""
        self._followed: set[str] = set()

    def check(
        self,
        reads: Reads,
        inputs: Shaped[Tensor, "batch ..."],
        lengths: Int[np.ndarray, " batch"],
        read: Read,
    ) -> None:
        """Reads again what tells whether a module can be read in batches.

        Args:
            reads: What was read of the batch at each hook, positions on axis 1.
            inputs: The batch, the longest first, padded at the end.
            lengths: Steps of each.
            read: Reads inputs, given with their lengths, at the same hooks.

        Raises:
            ValueError: If the same inputs are read otherwise a second time or an input otherwise
                than alone, or axis 1 of a hook is not the time of the inputs though as long.
        """
        if not self._repeated >= reads.keys():
            _check_again(reads, read(inputs, lengths))
            self._repeated |= reads.keys()
        padded = self.timed and len(set(lengths.tolist())) > 1
        pairs = {(name, padded) for name in reads}
        if len(inputs) > 1 and not pairs <= self._alone:
            check_read_alone(reads, inputs, lengths, read, timed=self.timed)
            self._alone |= pairs
        if self.timed and not self._followed >= reads.keys():
            check_time(inputs[:1], read)
            self._followed |= reads.keys()


def _check_again(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    for name, acts in first.items():
        if not nearly_equal(acts, second[name]):
            raise ValueError(
                f"{name} of the same inputs is another when they are read again: the module draws "
                "random numbers, or keeps something from one pass for the next; record a hook "
                "before that, or take it off"
            )
