"""Several edits in one batch, so that comparing them costs one pass and not one each."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from worldscope.networks.hooked import Edit, HookPoint


class SideBySide:
    """Applies edit j of k to the rows j, k + j, 2k + j, … of a batch.

    So every input stands k times in a row in the batch, once for each edit. A row's values are
    those of a batch with its own edit alone, up to the last digit of a matrix product.
    """

    def __init__(self, edits: Sequence[Edit | None]):
        """Args:
        edits: What is done to each row of a group; None leaves it as it is.
        """
        self.edits = edits

    def __call__(
        self, acts: Float[Tensor, "batch 1 d"], hook: HookPoint
    ) -> Float[Tensor, "batch 1 d"]:
        """Applies each edit to its rows.

        Raises:
            ValueError: If the batch is not whole groups of rows.
        """
        if len(acts) % len(self.edits):
            raise ValueError(
                f"the batch at {hook.name} has {len(acts)} rows, which is no multiple of "
                f"{len(self.edits)} edits: repeat every input once for each edit"
            )
        by_edit = acts.unflatten(0, (-1, len(self.edits))).unbind(1)
        changed = (
            rows if edit is None else _or_same(edit(rows, hook), rows)
            for edit, rows in zip(self.edits, by_edit, strict=True)
        )
        return torch.stack(list(changed), dim=1).flatten(0, 1)


def _or_same(edited: Tensor | None, given: Tensor) -> Tensor:
    return given if edited is None else edited
