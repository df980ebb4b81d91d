"""Facts about networks on disk: what is saved comes back, and what is damaged is said to be."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from worldscope.networks import loading
from worldscope.networks.codecs import BPECodec
from worldscope.networks.loading import (
    load_network,
    new_mlstm,
    save_network,
    zoo_checkpoints,
    zoo_names,
    zoo_replicas,
)
from worldscope.networks.mlstm import MLSTM

SYMBOLS = torch.arange(12).reshape(2, 6)


@pytest.fixture
def folder(network: MLSTM, tmp_path: Path) -> Path:
    save_network(network, tmp_path / "network")
    return tmp_path / "network"


@pytest.fixture
def zoo(network: MLSTM, bpe: BPECodec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two networks; `pieces` has checkpoints that share its codec."""
    zoo = tmp_path / "zoo"
    monkeypatch.setattr(loading, "ZOO", zoo)
    save_network(network, zoo / "bytes")
    save_network(new_mlstm(bpe, d_hidden=4, seed=0), zoo / "pieces")
    for seed, size in enumerate(("16MB", "2MB", "0.5MB"), start=1):
        checkpoint = zoo / "pieces" / "checkpoints" / size
        save_network(new_mlstm(bpe, d_hidden=4, seed=seed), checkpoint, storage="int8")
        (checkpoint / "codec.json").unlink()
    return zoo


def test_a_saved_network_comes_back_to_the_bit(network: MLSTM, folder: Path) -> None:
    again = load_network(folder)
    assert again.config == network.config
    assert again.digest == network.digest
    assert torch.equal(again(SYMBOLS).logits, network(SYMBOLS).logits)
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors"}


def test_a_byte_pair_network_brings_its_codec(bpe: BPECodec, tmp_path: Path) -> None:
    network = new_mlstm(bpe, d_hidden=4)
    save_network(network, tmp_path)
    assert load_network(tmp_path).encode("Dull film.") == network.encode("Dull film.")


def test_a_loaded_network_is_frozen_and_draws_no_random_number(folder: Path) -> None:
    before = torch.get_rng_state()
    network = load_network(folder)
    assert torch.equal(torch.get_rng_state(), before)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())


def test_the_arithmetic_is_chosen_at_loading_and_the_weights_stay(
    network: MLSTM, folder: Path
) -> None:
    rough = load_network(folder, dtype=torch.bfloat16)
    assert rough.dtype == torch.bfloat16
    assert rough.digest == network.digest
    assert not torch.equal(rough(SYMBOLS).logits, network(SYMBOLS).logits)
    with pytest.raises(ValueError, match=r"dtype is torch\.float16; it must be torch\.float32 or"):
        load_network(folder, dtype=torch.float16)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_type_may_be_given_by_its_name(folder: Path, name: str) -> None:
    dtype = getattr(torch, name)
    named, given = load_network(folder, dtype=name), load_network(folder, dtype=dtype)
    assert named.dtype == given.dtype == dtype
    assert torch.equal(named(SYMBOLS).logits, given(SYMBOLS).logits)


@pytest.mark.parametrize("dtype", ["float16", "float", "", torch.float64, torch.int8])
def test_any_other_type_is_refused_with_those_that_there_are(
    folder: Path, dtype: str | torch.dtype
) -> None:
    with pytest.raises(ValueError, match="must be .*, or a name: float32 or bfloat16$"):
        load_network(folder, dtype=dtype)


@pytest.mark.parametrize("device", ["cuda:77", "gpu", "cpu:x", torch.device("cuda:77")])
def test_a_device_that_is_not_there_is_said_with_one_that_is(
    folder: Path, device: str | torch.device
) -> None:
    with pytest.raises(ValueError, match=f"has no device '{device}'; give device='cpu'") as caught:
        load_network(folder, device=device)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_half_precision_takes_half_of_the_room_and_changes_little(
    bpe: BPECodec, tmp_path: Path
) -> None:
    network = new_mlstm(bpe, d_hidden=32)
    for storage in ("float32", "float16"):
        save_network(network, tmp_path / storage, storage=storage)  # pyright: ignore
    sizes = [(tmp_path / s / "model.safetensors").stat().st_size for s in ("float16", "float32")]
    assert 0.5 <= sizes[0] / sizes[1] < 0.53
    stored = load_network(tmp_path / "float16").state_dict()
    for name, tensor in network.state_dict().items():
        assert stored[name].dtype == torch.float32
        torch.testing.assert_close(stored[name], tensor, rtol=1e-3, atol=1e-6)


