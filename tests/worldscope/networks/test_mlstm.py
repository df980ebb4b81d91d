"""Facts about the multiplicative LSTM as a language model with hooks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from worldscope.networks.codecs import BPECodec, BytesCodec
from worldscope.networks.hooked import HookPoint
from worldscope.networks.loading import new_mlstm
from worldscope.networks.mlstm import MLSTM, MLSTMConfig

HOOKS = [f"lstm.0.hook_{read}" for read in "hcifoum"]
TEXT = "Good film."


def by_the_equations(network: MLSTM, symbols: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, h and c (batch, time, ·) in float64, with torch's own weight normalisation."""
    p = {name: tensor.double() for name, tensor in network.named_parameters()}
    w = {
        name: torch._weight_norm(p[f"v_{name}"], p[f"gain_{name}"].unsqueeze(0), dim=1)  # pyright: ignore
        for name in ("x_m", "x_g", "h_m", "h_g")
    }
    h = c = torch.zeros(len(symbols), network.config.d_hidden, dtype=torch.float64)
    hs, cs = [], []
    for symbol in symbols.unbind(1):
        x = p["embed"][symbol]
        m = (x @ w["x_m"]) * (h @ w["h_m"])
        i, f, o, u = (x @ w["x_g"] + m @ w["h_g"] + p["bias"]).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * u.tanh()
        h = o.sigmoid() * c.tanh()
        hs.append(h)
        cs.append(c)
    h_all, c_all = torch.stack(hs, dim=1), torch.stack(cs, dim=1)
    return h_all @ p["w_out"] + p["b_out"], h_all, c_all


def random_symbols(batch: int = 3, time: int = 9) -> Tensor:
    return torch.randint(256, (batch, time))


def test_logits_and_states_equal_the_equations(network: MLSTM) -> None:
    symbols = random_symbols()
    logits, h, c = by_the_equations(network, symbols)
    output = network(symbols, read=("hook_h", "hook_c"))
    torch.testing.assert_close(output.logits.double(), logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.reads["lstm.0.hook_h"].double(), h, rtol=0, atol=1e-5)
    torch.testing.assert_close(output.reads["lstm.0.hook_c"].double(), c, rtol=0, atol=1e-5)
    torch.testing.assert_close(output.state[0].double(), h[:, -1], rtol=0, atol=1e-5)
    torch.testing.assert_close(output.state[1].double(), c[:, -1], rtol=0, atol=1e-5)


def test_every_parameter_s_gradient_equals_that_of_autograd(network: MLSTM) -> None:
    """The gains of the weight normalisation among them."""
    network.requires_grad_(True)
    symbols = random_symbols(time=12)
    loss, _ = network.training_loss(symbols, network.zero_state(3))
    loss.backward()
    ours = {name: p.grad for name, p in network.named_parameters()}
    network.zero_grad(set_to_none=True)
    logits, _, _ = by_the_equations(network, symbols[:, :-1])
    expected = functional.cross_entropy(logits.transpose(1, 2), symbols[:, 1:])
    expected.backward()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-6)
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 1e-4, name


def test_training_and_reading_agree_on_loss_and_state(network: MLSTM) -> None:
    symbols, start = random_symbols(), network(random_symbols()).state
    loss, (h, c) = network.training_loss(symbols, start)
    output = network(symbols[:, :-1], start)
    expected = functional.cross_entropy(output.logits.transpose(1, 2), symbols[:, 1:])
    torch.testing.assert_close(loss, expected)
    assert torch.equal(h, output.state[0])
    assert torch.equal(c, output.state[1])


def test_loss_is_the_surprise_of_each_symbol_after_the_first(network: MLSTM) -> None:
    symbols = random_symbols()
    logits, _, _ = by_the_equations(network, symbols)
    losses = network.loss(symbols)
    assert losses.shape == (3, 8)
    for row in range(3):
        for t in range(8):
            probabilities = logits[row, t].softmax(0)
            surprise = -probabilities[symbols[row, t + 1]].log().item()
            assert losses[row, t].item() == pytest.approx(surprise, rel=1e-4)


def test_short_integers_are_symbols_too(network: MLSTM) -> None:
    symbols = random_symbols()
    assert torch.equal(network.loss(symbols.int()), network.loss(symbols))


def test_a_text_is_read_as_its_symbols(network: MLSTM) -> None:
    symbols = torch.tensor([list(b"\n Good film. ")])
    assert torch.equal(network.to_symbols(TEXT), symbols)
    assert torch.equal(network.loss(TEXT), network.loss(symbols))
    assert network.decode(network.encode(TEXT)) == "\n Good film. "


