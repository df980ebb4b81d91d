"""A collection can be stopped at any moment, and says in one sentence what is wrong."""

import copy
import errno
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from worldscope.activations import collect as module
from worldscope.activations.collect import collect
from worldscope.activations.describe import describe_store
from worldscope.activations.store import load_store
from worldscope.activations.stream import stream_activations
from worldscope.networks.hooked import Piece
from worldscope.networks.loading import new_mlstm, save_network
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.transformer import Transformer
from worldscope.worlds.world import World

HOOK = "lstm.0.hook_c"
SMALL = {"shard_mb": 0.004, "window": 16, "batch_positions": 64}


def content(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.name != ".lock"}


@pytest.mark.parametrize("stopped_at", [1, 2, 4])
def test_a_collection_that_failed_goes_on_to_the_same_bytes(
    network: MLSTM,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped_at: int,
) -> None:
    collect(network, world, [HOOK, "hook_h"], tmp_path / "whole", **SMALL)
    written = []

    def failing(path: Path, *given: object) -> str:
        written.append(path)
        if len(written) == stopped_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_rows(path, *given)  # pyright: ignore

    write_rows = module.write_rows
    monkeypatch.setattr(module, "write_rows", failing)
    with pytest.raises(OSError, match=r"cannot be written \(No space left on device\); what is"):
        collect(network, world, [HOOK, "hook_h"], tmp_path / "part", **SMALL)
    monkeypatch.undo()
    assert not load_store(tmp_path / "part").manifest.complete
    collect(network, world, [HOOK, "hook_h"], tmp_path / "part", **SMALL)
    assert content(tmp_path / "part") == content(tmp_path / "whole")


SCRIPT = """
import sys, torch
import worldscope as ws
torch.set_num_threads(1)
net = ws.load_network(sys.argv[1])
texts = [f"text number {i} " * (i % 7 + 1) for i in range(2000)]
print("ready", flush=True)
ws.collect(net, texts, "hook_c", sys.argv[2], shard_mb=0.3, window=100, batch_positions=512)
"""