def test_eight_bits_take_little_room_and_change_little(bpe: BPECodec, tmp_path: Path) -> None:
    network = new_mlstm(bpe, d_hidden=64)
    save_network(network, tmp_path / "full")
    save_network(network, tmp_path / "small", storage="int8")
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("small", "full")]
    assert sizes[0] < 0.3 * sizes[1]
    small = load_network(tmp_path / "small")
    assert small.digest != network.digest
    for name, tensor in small.state_dict().items():
        whole = network.state_dict()[name]
        assert tensor.dtype == torch.float32
        if tensor.ndim == 1:
            assert torch.equal(tensor, whole)
        else:
            scale = whole.abs().amax(dim=1, keepdim=True) / 127
            assert ((tensor - whole).abs() <= 0.501 * scale).all()
    torch.testing.assert_close(small(SYMBOLS).logits, network(SYMBOLS).logits, rtol=0, atol=0.2)


def test_a_network_that_was_trained_on_is_saved_without_its_graph(tmp_path: Path) -> None:
    network = new_mlstm(d_hidden=4)
    network.training_loss(SYMBOLS, network.zero_state(2))[0].backward()
    save_network(network, tmp_path)
    assert load_network(tmp_path).digest == network.digest


@pytest.mark.parametrize("at", ["weights", "json", "codec"])
def test_a_save_that_fails_leaves_the_old_network_whole(
    bpe: BPECodec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    old, new = (new_mlstm(bpe, d_hidden=d) for d in (4, 5))
    save_network(old, tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    match at:
        case "weights":
            monkeypatch.setattr(loading, "save", full)
        case "json":
            monkeypatch.setattr(loading.json, "dumps", full)
        case "codec":
            monkeypatch.setattr(BPECodec, "save", full)
    files = {file.name for file in tmp_path.iterdir()}
    with pytest.raises(OSError, match="no space left"):
        save_network(new, tmp_path)
    monkeypatch.undo()
    assert load_network(tmp_path).digest == old.digest
    assert {file.name for file in tmp_path.iterdir()} == files
    save_network(new, tmp_path)
    assert load_network(tmp_path).digest == new.digest


def test_a_save_that_was_killed_leaves_the_old_network_whole(network: MLSTM, folder: Path) -> None:
    (folder / ".saving-abc").mkdir()
    (folder / ".saving-abc" / "model.safetensors").write_bytes(b"half")
    assert load_network(folder).digest == network.digest


def test_a_saved_network_can_be_read_by_whoever_can_read_its_folder(folder: Path) -> None:
    assert len({file.stat().st_mode for file in folder.iterdir()}) == 1


def truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    os.truncate(file, file.stat().st_size - 100)


def change_config(**changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        kept = {key: value for key, value in (config | changes).items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))

    return change


def change_weights(change: Callable[[dict], object]) -> Callable[[Path], object]:
    def changed(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return changed


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (truncate, r"model\.safetensors is truncated or not safetensors \(.*\); copy it again"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "is truncated or not safetensors"),
        (lambda f: (f / "config.json").write_text('{"kind'), "does not describe a network known"),
        (lambda f: (f / "config.json").write_text("[1]"), "does not describe a network known"),
        (
            change_config(kind="gpt"),
            "does not describe a network known here: its kind is .gpt., not mls",
        ),
        (change_config(d_hidden=0), "network known here: d_hidden is 0; it must be at least 1"),
        (change_config(d_hidden=8.0), r"known here: d_hidden is 8\.0, not int"),
        (change_config(d_hidden="8"), "known here: d_hidden is '8', not int"),
        (
            change_config(kind=None),
            "network known here: its kind is None, not mlstm or transformer",
        ),
        (change_config(n_symbols=None), "here: it lacks, or should not have, n_symbols"),
        (change_config(codec=None), "here: it lacks, or should not have, codec"),
        (change_config(depth=2), "network known here: .*depth"),
        (change_config(codec="words"), "no codec is called 'words'"),
        (change_config(n_symbols=300), "asks for 300 symbols of bytes, but the codec has 256"),
        (
            change_config(d_hidden=7),
            r"holds b.* of shape \(24,\), but .* asks for b.* of shape \(28,",
        ),
        (change_weights(lambda t: t.pop("bias")), "holds no bias, but config"),
        (change_weights(lambda t: t.update(x=torch.ones(1))), r"holds x of shape \(1,\), but conf"),
        (
            change_weights(lambda t: t.update({"v_h_m.row_scale": torch.ones(3, 1)})),
            "holds scales that do not fit its rows",
        ),
        (
            change_weights(lambda t: t.update(w_out=torch.ones(6, 256, dtype=torch.int8))),
            "holds no w_out",
        ),
    ],
)
def test_damage_is_told_in_one_sentence(
    folder: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    damage(folder)
    with pytest.raises(ValueError, match=sentence) as caught:
        load_network(folder)
    assert "\n" not in str(caught.value)


def test_of_a_training_that_has_not_finished_the_checkpoint_is_named(
    network: MLSTM, tmp_path: Path
) -> None:
    save_network(network, tmp_path / "checkpoint")
    with pytest.raises(
        FileNotFoundError, match=r"has not finished: go on with it, or load .*checkp"
    ):
        load_network(tmp_path)
    assert load_network(tmp_path / "checkpoint").digest == network.digest


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing"):
        load_network(folder)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("by", [pickle.dump, torch.save])
def test_a_pickle_is_refused_without_being_run(folder: Path, tmp_path: Path, by: Callable) -> None:
    for target in folder.iterdir():
        with target.open("wb") as file:
            by(Trap(tmp_path / "trapped"), file)
        with pytest.raises(ValueError, match=target.name):
            load_network(folder)
        save_network(new_mlstm(d_hidden=4), folder)
    assert not (tmp_path / "trapped").exists()


def test_the_zoo_s_networks_are_loaded_by_name(zoo: Path, network: MLSTM) -> None:
    assert zoo_names() == ["bytes", "pieces"]
    assert load_network("zoo:bytes").digest == network.digest


def test_a_checkpoint_of_the_zoo_reads_with_its_network_s_codec(zoo: Path) -> None:
    assert zoo_checkpoints("zoo:pieces") == [
        ("zoo:pieces/0.5MB", 0.5),
        ("zoo:pieces/2MB", 2.0),
        ("zoo:pieces/16MB", 16.0),
    ]
    assert zoo_checkpoints("zoo:bytes") == zoo_checkpoints("some/folder") == []
    checkpoint, whole = load_network("zoo:pieces/2MB"), load_network("zoo:pieces")
    assert checkpoint.encode("Dull film.") == whole.encode("Dull film.")
    assert checkpoint.digest != whole.digest
    by_path = load_network(zoo / "pieces" / "checkpoints" / "2MB")
    assert by_path.digest == checkpoint.digest


def test_replicas_of_a_shipped_network_are_found_by_their_names(zoo: Path) -> None:
    for name in ("bytes-8-seed2", "bytes-8-seed1", "bytes-8-seed", "more-bytes-8-seed1"):
        save_network(new_mlstm(d_hidden=4), zoo / name)
    assert zoo_replicas("zoo:bytes") == ("zoo:bytes-8-seed1", "zoo:bytes-8-seed2")
    assert zoo_replicas("zoo:pieces") == zoo_replicas("bytes") == ()


def test_a_folder_called_checkpoints_elsewhere_is_nothing_special(
    bpe: BPECodec, tmp_path: Path
) -> None:
    network = new_mlstm(bpe, d_hidden=4)
    save_network(network, tmp_path / "checkpoints" / "mine")
    assert load_network(tmp_path / "checkpoints" / "mine").digest == network.digest


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("zoo:pices", "the zoo has no 'pices'; it has bytes, pieces"),
        ("zoo:", "the zoo has no ''; it has bytes, pieces"),
        ("zoo:pieces/3MB", "pieces has no checkpoint '3MB'; it has 0.5MB, 16MB, 2MB"),
        ("zoo:bytes/3MB", "bytes has no checkpoint '3MB'; it has none"),
        ("zoo:pieces/..", "pieces has no checkpoint '..'"),
    ],
)
def test_an_unknown_name_lists_what_the_zoo_has(zoo: Path, name: str, sentence: str) -> None:
    with pytest.raises(LookupError, match=sentence):
        load_network(name)


