"""`worldscope collect`: from a file of texts to a store, with progress."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from worldscope.activations.collect import collect
from worldscope.activations.settings import ReadSettings
from worldscope.activations.store import ActivationStore
from worldscope.networks.loading import load_network
from worldscope.worlds.files import load_world
from worldscope.worlds.reviews import load_reviews
from worldscope.worlds.world import World


def collect_to(
    out: str,
    network: str,
    data: str,
    hooks: tuple[str, ...] | str,
    columns: tuple[str, str | None, str | None],
    *,
    arithmetic: str,
    device: str,
    limit: int | None,
    settings: ReadSettings,
    **how: Any,
) -> ActivationStore:
    """Collects from a file of texts; see `worldscope.cli.collect` for the arguments."""
    text, label, group = columns
    hooks = tuple(map(str.strip, hooks.split(","))) if isinstance(hooks, str) else hooks
    if data == "short":
        world = load_reviews(data)
    else:
        keep = () if settings.column is None else (settings.column,)
        world = load_world(
            data, text_column=text, label_column=label, group_column=group, keep=keep
        )
    if limit is not None:
        world = _drawn(world, limit, settings.seed)
    net = load_network(network, device=device, dtype=arithmetic)
    return collect(net, world, hooks, Path(out), progress=True, **how, **asdict(settings))


def _drawn(world: World, limit: int, seed: int) -> World:
    if limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1")
    shuffled = world.dataset.shuffle(seed=seed)
    few = shuffled.select(range(min(limit, len(world))))
    return World(world.name, few, world.input_column, world.group_column, world.states)
