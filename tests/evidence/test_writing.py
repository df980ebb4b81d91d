import numpy as np
import pytest
import torch

from evidence.bits import text_bits
from evidence.diversity import distinct_n
from evidence.writing import Condition, Design, WritingConfig, typical_length
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
    plain = design.run(Condition("unsteered"))
    edits = [(feature.hook, Clamp(feature, 6.0))]
    steered = design.run(Condition("feature", "", 6.0), edits, edits)
    texts = [g.continuation for g in steered.generations]
    assert sum(text.count("g") for text in texts) > 0.8 * 12 * len(texts)
    for row, generation in enumerate(steered.generations):
        prompt = network.encode(generation.prompt, end=False)
        whole = torch.tensor([[*prompt, *generation.symbols]])
        nats = network.loss(whole)[0, len(prompt) - 1 :].sum()
        assert steered.written.bits[row] == pytest.approx(float(nats) / np.log(2), rel=1e-4)
    with network.hooks(edits):
        assert steered.read.bits == pytest.approx(text_bits(network, ["gbg b"]).bits)
    assert plain.read.bits == pytest.approx(text_bits(network, ["gbg b"]).bits)
    assert steered.read.bits != pytest.approx(plain.read.bits)
    assert steered.distinct == pytest.approx([distinct_n(texts, n) for n in (1, 2, 3)], nan_ok=True)


def test_the_typical_length_is_in_characters_without_the_prompt(planted) -> None:
    assert typical_length(planted.network, PROMPTS, CONFIG) == 12


@pytest.mark.parametrize("field", ["samples_per_prompt", "max_new"])
def test_nothing_to_write_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is 0; it must be 1 or more"):
        WritingConfig(**{field: 0})
