"""What an activation store says of itself: where its rows come from, and what its files hold.

Nothing in it depends on when or how often it was written, so that two collections of the same
thing have the same bytes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import xxhash

from worldscope.runs.files import plain, read_json, to_json, write_json

FORMAT = "worldscope activations 1"
FILE = "manifest.json"


@dataclass(frozen=True)
class Source:
    """What a store was collected from; a collection goes on only with the same."""

    network: str
    """Digest of the weights."""
    codec: str | None
    """Digest of the codec, if the network reads text."""
    arithmetic: str
    """Type of the network's matrix products."""
    data: str
    """Digest of the inputs, groups and labels."""
    inputs: int
    """How many inputs there are."""
    hooks: dict[str, list[int]]
    """Shape of a row of each hook, by its canonical name."""
    dtype: str
    """Type of the stored numbers."""
    settings: dict[str, Any]
    """How the inputs were read; see `ReadSettings`."""
    shard_rows: int
    """Rows after which a shard is closed."""
    batches: dict[str, Any] = field(default_factory=dict)
    """What of the network, beside the settings, decides which inputs are read together."""

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits: equal exactly when the sources are."""
        ordered = replace(self, hooks=dict(sorted(self.hooks.items())))
        return xxhash.xxh3_64(to_json(ordered).encode()).hexdigest()

    def check_same(self, other: "Source", where: Path) -> None:
        """Refuses another source.

        Raises:
            ValueError: If one differs; the sentence says in what.
        """
        then, now = plain(other), plain(self)
        for name, value in now.items():
            if then[name] != value:
                raise ValueError(
                    f"{where} was collected with another {_NAMES.get(name, name)}: "
                    f"{_difference(then[name], value)}; give the same, or another folder"
                )


@dataclass(frozen=True)
class Shard:
    """Some rows, in two files."""

    acts: str
    """Name of the safetensors file."""
    rows: str
    """Name of the Parquet file."""
    n_rows: int
    acts_checksum: str
    """xxh3-64 of the file."""
    rows_checksum: str
    after: tuple[int, int]
    """Window and unit of the plan that come next."""


@dataclass(frozen=True)
class Manifest:
    """A store's description."""

    source: Source
    environment: dict[str, str]
    """Versions and machine that it was begun with, on which the same bits are promised."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Names of the network and the data, other names of the hooks, digest of the inputs alone;
    measured error of the arithmetic."""
    states: list[dict[str, Any]] = field(default_factory=list)
    """Ground-truth columns of the row table."""
    shards: tuple[Shard, ...] = ()
    complete: bool = False
    """Whether every input has been read."""
    later: list[dict[str, Any]] = field(default_factory=list)
    """Other environments that the collection went on in: each with its first `shard`."""

    @property
    def n_rows(self) -> int:
        """Rows of all shards."""
        return sum(shard.n_rows for shard in self.shards)

    def with_shard(self, shard: Shard) -> "Manifest":
        """The same with one more shard."""
        return replace(self, shards=(*self.shards, shard))

    def gone_on_in(self, environment: dict[str, str]) -> "Manifest":
        """The same, for shards that are yet to be written in an environment."""
        if self.complete or environment == self.last_environment:
            return self
        change = {"shard": len(self.shards), "environment": environment}
        return replace(self, later=[*self.later, change])

    @property
    def last_environment(self) -> dict[str, str]:
        """The one that the collection last went on in."""
        return self.later[-1]["environment"] if self.later else self.environment


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replaces the manifest of a store."""
    write_json(folder / FILE, {"format": FORMAT, **asdict(manifest)})


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a store.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged or of another format.
    """
    file = folder / FILE
    if not file.is_file():
        raise FileNotFoundError(f"{folder} holds no activation store: {FILE} is missing")
    try:
        return _parsed(read_json(file))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{file} does not describe an activation store: {error}") from None


def _parsed(found: Mapping[str, Any]) -> Manifest:
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    values = {name: value for name, value in found.items() if name != "format"}
    values["source"] = Source(**values["source"])
    values["shards"] = tuple(
        Shard(**{**shard, "after": tuple(shard["after"])}) for shard in values["shards"]
    )
    return Manifest(**values)


_NAMES = {
    "batches": "way of the network to read inputs together",
    "data": "data set",
    "hooks": "hook list",
    "inputs": "data set",
    "shard_rows": "shard_mb, which makes so many rows a shard",
}


def _difference(then: Any, now: Any) -> str:
    if not isinstance(then, dict) or not isinstance(now, dict):
        return f"{then} then, {now} now"
    return "; ".join(
        f"{name} {then.get(name, 'absent')} then, {now.get(name, 'absent')} now"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    )
