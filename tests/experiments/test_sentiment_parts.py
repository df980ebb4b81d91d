"""The parts of the sentiment study, on activations whose answer is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.sentiment_neuron import decoding
from experiments.sentiment_neuron.config import StudyConfig
from experiments.sentiment_neuron.decoding import Site, decode
from experiments.sentiment_neuron.parts import LabelledTexts, split_three
from experiments.sentiment_neuron.steering import features_to_steer, held_out_texts
from experiments.sentiment_neuron.verdict import verdict_on, verdicts_on_steering
from worldscope.features.statistics import measure_statistics
from worldscope.networks.loading import new_mlstm

PARTS = {"train": np.arange(200), "dev": np.arange(200, 300), "test": np.arange(300, 500)}
UNTRAINED = {"data": "set", "hook": "lstm.0.hook_c", "position": "final", "value": 0.55}
MEASURED = pd.DataFrame([{**UNTRAINED, "method": "best unit, random-init baseline, max of 3"}])


def site(acts: np.ndarray, labels: np.ndarray) -> Site:
    names = [f"text {row}" for row in range(len(labels))]
    splits = np.concatenate([np.repeat(part, len(rows)) for part, rows in PARTS.items()])
    texts = LabelledTexts("set", names, labels, np.array(names), splits)
    return Site(texts, PARTS, "lstm.0.hook_c", "final", acts.astype(np.float32))


def test_texts_are_drawn_from_all_of_a_test_part_that_holds_one_class_first() -> None:
    labels = np.concatenate([np.arange(300) % 2, np.repeat([1, 0], 100)])
    drawn = held_out_texts(site(np.zeros((500, 1)), labels), 50, seed=0)
    assert len(drawn) == 50 and 15 < drawn.labels.sum() < 35
    assert {text for text in drawn.texts} <= {f"text {row}" for row in PARTS["test"]}


def labelled(labels: list[int], splits: list[str]) -> LabelledTexts:
    names = [str(row) for row in range(len(labels))]
    return LabelledTexts("set", names, np.array(labels), np.array(names), np.array(splits))


def test_a_part_with_one_label_or_too_few_groups_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="the dev part of set has 1 texts, all of label 1, and"):
        split_three(labelled([0, 1, 1, 0, 1], ["train"] * 2 + ["dev"] + ["test"] * 2), seed=0)
    with pytest.raises(ValueError, match="set has 2 groups of texts and train, dev, test need one"):
        split_three(labelled([0, 1], ["", ""]), seed=0)


def test_parts_of_a_data_set_are_kept_and_what_it_lacks_is_split_off() -> None:
    labels, own = [0, 1] * 50, ["train"] * 60 + ["test"] * 40
    parts = split_three(labelled(labels, own), seed=0)
    assert parts["test"].tolist() == list(range(60, 100))
    assert sorted([*parts["train"], *parts["dev"]]) == list(range(60))
    assert len(parts["dev"]) == 9
    parts = split_three(labelled(labels, [""] * 100), seed=0)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))


def test_a_unit_whose_numbers_are_too_small_for_the_probe_is_not_called_unreadable() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 500)
    acts = 1e-4 * random.standard_normal((500, 5))
    acts[:, 3] += 4e-4 * labels
    found = decode(site(acts, labels), permutations=50, label_seeds=1, seed=0)
    assert found.unit == 3 and found.unit_accuracy.low > 0.85
    assert found.probe.n_nonzero == 0
    said = verdict_on(found, MEASURED)
    assert "The unit stands out from shuffled labels and untrained networks, but the probe" in said
    assert "reads sentiment here" not in said


def test_noise_is_said_to_be_unreadable() -> None:
    random = np.random.default_rng(0)
    noise = site(random.standard_normal((500, 5)), random.integers(0, 2, 500))
    found = decode(noise, permutations=50, label_seeds=1, seed=0)
    assert "Neither reads sentiment here" in verdict_on(found, MEASURED)


def test_labels_are_shuffled_in_the_training_part_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    here = site(random.standard_normal((500, 3)), random.integers(0, 2, 500))
    seen = []
    fit = decoding.fit_l1_path_many
    monkeypatch.setattr(
        decoding, "fit_l1_path_many", lambda *given: seen.append(given) or fit(*given)
    )
    decode(here, permutations=1, label_seeds=1, seed=0)
    ((_, train, _, dev),) = seen
    assert (dev == here.of("dev")[1][:, None]).all()
    true = here.of("train")[1]
    assert (train.sum(axis=0) == true.sum()).all()
    assert (train != true[:, None]).any(axis=0).all()


def test_where_every_unit_tracks_the_label_its_placebos_are_directions() -> None:
    network = new_mlstm(d_hidden=6, d_embed=4)
    statistics = measure_statistics(network, ["a good film", "a bad one"], "hook_c")
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 500)
    found = decode(
        site(random.standard_normal((500, 6)) + 4 * labels[:, None], labels),
        permutations=1,
        label_seeds=1,
        seed=0,
    )
    config = StudyConfig(worlds=("short",), placebos=5)
    (unit, placebos), (direction, _) = features_to_steer(network, statistics, found, config)
    assert (unit.origin, direction.origin) == (f"unit {found.unit}", "probe direction")
    assert [placebo.origin for placebo in placebos] == [f"random direction {i}" for i in range(5)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("random_networks", 0),
        ("permutations", 0),
        ("label_seeds", 0),
        ("prompts", 3),
        ("seed", -1),
        ("limit", 0),
    ],
)
def test_too_few_of_anything_is_refused_before_the_study(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be"):
        replace(StudyConfig(worlds=("short",)), **{name: value})


JUDGES = pd.DataFrame([{"judge": "j", "value": 0.7, "low": 0.6, "high": 0.8}])
STEERED = {
    "feature": "unit 3",
    "judge": "j",
    "kind": "feature",
    "down": -2.0,
    "up": 3.0,
    "moved": 0.3,
    "low": 0.2,
    "high": 0.4,
}
PLACEBO = {**STEERED, "kind": "placebo equal norm", "moved": 0.01, "placebos": 20, "largest": 0.1}


def said_of(steered: dict, p_value: float, judges: pd.DataFrame = JUDGES) -> str:
    (said,) = verdicts_on_steering(
        pd.DataFrame([{**STEERED, **steered}, {**PLACEBO, "p_value": p_value}]), judges
    )
    return said


def test_steering_is_said_to_move_text_only_beyond_chance_and_placebos() -> None:
    said = said_of({}, 0.05)
    assert "from -2 to +3 sd moves the share that the j calls positive by 30.0 points" in said
    assert "20 placebos of equal norm move it by 1.0 on average, at most 10.0 (p = 0.05)" in said
    assert said.endswith("The feature moves what is written towards its label.")
    assert said_of({"moved": -0.3, "low": -0.4, "high": -0.2}, 0.05).endswith(
        "away from its label."
    )
    none = "No effect beyond that of the placebos is shown."
    assert said_of({}, 0.1).endswith(none)
    assert said_of({"low": -0.1}, 0.05).endswith(none)


def test_p_values_are_corrected_for_the_features_and_only_the_first_able_judge_decides() -> None:
    able = {"value": 0.7, "low": 0.6, "high": 0.8}
    judges = pd.DataFrame(
        [{"judge": "deaf", **able, "low": 0.4}, {"judge": "j", **able}, {"judge": "k", **able}]
    )
    rows = []
    for judge in judges["judge"]:
        for feature, p_value in (("unit 3", 0.02), ("probe direction", 0.04)):
            named = {"feature": feature, "judge": judge}
            rows += [{**STEERED, **named}, {**PLACEBO, **named, "p_value": p_value}]
    moves, second = "moves what is written towards its label.", "second opinion: the j decides."
    said = list(verdicts_on_steering(pd.DataFrame(rows), judges))
    assert [sentence.endswith(moves) for sentence in said] == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]
    assert all(sentence.endswith(second) for sentence in said[4:])
    assert all("its shares say nothing" in sentence for sentence in said[:2])
    assert "(p = 0.02, 0.04 corrected for 2 features)" in said[2]
    for row in rows:
        if row["feature"] == "unit 3" and "p_value" in row:
            row["p_value"] = 0.08
    said = list(verdicts_on_steering(pd.DataFrame(rows), judges))
    assert "(p = 0.04, 0.08 corrected for 2 features)" in said[3]
    assert not any(sentence.endswith(moves) for sentence in said)


def test_a_judge_at_chance_says_nothing_and_an_unaffordable_feature_was_not_steered() -> None:
    said = said_of({}, 0.05, JUDGES.assign(low=0.5))
    assert said.endswith("its shares say nothing.")
    assert "every strength costs more" in said_of({"down": np.nan, "up": np.nan}, 0.05)
    assert "from +0 to +3 sd" in said_of({"down": np.nan}, 0.05)
