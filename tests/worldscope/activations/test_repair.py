"""What is missing of a store is made again, to the same bytes; a whole one is not written to."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from worldscope.activations.collect import collect
from worldscope.activations.shards import checksum
from worldscope.activations.store import load_store
from worldscope.networks.loading import load_network, save_network
from worldscope.networks.mlstm import MLSTM
from worldscope.worlds.world import World

HOOKS = ["lstm.0.hook_c", "hook_h"]
SMALL = {"shard_mb": 0.004, "window": 16, "batch_positions": 64}


def damage_first_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def damage_all(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [Path.unlink, damage_first_half, damage_all])
@pytest.mark.parametrize("kind", ["acts", "rows"])
@pytest.mark.parametrize("number", [0, 1, -1])
@pytest.mark.parametrize("complete", [True, False])
def test_a_damaged_shard_is_made_again_to_the_same_bytes(
    network: MLSTM, world: World, tmp_path: Path, number: int, kind: str, damage, complete: bool
) -> None:
    store = collect(network, world, HOOKS, tmp_path / "store", **SMALL)
    names = {f.name for f in store.folder.iterdir()}
    before = {name: checksum(store.folder / name) for name in names}
    if not complete:
        manifest = store.folder / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"complete": true', '"complete": false'))
    damage(store.folder / getattr(store.manifest.shards[number], kind))
    assert load_store(store.folder).verify()
    again = collect(network, world, HOOKS, tmp_path / "store", **SMALL)
    assert again.verify() == []
    assert {name: checksum(store.folder / name) for name in names} == before
    assert {f.name for f in store.folder.iterdir()} == names


def test_bytes_that_cannot_be_made_again_are_refused_each_time(
    network: MLSTM, world: World, tmp_path: Path
) -> None:
    store = collect(network, world, HOOKS, tmp_path / "store", **SMALL)
    manifest, first = store.folder / "manifest.json", store.manifest.shards[0]
    manifest.write_text(manifest.read_text().replace(first.acts_checksum, "0" * 16))
    (store.folder / first.acts).unlink()
    for _ in range(2):
        with pytest.raises(ValueError, match="cannot be made again with the same bytes"):
            collect(network, world, HOOKS, tmp_path / "store", **SMALL)
    assert not (store.folder / first.acts).exists()


def test_a_whole_store_is_given_without_writing(
    network: MLSTM, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = collect(network, world, HOOKS, tmp_path / "store", **SMALL)
    (store.folder / ".lock").unlink(missing_ok=True)
    before = {file: file.stat().st_mtime_ns for file in store.folder.iterdir()}

    def refuse(*_: object) -> None:
        raise PermissionError("a read-only disk")

    monkeypatch.setattr(Path, "mkdir", refuse)
    runs = network.runs
    again = collect(network, world, HOOKS, tmp_path / "store", **SMALL)
    assert torch.equal(again.acts("hook_h"), store.acts("hook_h"))
    assert {file: file.stat().st_mtime_ns for file in store.folder.iterdir()} == before
    assert network.runs <= runs + 1  # the shape of a row is read from one short input


READ_ONLY = """
import errno, os, sys
import worldscope as ws

network, folder = ws.load_network(sys.argv[1]), sys.argv[2]
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.utime", "os.link"}

def refuse_writes(event, given):
    writes = event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    if (writes or event in CHANGES) and str(given[0]).startswith(folder):
        raise OSError(errno.EROFS, "Read-only file system", given[0])

sys.addaudithook(refuse_writes)
store = ws.collect(network, ["some text", "more"], "hook_c", folder)
assert store.manifest.complete
print(float(store.acts().sum()))
"""


@pytest.mark.parametrize("locked", [True, False])
def test_a_whole_store_is_given_from_a_read_only_disk(
    network: MLSTM, tmp_path: Path, locked: bool
) -> None:
    """The interpreter tells of every file that it opens; the first collection left its lock."""
    save_network(network, tmp_path / "net")
    texts = ["some text", "more"]
    store = collect(load_network(str(tmp_path / "net")), texts, "hook_c", tmp_path / "store")
    assert (store.folder / ".lock").exists()
    if not locked:
        (store.folder / ".lock").unlink()
    command = [sys.executable, "-c", READ_ONLY, str(tmp_path / "net"), str(store.folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == float(store.acts().sum())
    damage_all(store.folder / store.manifest.shards[0].rows)
    refused = subprocess.run(command, capture_output=True, text=True)
    assert "store cannot be written (Read-only file system)" in refused.stderr


def test_an_empty_shard_is_named_however_it_is_read(
    network: MLSTM, world: World, tmp_path: Path
) -> None:
    store = collect(network, world, HOOKS, tmp_path / "store", **SMALL)
    damage_all(store.folder / store.manifest.shards[0].acts)
    damaged = load_store(store.folder)
    said = "shard-00000.safetensors is truncated or not a shard .*; collecting again makes it anew"
    with pytest.raises(ValueError, match=said):
        damaged.acts("hook_h")
    with pytest.raises(ValueError, match=said):
        damaged.gather("hook_h", [0])
    with pytest.raises(ValueError, match=said):
        next(iter(damaged.batches(2, hooks="hook_h")))
