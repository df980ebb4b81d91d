"""Facts about continued texts: how a symbol is drawn, and that a sample is its own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from worldscope.networks.codecs import BPECodec
from worldscope.networks.generation import Sampling, _keep_likeliest, draw, stream
from worldscope.networks.hooked import HookPoint
from worldscope.networks.loading import new_mlstm
from worldscope.networks.mlstm import MLSTM

PROMPTS = ["", "I", "I loved the café scene", "Dull."]
GRID = 2**14


def masses(logits: Tensor, sampling: Sampling) -> np.ndarray:
    """How much of the unit interval each symbol gets, on a fine grid."""
    uniforms = (torch.arange(GRID) + 0.5) / GRID
    drawn = draw(logits.expand(GRID, -1), uniforms, sampling)
    return np.bincount(drawn.numpy(), minlength=len(logits)) / GRID


def expected_masses(logits: Tensor, sampling: Sampling) -> np.ndarray:
    """The same by the definitions, one symbol after another."""
    weights = np.exp(logits.double().numpy() / sampling.temperature)
    probabilities = weights / weights.sum()
    kept, total = [], 0.0
    for symbol in sorted(range(len(logits)), key=lambda s: (-probabilities[s], s)):
        if sampling.top_k is not None and len(kept) == sampling.top_k:
            break
        if sampling.top_p is not None and total >= sampling.top_p:
            break
        kept.append(symbol)
        total += probabilities[symbol]
    result = np.zeros(len(logits))
    result[kept] = probabilities[kept] / total
    return result


@settings(max_examples=60)
@given(
    scores=st.lists(st.integers(-8, 8), min_size=2, max_size=12, unique=True),
    temperature=st.sampled_from([0.3, 1.0, 2.5]),
    top_k=st.none() | st.integers(1, 14),
    top_p=st.none() | st.floats(0.05, 1.0),
)
def test_each_symbol_is_drawn_with_its_probability_among_those_kept(
    scores: list[int], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    logits = torch.tensor(scores) / 3.0
    sampling = Sampling(temperature, top_k, top_p)
    np.testing.assert_allclose(
        masses(logits, sampling), expected_masses(logits, sampling), atol=2 / GRID
    )


def test_likelier_symbols_are_not_needed_once_the_mass_is_reached() -> None:
    even = torch.zeros(2)
    assert masses(even, Sampling(top_p=0.5)).tolist() == [1, 0]
    logits = torch.tensor([0.5, 0.25, 0.25]).log()
    assert masses(logits, Sampling(top_k=1)).tolist() == [1, 0, 0]
    np.testing.assert_allclose(masses(logits, Sampling(top_p=0.51))[0], 2 / 3, atol=2 / GRID)


def test_symbols_of_no_probability_are_never_drawn_even_at_the_ends() -> None:
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf])
    edges = torch.tensor([0.0, 2**-24, 0.5, 1 - 2**-24])
    for sampling in (Sampling(), Sampling(top_k=4), Sampling(top_p=0.999)):
        drawn = draw(logits.expand(4, -1), edges, sampling)
        assert set(drawn.tolist()) == {1, 3}


def test_temperature_zero_takes_the_likeliest_whatever_was_drawn() -> None:
    logits = torch.randn(50, 20)
    drawn = draw(logits, torch.rand(50), Sampling(temperature=0.0))
    assert torch.equal(drawn, logits.argmax(dim=1))
    cold = draw(logits, torch.rand(50), Sampling(temperature=1e-4))
    assert torch.equal(cold, drawn)


def test_scores_that_are_not_numbers_are_an_error() -> None:
    with pytest.raises(FloatingPointError, match="not numbers: an edit is too strong"):
        draw(torch.tensor([[0.0, torch.nan]]), torch.rand(1), Sampling())


@pytest.mark.parametrize("row", [[0.0, torch.inf], [torch.inf] * 2, [-torch.inf] * 2])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_of_scores_without_a_finite_largest_one_is_an_error(
    row: list[float], temperature: float
) -> None:
    """Their softmax is not a number, and the first symbol would be drawn for ever."""
    logits = torch.stack([torch.zeros(2), torch.tensor(row)])
    with pytest.raises(FloatingPointError, match="not numbers: an edit is too strong"):
        draw(logits, torch.rand(2), Sampling(temperature))


def test_a_temperature_at_which_scores_overflow_is_an_error() -> None:
    with pytest.raises(FloatingPointError, match="the temperature too low"):
        draw(torch.tensor([[5.0, 9.0]]), torch.rand(1), Sampling(temperature=1e-38))


def test_all_of_the_mass_is_all_symbols() -> None:
    probabilities = torch.softmax(4 * torch.randn(20, 4096), dim=1)
    assert torch.equal(_keep_likeliest(probabilities, Sampling(top_p=1.0)), probabilities)


@pytest.mark.parametrize(
    ("settings_", "sentence"),
    [
        ({"temperature": -0.1}, r"temperature is -0\.1; it must be 0 or more"),
        ({"temperature": float("nan")}, "temperature is nan; it must be 0 or more"),
        ({"top_k": 0}, "top_k is 0; it must be 1 or more"),
        ({"top_p": 0.0}, r"top_p is 0\.0; it must be above 0 and at most 1"),
        ({"top_p": 1.1}, r"top_p is 1\.1; it must be above 0 and at most 1"),
        ({"max_new": 0}, "max_new is 0; it must be at least 1"),
        ({"max_new": -3}, "max_new is -3; it must be at least 1"),
        ({"seeds": []}, "there are 0 prompts and 0 seeds; give at least one prompt and a seed"),
    ],
)
def test_a_setting_out_of_range_is_refused(network: MLSTM, settings_: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        network.generate("I", **settings_)


def test_nothing_to_continue_is_refused(network: MLSTM) -> None:
    with pytest.raises(ValueError, match="there are 0 prompts and 0 seeds"):
        network.generate([])
    with pytest.raises(ValueError, match="there are 1 prompts and 2 seeds"):
        next(stream(network, ["I"], [1, 2], 3))


def test_samples_come_prompt_by_prompt_and_seed_by_seed(network: MLSTM) -> None:
    samples = network.generate(["A", "B"], seeds=[5, 3], max_new=4)
    assert [(s.prompt, s.seed) for s in samples] == [("A", 5), ("A", 3), ("B", 5), ("B", 3)]
    for sample in samples:
        assert len(sample.symbols) == 4
        assert sample.continuation == network.decode(sample.symbols)


def test_a_sample_reads_as_the_cleaned_prompt_and_what_follows(network: MLSTM) -> None:
    (sample,) = network.generate(" Tom &amp; Jerry ", max_new=3)
    assert sample.prompt == " Tom &amp; Jerry "
    assert str(sample) == "Tom & Jerry" + sample.continuation


def test_a_sample_is_the_same_whatever_shares_its_batch(network: MLSTM) -> None:
    together = network.generate(PROMPTS, seeds=[1, 2, 3], max_new=25)
    alone = [
        network.generate(prompt, seeds=seed, max_new=25)[0]
        for prompt in PROMPTS
        for seed in (1, 2, 3)
    ]
    assert together == alone
    for first in range(0, len(together), 3):
        assert len({sample.symbols for sample in together[first : first + 3]}) == 3


def test_a_longer_sample_begins_as_the_shorter_one(network: MLSTM) -> None:
    short, long = (network.generate("I", seeds=4, max_new=n)[0] for n in (5, 12))
    assert long.symbols[:5] == short.symbols


def test_the_global_generator_has_no_part_in_it(network: MLSTM) -> None:
    before = torch.get_rng_state()
    first = network.generate("I", seeds=7, max_new=10)
    torch.manual_seed(99)
    assert network.generate("I", seeds=7, max_new=10) == first
    torch.set_rng_state(before)


def test_each_symbol_is_drawn_given_all_before_it(network: MLSTM) -> None:
    """Greedy continuation equals taking the likeliest symbol of the text so far, read anew."""
    (sample,) = network.generate("I loved", temperature=0.0, max_new=12)
    symbols = network.encode("I loved", end=False)
    for expected in sample.symbols:
        logits = network(torch.tensor([symbols])).logits[0, -1]
        assert logits.argmax().item() == expected
        symbols.append(expected)


def test_samples_are_spread_as_the_network_says(network: MLSTM) -> None:
    """Pearson's chi-square of the first symbol over 8,000 seeds."""
    n = 8000
    (first,) = stream(network, ["I"] * n, range(n), 1)
    logits = network(torch.tensor([network.encode("I", end=False)])).logits[0, -1]
    expected = logits.double().softmax(0).numpy() * n
    counts = np.bincount(first.numpy(), minlength=256)
    assert expected.min() > 5  # few enough would not be chi-square
    assert stats.chisquare(counts, expected).pvalue > 0.01
    assert stats.chisquare(counts, np.full(256, n / 256)).pvalue < 1e-6


