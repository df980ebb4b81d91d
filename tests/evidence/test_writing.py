import numpy as np
import pytest
import torch

from evidence.bits import text_bits
from evidence.diversity import distinct_n
from evidence.placebos import Recorder, Replay
from evidence.writing import Arm, Condition, Design, Outcome, WritingConfig, typical_length
from worldscope.networks.generation import generate
from worldscope.networks.mlstm import MLSTM
from worldscope.steering.edits import Clamp

CONFIG = WritingConfig(samples_per_prompt=3, max_new=12, first_seed=40)
PROMPTS = ["bg", "gg bb", ""]


def test_every_row_is_what_its_prompt_and_seed_give_alone(recurrent: MLSTM) -> None:
    design = Design(recurrent, [], PROMPTS, ["bg"], CONFIG)
    generations = design.write()
    assert [(g.prompt, g.seed) for g in generations] == design.rows
    for generation in generations:
        alone = generate(recurrent, generation.prompt, max_new=12, seeds=generation.seed)
        assert alone == [generation]


def test_no_two_rows_share_a_seed(recurrent: MLSTM) -> None:
    design = Design(recurrent, [], PROMPTS, [], CONFIG)
    assert [seed for _, seed in design.rows] == list(range(40, 49))
    assert design.groups == [prompt for prompt in PROMPTS for _ in range(3)]


def test_rows_beyond_one_batch_are_the_same(
    recurrent: MLSTM, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = Design(recurrent, [], PROMPTS, [], CONFIG)
    whole = design.write()
    monkeypatch.setattr("evidence.writing._ROWS", 4)
    assert design.write() == whole


def test_the_edit_acts_on_writing_but_not_on_what_prices_it(planted) -> None:
    network, feature = planted.network, planted.feature
    design = Design(network, [], PROMPTS, ["gbg b"], CONFIG)
    clamp = Clamp(feature, 6.0)
    arms = [Arm(Condition("unsteered")), Arm(Condition("feature", "", 6.0), clamp, clamp)]
    plain, steered = design.run(arms, feature.hook)
    texts = [g.continuation for g in steered.generations]
    assert sum(text.count("g") for text in texts) > 0.8 * 12 * len(texts)
    for row, generation in enumerate(steered.generations):
        prompt = network.encode(generation.prompt, end=False)
        whole = torch.tensor([[*prompt, *generation.symbols]])
        nats = network.loss(whole)[0, len(prompt) - 1 :].sum()
        assert steered.written.bits[row] == pytest.approx(float(nats) / np.log(2), rel=1e-4)
    with network.hooks([(feature.hook, clamp)]):
        assert steered.read.bits == pytest.approx(text_bits(network, ["gbg b"]).bits)
    assert plain.read.bits == pytest.approx(text_bits(network, ["gbg b"]).bits)
    assert steered.read.bits != pytest.approx(plain.read.bits)
    assert steered.distinct == pytest.approx([distinct_n(texts, n) for n in (1, 2, 3)], nan_ok=True)


def test_arms_side_by_side_write_and_cost_what_they_do_alone(
    planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, feature = planted.network, planted.feature
    design = Design(network, [], PROMPTS, ["gbg b" * 5, "b", "gggbb bgb" * 2], CONFIG)
    strengths = (-2.0, 0.5, 6.0)

    def outcomes(strengths: tuple[float, ...]) -> dict[str, Outcome]:
        recorders = {s: [Recorder(Clamp(feature, s)) for _ in range(2)] for s in strengths}
        arms = [Arm(Condition("feature", "", s), *recorders[s]) for s in strengths]
        arms += [
            Arm(Condition("again", "", s), *(Replay(feature.write, r.moves) for r in recorders[s]))
            for s in strengths
        ]
        monkeypatch.setattr("evidence.writing._ARMS", len(strengths))
        names = [*map(str, strengths), *(f"{s} again" for s in strengths)]
        return dict(zip(names, design.run(arms, feature.hook), strict=True))

    together = outcomes(strengths)
    for strength in strengths:
        for name, alone in outcomes((strength,)).items():
            assert together[name].generations == alone.generations
            assert together[name].written.bits == pytest.approx(alone.written.bits, rel=1e-5)
            assert together[name].read.bits == pytest.approx(alone.read.bits, rel=1e-5)
        again = together[f"{strength} again"]
        alone = together[str(strength)]
        assert again.generations == alone.generations, "replays find their batches"
        assert again.read.bits == pytest.approx(alone.read.bits, rel=1e-4)


def test_the_typical_length_is_in_characters_without_the_prompt(planted) -> None:
    assert typical_length(planted.network, PROMPTS, CONFIG) == 12


@pytest.mark.parametrize("field", ["samples_per_prompt", "max_new"])
def test_nothing_to_write_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is 0; it must be 1 or more"):
        WritingConfig(**{field: 0})