def test_a_folder_without_a_network_tells_the_names_of_the_shipped_ones(zoo: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"pieces holds no network: .* called zoo:<name>: bytes, pieces\)"
    ):
        load_network("pieces")


@pytest.mark.parametrize("as_path", [True, False])
@pytest.mark.parametrize("place", ["./nothing", "../no/thing", "{here}/nothing"])
def test_a_path_to_nothing_tells_the_names_of_the_shipped_ones(
    zoo: Path, tmp_path: Path, place: str, as_path: bool
) -> None:
    place = place.format(here=tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"no such file or folder \(.* zoo:<name>: bytes, pieces\)$"
    ) as caught:
        load_network(Path(place) if as_path else place)
    assert "\n" not in str(caught.value)


def test_the_digests_of_the_cards_are_those_of_the_shipped_networks() -> None:
    for name in zoo_names():
        folder = loading.ZOO / name
        digest = load_network(f"zoo:{name}").digest
        assert json.loads((folder / "card.json").read_text())["digest"] == digest
        assert f"digest `{digest}`" in (folder / "CARD.md").read_text()


def test_the_stages_of_a_shipped_network_load_and_are_in_order_of_training() -> None:
    from worldscope.networks.loading import load_network, zoo_checkpoints, zoo_names

    for name in zoo_names():
        stages = zoo_checkpoints(f"zoo:{name}")
        assert stages[-1][0] == f"zoo:{name}"
        assert [megabytes for _, megabytes in stages] == sorted(mb for _, mb in stages)
        shapes = {load_network(stage).config for stage, _ in stages}
        assert len(shapes) == 1
    assert zoo_checkpoints("a/folder") == []