@pytest.mark.parametrize("symbol", [-1, 256])
def test_a_symbol_outside_the_alphabet_is_refused(network: MLSTM, symbol: int) -> None:
    with pytest.raises(ValueError, match="this network's are 0 to 255"):
        network.loss(torch.tensor([[1, symbol, 2]]))


def test_logits_can_be_left_out(network: MLSTM) -> None:
    output = network(random_symbols(), read=("hook_c",), logits=False)
    assert output.logits.numel() == 0
    assert output.reads["lstm.0.hook_c"].shape == (3, 9, 6)


def test_a_cache_holds_every_hook_by_its_canonical_name(network: MLSTM) -> None:
    logits, cache = network.run_with_cache(TEXT)
    assert list(cache) == HOOKS == list(network.hook_dict)
    assert all(acts.shape == (1, 13, 6) for acts in cache.values())
    assert all(point.width == 6 for point in network.hook_dict.values())
    assert torch.equal(logits, network(network.to_symbols(TEXT)).logits)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (None, HOOKS),
        ("hook_c", ["lstm.0.hook_c"]),
        ("lstm.0.hook_c", ["lstm.0.hook_c"]),
        (["hook_c", "lstm.0.hook_h", "lstm.0.hook_c"], ["lstm.0.hook_c", "lstm.0.hook_h"]),
        ([], []),
        (lambda name: name.endswith(("_i", "_f")), ["lstm.0.hook_i", "lstm.0.hook_f"]),
    ],
)
def test_a_cache_is_filtered_as_in_transformerlens(
    network: MLSTM, names: str | list[str] | Callable[[str], bool] | None, kept: list[str]
) -> None:
    everything = network.run_with_cache(TEXT)[1]
    cache = network.run_with_cache(TEXT, names_filter=names)[1]
    assert list(cache) == kept
    for name in kept:
        assert torch.equal(cache[name], everything[name])


def test_a_filter_with_an_unknown_name_fails_instead_of_caching_nothing(network: MLSTM) -> None:
    with pytest.raises(LookupError, match=r"'hook_resid'; the nearest are lstm\.0\.hook_"):
        network.run_with_cache(TEXT, names_filter="hook_resid")


def test_reads_are_after_edits_and_the_logits_have_seen_them(network: MLSTM) -> None:
    plain, _ = network.run_with_cache(TEXT)

    def hold(value: Tensor, hook: HookPoint) -> None:
        value[:, :, 2] = 1.5

    with network.hooks([("hook_c", hold)]):
        logits, cache = network.run_with_cache(TEXT)
    assert (cache["lstm.0.hook_c"][:, :, 2] == 1.5).all()
    h, o = cache["lstm.0.hook_h"][:, :, 2], cache["lstm.0.hook_o"][:, :, 2]
    torch.testing.assert_close(h, o * np.tanh(1.5))
    assert not torch.equal(logits, plain)
    assert torch.equal(network.run_with_cache(TEXT)[0], plain)


@pytest.mark.parametrize("name", HOOKS)
def test_an_edit_is_called_at_every_step_and_changes_what_follows_only(
    network: MLSTM, name: str
) -> None:
    steps = []

    def push(value: Tensor, hook: HookPoint) -> Tensor:
        assert value.shape == (1, 1, 6)
        steps.append(hook.step)
        return value + 1.0 * (hook.step == 4)

    plain, _ = network.run_with_cache(TEXT)
    with network.hooks([(name, push)]):
        edited, _ = network.run_with_cache(TEXT)
    assert steps == list(range(13))
    assert torch.equal(edited[:, :4], plain[:, :4])
    assert (edited[:, 4:] != plain[:, 4:]).any(dim=2).all()


def test_a_text_that_goes_on_counts_its_steps_on(network: MLSTM) -> None:
    steps = []
    symbols = random_symbols()
    whole = network(symbols).logits
    with network.hooks([("hook_h", lambda value, hook: steps.append(hook.step))]):
        first = network(symbols[:, :5])
        second = network(symbols[:, 5:], first.state, first_step=5)
    assert steps == list(range(9))
    parts = torch.cat([first.logits, second.logits], dim=1)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_a_network_loaded_in_inference_mode_runs(network: MLSTM) -> None:
    symbols = random_symbols()
    with torch.inference_mode():
        loaded = new_mlstm(d_hidden=6, d_embed=5)
        loaded.load_state_dict(network.state_dict())
        loaded.requires_grad_(False)
        inside = loaded(symbols).logits
    assert torch.equal(loaded(symbols).logits, inside)
    assert torch.equal(network(symbols).logits, inside)