def spelling(letter: str) -> MLSTM:
    """A network that writes `letter` when unit 0 of h is 1, and hardly ever without an edit."""
    network = new_mlstm(d_hidden=4, d_embed=4).requires_grad_(False)
    network.w_out.zero_()
    network.w_out[0, ord(letter)] = 60.0
    network.b_out[ord("z")] = 30.0
    network.embed.mul_(1e-3)
    return network


def set_unit(value: Tensor, hook: HookPoint) -> None:
    value[:, :, 0] = 1.0


def test_an_edit_acts_on_the_prompt_and_on_the_continuation() -> None:
    network = spelling("A")
    assert network.generate("film", max_new=5)[0].continuation == "zzzzz"
    with network.hooks([("hook_h", set_unit)]):
        assert network.generate("film", max_new=5)[0].continuation == "AAAAA"
    length = len(network.encode("film", end=False))

    def in_prompt(value: Tensor, hook: HookPoint) -> None:
        if hook.step < length:
            set_unit(value, hook)

    def in_continuation(value: Tensor, hook: HookPoint) -> None:
        if hook.step >= length:
            set_unit(value, hook)

    with network.hooks([("hook_h", in_prompt)]):
        assert network.generate("film", max_new=5)[0].continuation == "Azzzz"
    with network.hooks([("hook_h", in_continuation)]):
        assert network.generate("film", max_new=5)[0].continuation == "zAAAA"