def killed_after(command: list[str], seconds: float | None) -> float:
    """Runs a command and kills it so long after it says that it is ready; its own time if None."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        start = time.monotonic()
        try:
            assert child.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            child.kill()
        return time.monotonic() - start


def test_killed_at_random_moments_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    save_network(new_mlstm(d_hidden=16, d_embed=4), tmp_path / "net")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "net")]
    whole = killed_after([*command, str(tmp_path / "whole")], None)
    draw = np.random.default_rng(1)
    for _ in range(5):
        killed_after([*command, str(tmp_path / "part")], draw.uniform(0, 0.5 * whole))
    killed_after([*command, str(tmp_path / "part")], None)
    assert content(tmp_path / "part") == content(tmp_path / "whole")


def test_a_finished_collection_is_given_back_as_it_is(
    network: MLSTM, world: World, tmp_path: Path
) -> None:
    first = collect(network, world, HOOK, tmp_path)
    before = content(tmp_path)
    again = collect(network, world, HOOK, tmp_path)
    assert again.manifest == first.manifest
    assert content(tmp_path) == before


def test_another_network_data_set_hook_or_setting_is_refused_and_named(
    network: MLSTM, world: World, tmp_path: Path
) -> None:
    collect(network, world, HOOK, tmp_path)
    other = copy.deepcopy(network)
    other.b_out.data[0] += 1
    changed = world.select(lambda row: row["film"] != "film 0")
    relabelled = World(
        world.name,
        world.dataset.map(lambda row: {"mood": 1}),
        world.input_column,
        world.group_column,
        world.states,
    )
    for given, settings, said in (
        ((other, world, HOOK), {}, "another network: "),
        ((network, changed, HOOK), {}, "another data set: "),
        ((network, relabelled, HOOK), {}, "another data set: "),
        ((network, world, "hook_h"), {}, "another hook list: .*hook_c.* then, .*hook_h.* now"),
        ((network, world, HOOK), {"positions": "last"}, "another settings: .*all.*last"),
        ((network, world, HOOK), {"dtype": "float16"}, "another dtype: float32 then, float16 now"),
    ):
        with pytest.raises(ValueError, match=said):
            collect(*given, tmp_path, **settings)  # pyright: ignore


def test_a_folder_with_other_files_is_left_alone(network: MLSTM, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(ValueError, match="holds other files; choose a new folder"):
        collect(network, ["a"], HOOK, tmp_path)
    assert content(tmp_path) == {"mine.txt": b"keep me"}


def test_a_folder_is_collected_into_by_one_at_a_time(network: MLSTM, tmp_path: Path) -> None:
    from worldscope.runs.lock import lock_folder

    lock = lock_folder(tmp_path)
    assert lock is not None
    with lock, pytest.raises(ValueError, match="a collection is running in"):
        collect(network, ["a"], HOOK, tmp_path)


def test_a_folder_that_cannot_be_made_is_named(network: MLSTM, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"store cannot be written \(Not a directory\)"):
        collect(network, ["a"], HOOK, tmp_path / "file" / "store")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_activation_that_is_not_finite_is_named(
    network: MLSTM, tmp_path: Path, value: float
) -> None:
    broken = returning(network, value, slice(3, None))
    with pytest.raises(FloatingPointError, match=r"hook_c at position 3 of input 0 is not finite"):
        collect(broken, ["abcd"], HOOK, tmp_path)
    assert list(content(tmp_path)) == ["manifest.json"]


def test_what_float16_cannot_hold_is_said(network: MLSTM, tmp_path: Path) -> None:
    large = returning(network, 1e5, slice(None))
    with pytest.raises(FloatingPointError, match="beyond 65,504.*choose bfloat16"):
        collect(large, ["abcd"], HOOK, tmp_path, dtype="float16")
    store = collect(large, ["abcd"], HOOK, tmp_path / "bf16", dtype="bfloat16")
    assert store.acts().isfinite().all()


def returning(network: MLSTM, value: float, where: slice) -> MLSTM:
    """A copy of a network that gives a value at some positions."""
    changed = copy.deepcopy(network)

    def stream_reads(*given: Any, **settings: Any) -> Iterator[Piece]:
        for piece in network.stream_reads(*given, **settings):
            for acts in piece.reads.values():
                acts[:, where] = value
            yield piece

    changed.stream_reads = stream_reads
    return changed


def test_a_network_that_is_edited_is_streamed_and_not_collected(
    network: MLSTM, tmp_path: Path
) -> None:
    with network.hooks([("hook_c", lambda acts, _: torch.full_like(acts, 0.5))]):
        with pytest.raises(ValueError, match="is being edited at lstm.0.hook_c, .* outside the"):
            collect(network, ["abcd"], HOOK, tmp_path / "store")
        for batch in stream_activations(network, ["abcd"], HOOK):
            assert batch.acts[HOOK].eq(0.5).all()
    assert not (tmp_path / "store").exists()
    assert not collect(network, ["abcd"], HOOK, tmp_path / "store").acts().eq(0.5).any()


@pytest.mark.parametrize(
    ("data", "settings", "error", "said"),
    [
        ([], {}, ValueError, "the data is empty"),
        ("a text", {}, ValueError, "the data is one string"),
        (["a"], {"positions": "column:x"}, LookupError, "a list has no column 'x'"),
        (["a", " "], {}, ValueError, "row 1 of the data: the text is empty"),
        (["a"], {"position": "last"}, TypeError, "no setting 'position': did you mean 'positions'"),
        (["a"], {"shard_mb": 0.0}, ValueError, "shard_mb is 0"),
        (["a"], {"dtype": "int8"}, ValueError, "dtype is 'int8'"),
        (["a"], {"positions": "some"}, ValueError, "positions is 'some'"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_no_rows(
    network: MLSTM, tmp_path: Path, data: list, settings: dict, error: type, said: str
) -> None:
    with pytest.raises(error, match=said):
        collect(network, data, HOOK, tmp_path / "s", **settings)
    assert not list(tmp_path.glob("s/*.safetensors"))
    assert collect(network, ["fine"], HOOK, tmp_path / "s").manifest.complete


def test_a_wrong_column_of_a_world_is_named(network: MLSTM, world: World, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"no column 'x'.*film"):
        collect(network, world, HOOK, tmp_path, positions="column:x")


def test_a_row_without_a_group_is_named(network: MLSTM, tmp_path: Path) -> None:
    rows = Dataset.from_dict({"text": ["a", "b"], "film": ["x", None]})
    with pytest.raises(ValueError, match="row 1 of the data has no group"):
        collect(network, World("w", rows, "text", "film"), HOOK, tmp_path)


def test_what_is_wrong_with_the_call_is_said_before_anything_is_written(
    network: MLSTM, tmp_path: Path
) -> None:
    for wrong in ({"dtype": "int8"}, {"shard_mb": 0.0}, {"positions": "some"}, {"windows": 3}):
        with pytest.raises((ValueError, TypeError)):
            collect(network, ["a"], HOOK, tmp_path / "s", **wrong)  # pyright: ignore
    with pytest.raises(LookupError):
        collect(network, ["a"], "hook_q", tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_folder_that_may_not_be_written_is_named(
    network: MLSTM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(module, "write_manifest", refuse)
    with pytest.raises(OSError, match=r"s cannot be written \(Permission denied\); .* same call"):
        collect(network, ["a"], HOOK, tmp_path / "s")
    assert not list((tmp_path / "s").glob("[!.]*"))


def test_a_file_is_no_folder_for_a_store(network: MLSTM, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    with pytest.raises(ValueError, match="notes.txt is a file; name a folder"):
        collect(network, ["a"], HOOK, file)
    assert file.read_text() == "mine"


def test_what_goes_on_in_another_environment_says_so(
    network: MLSTM, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(path: Path, *given: object) -> str:
        if path.name == "rows-00002.parquet":
            raise KeyboardInterrupt
        return write_rows(path, *given)  # pyright: ignore

    write_rows = module.write_rows
    monkeypatch.setattr(module, "write_rows", stopping)
    with pytest.raises(KeyboardInterrupt):
        collect(network, world, HOOK, tmp_path, **SMALL)
    monkeypatch.undo()
    here = module._environment(network.device)
    monkeypatch.setattr(module, "_environment", lambda _: {**here, "threads": "64"})
    with pytest.warns(UserWarning, match=f"threads {here['threads']} then, 64 now"):
        store = collect(network, world, HOOK, tmp_path, **SMALL)
    assert store.manifest.environment == here
    assert store.manifest.later == [{"shard": 2, "environment": {**here, "threads": "64"}}]
    assert "from shard 2 on" in describe_store(store)


def test_no_chosen_position_is_said(network: MLSTM, tmp_path: Path) -> None:
    rows = Dataset.from_dict({"text": ["a", "b"], "where": [[], []]})
    world = World("none", rows, "text", "text")
    with pytest.raises(ValueError, match="no position was chosen"):
        collect(network, world, HOOK, tmp_path, positions="column:where")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_each_dtype_holds_the_same_rows_rounded(
    gpt: Transformer, world: World, tmp_path: Path, dtype: str
) -> None:
    exact = collect(gpt, world, "blocks.0.hook_out", tmp_path / "exact")
    store = collect(gpt, world, "blocks.0.hook_out", tmp_path / "store", dtype=dtype)
    kind = getattr(torch, dtype)
    assert store.acts().dtype == kind
    torch.testing.assert_close(store.acts(), exact.acts().to(kind), rtol=0, atol=0)


def test_bf16_arithmetic_states_its_measured_error(
    gpt: Transformer, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rounded = copy.deepcopy(gpt)
    rounded.dtype = torch.bfloat16
    store = collect(rounded, world, "blocks.1.hook_out", tmp_path)
    error = store.manifest.notes["bf16_error"]["blocks.1.hook_out"]
    assert 1e-4 < error < 0.05
    said = capsys.readouterr()
    assert "bfloat16 against float32" in said.err
    assert not said.out
    exact = collect(gpt, world, "blocks.1.hook_out", tmp_path / "exact").acts()
    assert (store.acts() - exact).norm() / exact.norm() == pytest.approx(error, rel=0.5)


def test_memory_does_not_grow_over_three_hundred_batches(tmp_path: Path) -> None:
    code = """
