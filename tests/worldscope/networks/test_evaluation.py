"""A module evaluates inside the block, and is afterwards as it was, whatever happened."""

import copy

import pytest
import torch
from torch import Tensor, nn

from worldscope.networks.evaluation import Watch, in_evaluation
from worldscope.networks.wrapped import wrap


class Counting(nn.Module):
    """Counts its passes in buffers, one of them in place, whether or not it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(1))
        self.register_buffer("last", torch.zeros(1), persistent=False)
        self.register_buffer("nothing", None)

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        self.last = self.passes * 2
        return x


def mixed() -> nn.Sequential:
    """Some parts train and others do not."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)),
        Counting(), nn.SyncBatchNorm(4),
    )  # fmt: skip
    module.train()
    module[3].eval()
    module[5].eval()
    return module


X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("failing", [False, True])
def test_flags_and_buffers_are_as_they_were(failing: bool) -> None:
    module = mixed()
    flags = [part.training for part in module.modules()]
    assert len(set(flags)) == 2
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    objects = dict(module.named_buffers())
    network = wrap(module, timed=False)

    def edit(value: Tensor, _: object) -> None:
        if failing:
            raise ZeroDivisionError

    for _ in range(2):
        try:
            with network.hooks([("5.hook_out", edit)]):
                network(X)
        except ZeroDivisionError:
            assert failing
    assert [part.training for part in module.modules()] == flags
    for name, buffer in module.named_buffers():
        assert buffer is objects[name]
        assert torch.equal(buffer, before[name])
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_module_is_read_as_one_that_evaluates() -> None:
    module = mixed()
    expected = copy.deepcopy(module).eval()(X)
    network = wrap(module, X, timed=False)
    for _ in range(3):
        torch.testing.assert_close(network(X), expected, rtol=0, atol=0)
    assert not torch.allclose(module(X), expected)


def test_a_recurrent_module_between_whose_layers_is_dropout_is_read_as_one_that_evaluates() -> None:
    lstm = nn.LSTM(3, 4, 2, batch_first=True, dropout=0.9).train()
    x = torch.randn(2, 5, 3)
    expected = copy.deepcopy(lstm).eval()(x)[0]
    torch.testing.assert_close(wrap(lstm)(x).output, expected)
    assert lstm.training


@pytest.mark.parametrize("enabled", [True, False])
def test_the_fast_path_is_off_inside_and_as_it_was_outside(enabled: bool) -> None:
    torch.backends.mha.set_fastpath_enabled(enabled)
    try:
        with pytest.raises(ZeroDivisionError), in_evaluation(nn.Identity()):
            assert not torch.backends.mha.get_fastpath_enabled()
            raise ZeroDivisionError
        assert torch.backends.mha.get_fastpath_enabled() == enabled
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_a_buffer_that_two_modules_share_is_one_inside_too() -> None:
    one, other = Counting(), Counting()
    other.register_buffer("passes", one.passes)
    with in_evaluation(nn.Sequential(one, other)):
        one(X)
        assert other.passes is one.passes
        assert float(other.passes) == 1
    assert other.passes is one.passes
    assert float(one.passes) == 0


class Remembers(nn.Module):
    """Registers a buffer in its first pass, and relies on it from then on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.begun:
            self.register_buffer("first", x.clone())
            self.begun = True
        return x - self.get_buffer("first")


def test_what_a_module_adds_to_itself_in_its_first_pass_stays_and_is_in_its_digest() -> None:
    module = Remembers()
    network = wrap(module, X, timed=False)
    digest = network.digest
    assert torch.equal(module.get_buffer("first"), X)
    torch.testing.assert_close(network(X + 1), torch.ones_like(X))
    assert network.digest == digest != wrap(Remembers(), timed=False).digest


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
def test_modules_that_are_compiled_or_have_no_shape_yet_are_read() -> None:
    lazy = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    found = wrap(lazy, X, timed=False)(X)
    torch.testing.assert_close(found, lazy.eval()(X))
    traced = torch.jit.trace(nn.Sequential(nn.BatchNorm1d(4)).eval(), X)
    assert isinstance(traced, nn.Module)
    _, acts = wrap(traced, X, timed=False).run_with_cache(X)  # pyright: ignore
    torch.testing.assert_close(acts["hook_out"], traced.eval()(X))


def test_a_watch_sees_every_kind_of_change() -> None:
    module = nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.Identity())
    watch = Watch(module)
    assert not watch.changed()
    with torch.no_grad():
        for change in (
            lambda: module.get_parameter("0.weight").add_(1),
            lambda: module.get_buffer("1.running_mean").add_(1),
            lambda: setattr(module[0], "stride", (2,)),
            lambda: setattr(module[2], "new", 1),
            lambda: module.__setitem__(2, nn.ReLU()),
            lambda: module.append(nn.ReLU()),
            lambda: module.to(torch.bfloat16),
            lambda: module.load_state_dict(module.state_dict()),
        ):
            change()
            assert watch.changed()
            watch.look()
            assert not watch.changed()
