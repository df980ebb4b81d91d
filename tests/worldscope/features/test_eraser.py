"""An eraser applies x - P (x - mean), belongs to one network, and survives the disk."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from worldscope.features.eraser import Eraser, load_eraser


def eraser_of(network: str = "abc", state: str = "naïve 'joy'") -> Eraser:
    left = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 1.0]]).double()
    right = torch.linalg.pinv(left) + torch.tensor([[2.0, -1.0, 1.0], [4.0, -2.0, 2.0]]) / 9
    mean = torch.tensor([1.0, -2.0, 0.5]).double()
    return Eraser(network, "blocks.0.hook_out", state, mean, left, right)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3)])
@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-1)]
)
def test_it_takes_the_projection_of_what_is_beside_the_mean(
    shape: tuple[int, ...], dtype: torch.dtype, atol: float
) -> None:
    eraser = eraser_of()
    acts = torch.randn(shape).to(dtype)
    found = eraser(acts)
    assert found.dtype == dtype
    assert found.shape == shape
    projection = eraser.left.numpy() @ eraser.right.numpy()
    rows = acts.double().numpy()
    expected = rows - (rows - eraser.mean.numpy()) @ projection.T
    np.testing.assert_allclose(found.double(), expected, atol=atol)


def test_the_mean_stays_and_erased_directions_are_gone() -> None:
    eraser = eraser_of()
    assert eraser.rank == 2
    torch.testing.assert_close(eraser(eraser.mean), eraser.mean)
    torch.testing.assert_close(eraser(eraser.mean + eraser.left.T), eraser.mean.expand(2, 3))


def test_it_is_the_same_after_saving_and_loading(tmp_path: Path) -> None:
    eraser = eraser_of()
    eraser.save(tmp_path / "new" / "joy.safetensors")
    loaded = load_eraser(tmp_path / "new" / "joy.safetensors")
    for name in ("network", "hook", "state"):
        assert getattr(loaded, name) == getattr(eraser, name)
    for name in ("mean", "left", "right"):
        torch.testing.assert_close(getattr(loaded, name), getattr(eraser, name), rtol=0, atol=0)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["joy.safetensors"]


def test_activations_of_another_width_are_refused() -> None:
    with pytest.raises(
        ValueError, match="are 4 wide; the eraser of .* at blocks.0.hook_out takes 3"
    ):
        eraser_of()(torch.zeros(2, 4))


def test_another_network_is_refused() -> None:
    from worldscope.networks.loading import new_mlstm

    network = new_mlstm(d_hidden=6, d_embed=4).requires_grad_(False)
    eraser_of(network.digest).check_fits(network)
    with pytest.raises(ValueError, match=f"fitted on network abc, not on {network.digest}"):
        eraser_of().check_fits(network)


def test_parts_that_do_not_fit_together_are_refused() -> None:
    mean, left = torch.zeros(3), torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"must be \(d,\), \(d, k\) and \(k, d\)"):
        Eraser("n", "h", "s", mean, left, torch.zeros(3, 3))
    with pytest.raises(ValueError, match="not finite"):
        Eraser("n", "h", "s", mean * torch.nan, left, left.T)


def test_files_that_hold_no_eraser_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(FileNotFoundError, match="is no file"):
        load_eraser(file)
    save_file({"mean": torch.zeros(3)}, file)
    with pytest.raises(ValueError, match="holds no eraser but other tensors"):
        load_eraser(file)
    header = {"format": "worldscope eraser 1", "eraser": json.dumps({"network": "n"})}
    save_file({"mean": torch.zeros(3)}, file, metadata=header)
    with pytest.raises(ValueError, match="holds a damaged eraser"):
        load_eraser(file)
    eraser_of().save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="holds a damaged eraser"):
        load_eraser(file)
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="holds a damaged eraser"):
        load_eraser(file)