import resource, sys, torch
import worldscope as ws
from worldscope.activations.inputs import as_inputs
torch.set_num_threads(1)
net = ws.load_network(sys.argv[1])
peaks = []
stream = ws.stream_activations(net, ["some text of a fair length " * 8] * 3200, "hook_c",
    batch_positions=2200, window=100)
for number, batch in enumerate(stream):
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
assert number >= 300, number
print(peaks[-1] - peaks[60])
"""
    save_network(new_mlstm(d_hidden=64, d_embed=4), tmp_path / "net")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "net")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert int(done.stdout) < 4_000, "kilobytes after the first sixty batches"


def test_states_of_other_kinds_do_not_go_on(
    network: MLSTM, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(network, world, HOOK, tmp_path)
    mood, *others = world.states
    other = replace(world, states=(replace(mood, kind="categorical"), *others))
    with pytest.raises(ValueError, match="mood, binary of each sequence.* not mood, categorical"):
        collect(network, other, HOOK, tmp_path)


def test_a_shard_is_closed_after_many_positions_though_few_are_rows(
    network: MLSTM, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HELD", 200)
    how = {"positions": "last", "window": 4}
    store = collect(network, world, HOOK, tmp_path / "closed", **how)
    assert len(store.manifest.shards) > 2
    monkeypatch.undo()
    whole = collect(network, world, HOOK, tmp_path / "whole", **how)
    assert len(whole.manifest.shards) == 1
    assert torch.equal(store.acts(), whole.acts())
    assert store.rows() == whole.rows()


def test_a_full_disk_leaves_no_shard_half_written(
    network: MLSTM, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *given: object) -> str:
        if path.name == "rows-00001.parquet":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_rows(path, *given)  # pyright: ignore

    write_rows = module.write_rows
    monkeypatch.setattr(module, "write_rows", full)
    with pytest.raises(OSError, match="No space left"):
        collect(network, world, HOOK, tmp_path, **SMALL)
    assert not list(tmp_path.glob(".*.tmp"))
