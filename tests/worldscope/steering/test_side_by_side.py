import pytest
import torch

from worldscope.networks.hooked import HookPoint
from worldscope.steering.side_by_side import SideBySide

HOOK = HookPoint("lstm.0.hook_c", 3)


def test_every_edit_changes_its_own_rows_and_no_others() -> None:
    acts = torch.randn(6, 1, 3)
    edits = [lambda x, _: x + 1, None, lambda x, _: x * 2]
    expected = acts.clone()
    expected[[0, 3]] += 1
    expected[[2, 5]] *= 2
    assert torch.equal(SideBySide(edits)(acts, HOOK), expected)


def test_an_edit_in_place_counts() -> None:
    acts = torch.ones(4, 1, 3)

    def double(x: torch.Tensor, hook: HookPoint) -> None:
        x.mul_(2)

    assert SideBySide([None, double])(acts, HOOK)[:, 0, 0].tolist() == [1, 2, 1, 2]


def test_a_batch_that_is_not_whole_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="5 rows, which is no multiple of 2 edits"):
        SideBySide([None, None])(torch.ones(5, 1, 3), HOOK)
