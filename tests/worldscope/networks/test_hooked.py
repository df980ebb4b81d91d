"""Facts about hook points that hold for any network of ours."""

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from worldscope.networks.hooked import Edit, HookedNetwork, HookPoint


class Toy(HookedNetwork):
    """Adds one at `toy.hook_a`, passes through `toy.hook_b`, and never reaches `toy.hook_idle`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        names = ("toy.hook_a", "toy.hook_b", "toy.hook_idle")
        self.hook_dict = {name: HookPoint(name, 2) for name in names}

    def forward(self, steps: int = 1) -> Tensor:
        self.runs += 1
        value = torch.zeros(1, 2)
        for step in range(steps):
            value = self.hook_dict["toy.hook_a"].apply(value + self.weight, step)
            value = self.hook_dict["toy.hook_b"].apply(value, step)
        return value


@pytest.fixture
def toy() -> Toy:
    return Toy().requires_grad_(False)


def adding(amount: float) -> Edit:
    return lambda value, hook: value + amount


def doubling(value: Tensor, hook: HookPoint) -> Tensor:
    return value * 2


def test_edits_act_inside_the_block_in_the_order_given_and_not_after(toy: Toy) -> None:
    with toy.hooks([("hook_a", adding(1)), ("hook_a", doubling)]) as network:
        assert network is toy
        assert toy().tolist() == [[4.0, 4.0]]
    with toy.hooks([("hook_a", doubling), ("hook_a", adding(1))]):
        assert toy().tolist() == [[3.0, 3.0]]
    assert toy().tolist() == [[1.0, 1.0]]


def test_an_edit_sees_batch_one_d_and_its_hook_with_name_and_step(toy: Toy) -> None:
    seen = []
    with toy.hooks(
        [("hook_b", lambda value, hook: seen.append((value.shape, hook.name, hook.step)))]
    ):
        toy(steps=3)
    assert seen == [((1, 1, 2), "toy.hook_b", step) for step in range(3)]


def test_an_edit_may_change_its_value_in_place_and_return_nothing(toy: Toy) -> None:
    def halve(value: Tensor, hook: HookPoint) -> None:
        value[:, :, 0] *= 0.5

    with toy.hooks([("hook_a", halve)]):
        assert toy().tolist() == [[0.5, 1.0]]


def test_an_edit_of_another_type_is_cast_back(toy: Toy) -> None:
    with toy.hooks([("hook_a", lambda value, hook: value.double() + 1)]):
        assert toy().dtype == torch.float32


@pytest.mark.parametrize("shape", [(1, 2), (1, 1, 1), (2, 1, 2)])
def test_an_edit_of_another_shape_is_refused(toy: Toy, shape: tuple[int, ...]) -> None:
    with (
        pytest.raises(ValueError, match=r"toy\.hook_a returned shape .* must return \(1, 1, 2\)"),
        toy.hooks([("hook_a", lambda value, hook: torch.zeros(shape))]),
    ):
        toy()


def test_edits_are_removed_after_an_exception(toy: Toy) -> None:
    with pytest.raises(RuntimeError, match="stop"), toy.hooks([("hook_a", adding(1))]):
        raise RuntimeError("stop")
    assert toy().tolist() == [[1.0, 1.0]]
    assert not any(point.edits for point in toy.hook_dict.values())


def test_an_unknown_name_adds_no_edit_at_all(toy: Toy) -> None:
    with (
        pytest.raises(LookupError),
        toy.hooks([("hook_a", adding(1)), ("hook_z", adding(1))]),
    ):
        pass
    assert toy().tolist() == [[1.0, 1.0]]


def test_nested_blocks_add_up_and_each_removes_its_own(toy: Toy) -> None:
    same = adding(1)
    with toy.hooks([("hook_a", same)]):
        with toy.hooks([("hook_a", lambda value, hook: value * 10), ("hook_a", same)]):
            assert toy().tolist() == [[21.0, 21.0]]
        assert toy().tolist() == [[2.0, 2.0]]
    assert toy().tolist() == [[1.0, 1.0]]


class Incomparable:
    """An edit that, like one that holds an array, cannot be compared with another."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None  # pyright: ignore

    def __call__(self, value: Tensor, hook: HookPoint) -> Tensor:
        return value + 1


