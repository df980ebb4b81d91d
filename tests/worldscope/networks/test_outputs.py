"""Whatever holds tensors is rebuilt in its own type, and what was given stays as it is."""

import copy
from collections import OrderedDict, UserDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence
from transformers.modeling_outputs import BaseModelOutput

from worldscope.networks.outputs import with_visited


class Named(NamedTuple):
    a: Tensor
    n: int


class Sub(tuple):
    """A tuple that is made of something else and carries something more."""

    def __new__(cls, tensor: Tensor, mark: str) -> "Sub":
        made = super().__new__(cls, (tensor, 3))
        made.mark = mark  # pyright: ignore
        return made


class Listed(list):
    mark = "here"


@dataclass(frozen=True)
class Frozen:
    a: Tensor
    n: int = field(default=3, init=False)


@dataclass(slots=True)
class Made:
    a: Tensor = field(init=False)
    runs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runs.append(1)


class Read(Mapping[str, Any]):
    """A mapping that cannot be written to."""

    def __init__(self, given: Mapping[str, Any]):
        self._held = dict(given)

    def __getitem__(self, key: str) -> Any:
        return self._held[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def made() -> Made:
    value = Made()
    value.a = torch.ones(2)
    return value


class Counts(UserDict):
    pass


ONE = torch.ones(2)
CASES: dict[str, tuple[Callable[[], Any], Callable[[Any], Tensor], str]] = {
    "tuple": (lambda: (3, ONE), lambda v: v[1], "x.1"),
    "list": (lambda: [ONE], lambda v: v[0], "x.0"),
    "subclass of list": (lambda: Listed([ONE]), lambda v: v[0], "x.0"),
    "subclass of tuple": (lambda: Sub(ONE, "m"), lambda v: v[0], "x.0"),
    "named tuple": (lambda: Named(ONE, 3), lambda v: v.a, "x.0"),
    "torch.max": (lambda: torch.ones(2, 2).max(1), lambda v: v.values, "x.0"),
    "packed": (lambda: pack_sequence([ONE]), lambda v: v.data, "x.0"),
    "dict": (lambda: {"a": ONE, 2: "n"}, lambda v: v["a"], "x.a"),
    "ordered": (lambda: OrderedDict(a=ONE), lambda v: v["a"], "x.a"),
    "default": (lambda: defaultdict(int, a=ONE), lambda v: v["a"], "x.a"),
    "user dict": (lambda: Counts(a=ONE), lambda v: v["a"], "x.a"),
    "proxy": (lambda: MappingProxyType({"a": ONE}), lambda v: v["a"], "x.a"),
    "mapping": (lambda: Read({"a": ONE}), lambda v: v["a"], "x.a"),
    "frozen": (lambda: Frozen(ONE), lambda v: v.a, "x.a"),
    "without init": (made, lambda v: v.a, "x.a"),
    "model output": (lambda: BaseModelOutput(ONE), lambda v: v[0], "x.last_hidden_state"),  # pyright: ignore
    "batch of symbols": (
        lambda: transformers.BatchEncoding({"a": ONE}), lambda v: v["a"], "x.a",
    ),
    "deep": (lambda: {"a": (3, Frozen([ONE]))}, lambda v: v["a"][1].a[0], "x.a.1.a.0"),  # pyright: ignore
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_structure_is_rebuilt_and_what_was_given_is_kept(case: str) -> None:
    build, tensor_of, name = CASES[case]
    value, seen = build(), []

    def doubled(name: str, tensor: Tensor) -> Tensor:
        seen.append(name)
        return tensor * 2

    new = with_visited(value, "x", doubled)
    assert seen == [name]
    assert type(new) is type(value)
    assert torch.equal(tensor_of(new), torch.full_like(tensor_of(value), 2))
    assert torch.equal(tensor_of(value), torch.ones_like(tensor_of(value)))
    assert getattr(new, "__dict__", {}).keys() == getattr(value, "__dict__", {}).keys()
    assert with_visited(value, "x", lambda _, tensor: tensor) is value


def test_the_rest_of_a_structure_is_carried_over() -> None:
    half = {name: with_visited(CASES[name][0](), "x", lambda _, t: t / 2) for name in CASES}
    assert half["subclass of tuple"].mark == "m"
    assert half["subclass of tuple"][1] == half["frozen"].n == half["named tuple"].n == 3
    assert half["without init"].runs == [1], "nothing is initialised again"
    assert half["default"]["missing"] == 0
    assert half["dict"][2] == "n"
    output = half["model output"]
    assert output.last_hidden_state is output["last_hidden_state"] is output[0]
    assert list(output) == ["last_hidden_state"]


leaves = st.builds(lambda: torch.ones(1)) | st.integers() | st.none() | st.text(max_size=2)
nested = st.recursive(
    leaves,
    lambda part: (
        st.lists(part, max_size=3)
        | st.lists(part, max_size=3).map(tuple)
        | st.dictionaries(st.text("ab", max_size=2), part, max_size=3)
    ),
    max_leaves=8,
)


@given(nested)
def test_names_lead_to_the_tensors_and_nothing_else_changes(value: Any) -> None:
    before, seen = copy.deepcopy(value), {}

    def visit(name: str, tensor: Tensor) -> Tensor:
        seen[name] = tensor
        return tensor + 1

    new = with_visited(value, "x", visit)
    back = with_visited(new, "x", lambda _, tensor: tensor - 1)
    assert repr(value) == repr(before) == repr(back)
    assert sum(1 for _ in seen) == repr(value).count("tensor(")