def test_steps_count_on_from_prompt_to_continuation(network: MLSTM) -> None:
    steps = []
    with network.hooks([("hook_c", lambda value, hook: steps.append(hook.step))]):
        network.generate("film", seeds=[0, 1], max_new=5)
    assert steps == list(range(len("\n film") + 4))  # the last symbol is not read


def test_steering_is_the_same_whatever_shares_the_batch(network: MLSTM) -> None:
    def push(value: Tensor, hook: HookPoint) -> Tensor:
        return value + 0.5

    plain = network.generate(PROMPTS, seeds=[1, 2], max_new=20)
    with network.hooks([("hook_c", push)]):
        together = network.generate(PROMPTS, seeds=[1, 2], max_new=20)
        alone = [network.generate(p, seeds=[1, 2], max_new=20) for p in PROMPTS]
    assert together == sum(alone, [])
    assert together != plain


def test_byte_pair_networks_continue_text_too(bpe: BPECodec) -> None:
    network = new_mlstm(bpe, d_hidden=4, d_embed=4)
    samples = network.generate(["", "Dull"], seeds=[0, 1], max_new=6, top_k=20, top_p=0.9)
    assert [len(sample.symbols) for sample in samples] == [6] * 4
    assert samples == network.generate(["", "Dull"], seeds=[0, 1], max_new=6, top_k=20, top_p=0.9)