def test_edits_that_cannot_be_compared_are_removed_too(toy: Toy) -> None:
    with toy.hooks([("hook_a", Incomparable())]):
        with toy.hooks([("hook_a", Incomparable())]):
            assert toy().tolist() == [[3.0, 3.0]]
        assert toy().tolist() == [[2.0, 2.0]]
    assert toy().tolist() == [[1.0, 1.0]]


def test_an_edit_that_the_network_never_reached_is_an_error(toy: Toy) -> None:
    with (
        pytest.raises(RuntimeError, match=r"the edit at toy\.hook_idle was never called"),
        toy.hooks([("hook_a", adding(1)), ("hook_idle", adding(1))]),
    ):
        toy()
    assert not any(point.edits for point in toy.hook_dict.values())


def test_an_edit_is_no_error_when_the_network_did_not_run(toy: Toy) -> None:
    toy()
    with toy.hooks([("hook_idle", adding(1))]):
        pass


def test_a_block_within_does_not_hide_that_the_outer_edit_was_called(toy: Toy) -> None:
    with toy.hooks([("hook_a", adding(1))]):
        toy()
        with toy.hooks([("hook_a", adding(1))]):
            pass


def test_a_call_before_the_block_does_not_count_as_firing(toy: Toy) -> None:
    toy.hook_dict["toy.hook_idle"].apply(torch.zeros(1, 2), 0)
    with pytest.raises(RuntimeError, match="never called"), toy.hooks([("hook_idle", adding(1))]):
        toy()


def test_a_name_may_leave_out_its_place_where_that_is_unique(toy: Toy) -> None:
    assert toy.hook_name("hook_a") == toy.hook_name("toy.hook_a") == "toy.hook_a"
    toy.hook_dict["other.hook_a"] = HookPoint("other.hook_a", 2)
    with pytest.raises(LookupError, match="no hook point is called 'hook_a'"):
        toy.hook_name("hook_a")


def test_an_unknown_name_lists_the_nearest_first(toy: Toy) -> None:
    with pytest.raises(LookupError, match=r"'toy\.hook_c'; the nearest are toy\.hook_[ab], "):
        toy.hook_name("toy.hook_c")
    with pytest.raises(
        LookupError, match=r"'zzz'; there are toy\.hook_a, toy\.hook_b, toy\.hook_idle"
    ):
        toy.hook_name("zzz")


def test_a_filter_is_none_a_name_several_or_a_function(toy: Toy) -> None:
    assert toy.hook_names() == ["toy.hook_a", "toy.hook_b", "toy.hook_idle"]
    assert toy.hook_names("hook_b") == ["toy.hook_b"]
    assert toy.hook_names(["hook_b", "toy.hook_a"]) == ["toy.hook_b", "toy.hook_a"]
    assert toy.hook_names(lambda name: name.endswith("idle")) == ["toy.hook_idle"]
    assert toy.hook_names([]) == []
    with pytest.raises(LookupError):
        toy.hook_names(["hook_a", "hook_z"])


def test_a_digest_changes_with_any_weight_and_with_nothing_else(toy: Toy) -> None:
    before = toy.digest
    assert before == Toy().digest
    assert len(before) == 16
    toy()
    with toy.hooks([("hook_a", adding(1))]):
        assert toy.digest == before
    toy.weight[1] += 1e-6
    assert toy.digest != before


def test_a_network_lets_go_of_edits_that_are_over(toy: Toy) -> None:
    edit = Incomparable()
    with toy.hooks([("hook_a", edit)]):
        toy()
    gone = weakref.ref(edit)
    del edit
    gc.collect()
    assert gone() is None
