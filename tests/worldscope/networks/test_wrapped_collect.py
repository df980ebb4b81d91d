"""Stores of wrapped modules hold what a pass made by hand gives, row for row."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from worldscope.activations.collect import collect
from worldscope.activations.store import ActivationStore
from worldscope.networks.wrapped import wrap
from worldscope.networks.wrapped_network import Keywords


def rows_of(store: ActivationStore, hook: str, sequence: int) -> Tensor:
    """The rows of one input in the order of its positions."""
    rows = store.rows().to_pandas()
    chosen = rows[rows["sequence"] == sequence].sort_values("position")
    assert chosen["position"].tolist() == list(range(len(chosen)))
    return store.gather(hook, chosen.index.to_numpy())


class Net(nn.Module):
    """Convolution, batch norm, pooling, convolution and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.pool, self.conv2 = nn.MaxPool2d(2), nn.Conv2d(4, 5, 3)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.norm(self.conv1(x)).relu_())
        return self.head(self.conv2(x).mean((2, 3)))


def test_a_convolutional_net_of_images_of_two_sizes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Net()
    module(torch.randn(20, 2, 8, 8))  # statistics
    images = [torch.randn(2, 8, 8 + 2 * (n % 2)) for n in range(7)]
    network = wrap(module, images[0][None], timed=False)
    module.train()
    hook, head = "conv2.hook_out", "head.hook_out"
    places = collect(network, images, hook, tmp_path / "places", batch_positions=16)
    heads = collect(network, images, head, tmp_path / "heads")
    norm = module.norm
    for index, image in enumerate(images):
        x = functional.conv2d(image[None], module.conv1.weight, module.conv1.bias, padding=1)
        x = (x - norm.running_mean.view(1, -1, 1, 1)) / (  # pyright: ignore
            norm.running_var.view(1, -1, 1, 1) + norm.eps  # pyright: ignore
        ).sqrt() * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
        x = functional.max_pool2d(x.relu(), 2)
        x = functional.conv2d(x, module.conv2.weight, module.conv2.bias)
        torch.testing.assert_close(
            rows_of(places, hook, index), x[0].flatten(1).T.detach(), rtol=1e-4, atol=1e-5
        )
        x = x.mean((2, 3)) @ module.head.weight.t() + module.head.bias
        torch.testing.assert_close(rows_of(heads, head, index), x.detach(), rtol=1e-4, atol=1e-5)
    assert module.training


def test_an_encoder_of_hugging_face(bert: Any, masked: Keywords, tmp_path: Path) -> None:
    bert.train()
    texts = [np.arange(1, 8 + n % 3) % 40 for n in range(9)]
    network = wrap(bert, torch.zeros(1, 3, dtype=torch.long), pads=True, keywords=masked)
    hooks = ["embeddings.hook_out", "encoder.layer.0.hook_out", "hook_out.last_hidden_state"]
    store = collect(network, texts, hooks, tmp_path / "a", batch_positions=36)
    pooled = wrap(bert, torch.zeros(1, 3, dtype=torch.long), timed=False)
    pooler = collect(pooled, texts, "hook_out.pooler_output", tmp_path / "b")
    assert bert.training
    bert.eval()
    for index, text in enumerate(texts):
        alone = bert(torch.from_numpy(text)[None], output_hidden_states=True)
        for layer, hook in enumerate(hooks):
            torch.testing.assert_close(
                rows_of(store, hook, index), alone.hidden_states[layer][0].detach(),
                rtol=1e-4, atol=1e-5,
            )  # fmt: skip
        torch.testing.assert_close(
            rows_of(pooler, "hook_out.pooler_output", index), alone.pooler_output.detach(),
            rtol=1e-4, atol=1e-5,
        )  # fmt: skip


def test_an_encoder_whose_mask_is_forgotten_is_refused(bert: Any, tmp_path: Path) -> None:
    texts = [np.arange(1, 20 - 3 * n) % 40 for n in range(2)]
    collect(wrap(bert, pads=True), texts, "embeddings.hook_out", tmp_path / "x")
    with pytest.raises(ValueError, match="padding changes it: .* mask by keywords"):
        collect(wrap(bert, pads=True), texts, "encoder.layer.1.hook_out", tmp_path / "y")


def test_a_recurrent_network_of_two_layers_in_both_directions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, 2, bidirectional=True, dropout=0.5).train()
    walks = [torch.randn(9 + n % 3, 3).numpy() for n in range(8)]
    network = wrap(lstm, torch.zeros(1, 2, 3))
    hooks = ["lstm.0.hook_c", "lstm.0.reverse.hook_o", "lstm.1.hook_h", "lstm.1.reverse.hook_h"]
    store = collect(network, walks, hooks, tmp_path, batch_positions=40)
    weights = {name: w.detach().double().numpy() for name, w in lstm.named_parameters()}
    for index, walk in enumerate(walks):
        forward = by_hand(weights, walk, "l0", 1)
        backward = by_hand(weights, walk, "l0_reverse", -1)
        above = np.concatenate([forward["h"], backward["h"]], axis=1)
        expected = [
            forward["c"], backward["o"],
            by_hand(weights, above, "l1", 1)["h"], by_hand(weights, above, "l1_reverse", -1)["h"],
        ]  # fmt: skip
        for hook, value in zip(hooks, expected, strict=True):
            np.testing.assert_allclose(rows_of(store, hook, index), value, atol=1e-5)


def by_hand(
    weights: dict[str, np.ndarray], x: np.ndarray, end: str, direction: int
) -> dict[str, np.ndarray]:
    """One layer of an LSTM in one direction, in double precision."""
    h = c = np.zeros(4)
    steps: list[tuple[np.ndarray, ...]] = []
    for value in x[::direction]:
        before = weights[f"weight_ih_{end}"] @ value + weights[f"bias_ih_{end}"]
        before = before + weights[f"weight_hh_{end}"] @ h + weights[f"bias_hh_{end}"]
        i, f, u, o = np.split(before, 4)
        i, f, o, u = *(1 / (1 + np.exp(-gate)) for gate in (i, f, o)), np.tanh(u)
        c = f * c + i * u
        h = o * np.tanh(c)
        steps.append((h, c, o))
    stacked = (np.stack(parts)[::direction] for parts in zip(*steps, strict=True))
    return dict(zip("hco", stacked, strict=True))
