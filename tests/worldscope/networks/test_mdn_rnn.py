"""The published MDN-RNN against a pass in numpy, and what is known of its likelihood."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from worldscope.networks.loading import load_network
from worldscope.networks.mdn_rnn import MDNRNN, is_mdn_rnn


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "world_models_carracing"


@pytest.fixture(scope="module")
def network(folder: Path) -> MDNRNN:
    return load_network(folder)


@pytest.fixture(scope="module")
def latents(folder: Path) -> torch.Tensor:
    """Means of the frames' latents, (frames, 32)."""
    lines = (folder / "cardata_latents.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return torch.tensor([row["mu_x1e4"] for row in rows]) / 1e4


def with_action(latents: torch.Tensor) -> torch.Tensor:
    return torch.cat([latents, torch.tensor([0, 0.5, 0]).expand(len(latents), 3)], dim=1)


def test_states_and_mixture_equal_a_pass_in_numpy(
    folder: Path, network: MDNRNN, latents: torch.Tensor
) -> None:
    numbers = json.loads((folder / "carracing_rnn.json").read_text())
    w_out, b_out, kernel, bias = (np.array(part) / 1e4 for part in numbers)

    def sigmoid(value: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-value))

    x = with_action(latents[:12])
    output, acts = network.run_with_cache(x[None])
    h, c = np.zeros(256), np.zeros(256)
    for t, value in enumerate(x.double().numpy()):
        i, j, f, o = np.split(np.concatenate([value, h]) @ kernel + bias, 4)
        c = c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
        h = np.tanh(c) * sigmoid(o)
        pi, mu, sigma = np.split((h @ w_out + b_out).reshape(32, 15), 3, axis=1)
        pi = np.exp(pi) / np.exp(pi).sum(1, keepdims=True)
        for name, now in (
            ("lstm.0.hook_h", h),
            ("lstm.0.hook_c", c),
            ("mdn.hook_pi", pi),
            ("mdn.hook_mu", mu),
            ("mdn.hook_sigma", np.exp(sigma)),
        ):
            np.testing.assert_allclose(acts[name][0, t], now, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.log_pi.exp(), acts["mdn.hook_pi"])


def test_the_next_frame_has_the_likelihood_that_is_known(
    network: MDNRNN, latents: torch.Tensor
) -> None:
    nats = network.loss(with_action(latents[:-1])[None], latents[None, 1:])
    assert nats.shape == (1, len(latents) - 1)
    assert nats.mean().item() / 32 == pytest.approx(0.54, abs=0.02)


def test_a_dream_is_its_seeds_and_calms_with_the_temperature(
    network: MDNRNN, latents: torch.Tensor
) -> None:
    actions = torch.tensor([0, 0.5, 0]).expand(20, 3)
    one = network.rollout(latents[0], actions, seeds=7)
    many = network.rollout(latents[0], actions, seeds=[1, 7])
    assert many.shape == (2, 20, 32)
    torch.testing.assert_close(many[1], one[0], rtol=0, atol=1e-5)
    assert not torch.allclose(many[0], many[1], atol=0.1)
    spread = [
        network.rollout(latents[0], actions, seeds=range(10), temperature=heat).std(0).mean()
        for heat in (0.1, 1.0)
    ]
    assert spread[0] < 0.5 * spread[1]
    with pytest.raises(ValueError, match="temperature is 0"):
        network.rollout(latents[0], actions, temperature=0.0)


def test_edits_are_obeyed(network: MDNRNN, latents: torch.Tensor) -> None:
    x = with_action(latents[:6])[None]
    with network.hooks([("mdn.hook_mu", lambda value, _: torch.zeros_like(value))]):
        assert not network(x).mu.any()
    with network.hooks([("lstm.0.hook_h", lambda value, _: torch.zeros_like(value))]):
        output = network(x)
    torch.testing.assert_close(output.mu[0, 0], output.mu[0, 5])


def test_wrong_shapes_and_files_are_said(network: MDNRNN, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"reads \(time, 35\): 32 numbers of the latent, then 3"):
        network.encode(np.zeros((4, 32)))
    assert is_mdn_rnn(folder)
    assert not is_mdn_rnn(tmp_path)
    (tmp_path / "carracing_rnn.json").write_text("[[1], [2]]")
    with pytest.raises(ValueError, match="holds no MDN-RNN"):
        load_network(tmp_path)
