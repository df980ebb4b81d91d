"""Activations of a forward pass, kept in memory inside a `with` block."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from jaxtyping import Float
from torch import Tensor

from worldscope.activations.named import MissingName
from worldscope.networks.hooked import HookedNetwork, NamesFilter


class Captured(Mapping[str, Float[Tensor, "batch ..."]]):
    """Activations by hook name, after edits; aliases and ends of names are accepted.

    Another name is a `KeyError` whose sentence says what was captured.
    """

    def __init__(self, network: HookedNetwork, passes: Sequence[Mapping[str, Tensor]]):
        """See `capture`."""
        self.network = network
        self.passes = passes
        """Activations of every forward pass, by canonical hook name."""

    def __getitem__(self, hook: str) -> Float[Tensor, "batch ..."]:
        acts = self._only()
        try:
            name = self.network.hook_name(hook)
        except LookupError as error:
            raise MissingName(str(error)) from None
        if name not in acts:
            raise MissingName(f"{name} was not captured; {', '.join(acts)} were: name it, too")
        return acts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._only())

    def __len__(self) -> int:
        return len(self._only())

    def _only(self) -> Mapping[str, Tensor]:
        if len(self.passes) != 1:
            raise LookupError(
                f"the network ran {len(self.passes)} times in the block: take one of `.passes`, "
                "or run it once"
            )
        return self.passes[0]


@contextmanager
def capture(network: HookedNetwork, hooks: NamesFilter = None) -> Iterator[Captured]:
    """Keeps what the network's forward passes compute at some hooks.

        with ws.capture(net, ["blocks.1.hook_out"]) as acts:
            net(symbols)
        acts["blocks.1.hook_out"]  # (batch, time, d)

    Args:
        network: What runs in the block; it is as it was afterwards.
        hooks: Hook name or names, a function that is true of a name, or None for all.

    Raises:
        LookupError: If a hook is unknown.
        RuntimeError: If the network never ran in the block.
    """
    names = network.hook_names(hooks)
    if not names:
        raise LookupError("no hook is named; name at least one, or leave `hooks` out for all")
    with network.listening(names) as passes:
        yield Captured(network, passes)
        if not passes:
            raise RuntimeError("the network never ran in the block, so that nothing was captured")