def test_a_state_of_other_texts_is_refused(network: MLSTM) -> None:
    symbols = random_symbols()
    state = network.zero_state(len(symbols) + 1)
    with pytest.raises(ValueError, match=rf"{len(symbols)} texts, but .* of {len(symbols) + 1}"):
        network(symbols, state)


def test_weights_that_change_are_noticed(network: MLSTM) -> None:
    """The prepared weights are kept between calls, so every way to change them must be seen."""
    symbols = random_symbols()
    seen = [network(symbols).logits]
    network.gain_h_g.add_(0.3)
    seen.append(network(symbols).logits)
    network.load_state_dict(new_mlstm(d_hidden=6, d_embed=5, seed=5).state_dict())
    seen.append(network(symbols).logits)
    network.dtype = torch.bfloat16
    seen.append(network(symbols).logits)
    network.dtype = torch.float32
    assert torch.equal(network(symbols).logits, seen[2])
    network.embed.data[:, 0] = 0
    seen.append(network(symbols).logits)
    network.bias.numpy()[:] = 1
    seen.append(network(symbols).logits)
    for before, after in zip(seen, seen[1:], strict=False):
        assert not torch.equal(before, after)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_a_step_of_training_is_noticed(network: MLSTM, fused: bool, frozen: bool) -> None:
    """Fused optimisers change weights without telling torch's version counter."""
    symbols = random_symbols()
    before = network(symbols).logits
    optimiser = torch.optim.Adam(network.requires_grad_(True).parameters(), lr=0.1, fused=fused)
    for _ in range(2):
        network.training_loss(symbols, network.zero_state(3))[0].backward()
        optimiser.step()
        fresh = new_mlstm(d_hidden=6, d_embed=5)
        fresh.load_state_dict(network.state_dict())
        network.requires_grad_(not frozen)
        after = network(symbols).logits
        network.requires_grad_(True)
        assert torch.equal(after, fresh(symbols).logits)
        assert not torch.allclose(after, before)


def test_a_step_beside_a_frozen_embedding_is_noticed() -> None:
    network = new_mlstm(d_hidden=6, d_embed=5)
    network.embed.requires_grad_(False)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=0.1, fused=True)
    symbols = random_symbols()
    loss, _ = network.training_loss(symbols, network.zero_state(3))
    before = network(symbols).logits
    loss.backward()
    optimiser.step()
    fresh = new_mlstm(d_hidden=6, d_embed=5)
    fresh.load_state_dict(network.state_dict())
    assert torch.equal(network(symbols).logits, fresh(symbols).logits)
    assert not torch.equal(network(symbols).logits, before)


def test_bfloat16_logits_stay_near_float32(network: MLSTM) -> None:
    symbols = random_symbols()
    exact = network(symbols)
    network.dtype = torch.bfloat16
    rough = network(symbols)
    assert rough.logits.dtype == torch.float32
    assert rough.state[1].dtype == torch.float32
    torch.testing.assert_close(rough.logits, exact.logits, rtol=0, atol=0.2)


def test_a_seed_gives_the_same_network_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    networks = [new_mlstm(d_hidden=4, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert networks[0].digest == networks[1].digest != networks[2].digest


def test_weight_normalisation_starts_as_the_identity() -> None:
    network = new_mlstm(d_hidden=4)
    weights = network.normalised()
    torch.testing.assert_close(weights.m, network.v_h_m)
    torch.testing.assert_close(weights.h, network.v_h_g)
    torch.testing.assert_close(weights.x, torch.cat([network.v_x_m, network.v_x_g], dim=1))


def test_gains_are_the_lengths_of_the_columns(network: MLSTM) -> None:
    weights = network.normalised()
    torch.testing.assert_close(weights.m.norm(dim=0), network.gain_h_m.abs())
    torch.testing.assert_close(weights.h.norm(dim=0), network.gain_h_g.abs())


@pytest.mark.parametrize("field", ["n_symbols", "d_hidden", "d_embed"])
def test_a_network_without_width_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is 0; it must be at least 1"):
        replace(MLSTMConfig(n_symbols=256), **{field: 0})


def test_a_codec_that_is_not_the_configured_one_is_refused(bpe: BPECodec) -> None:
    with pytest.raises(ValueError, match="asks for 256 symbols of bytes, but the codec has .* bpe"):
        MLSTM(MLSTMConfig(n_symbols=256), bpe)
    with pytest.raises(ValueError, match="asks for 255 symbols of bytes"):
        MLSTM(MLSTMConfig(n_symbols=255), BytesCodec())


def test_a_printed_network_shows_its_shape(network: MLSTM) -> None:
    assert "n_symbols=256, d_hidden=6, d_embed=5, codec=bytes" in repr(network)
