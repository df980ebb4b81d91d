"""The parts of the sentiment study, on activations whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from experiments.sentiment_neuron import decoding
from experiments.sentiment_neuron.config import StudyConfig
from experiments.sentiment_neuron.decoding import Site, decode
from experiments.sentiment_neuron.parts import LabelledTexts
from experiments.sentiment_neuron.steering import held_out_texts
from experiments.sentiment_neuron.verdict import verdict_on

PARTS = {"train": np.arange(200), "dev": np.arange(200, 300), "test": np.arange(300, 500)}
UNTRAINED = {"data": "set", "hook": "hook_c", "position": "final", "value": 0.55}
MEASURED = pd.DataFrame([{**UNTRAINED, "method": "best unit, random-init baseline, max of 3"}])


def site(acts: np.ndarray, labels: np.ndarray) -> Site:
    names = [f"text {row}" for row in range(len(labels))]
    splits = np.concatenate([np.repeat(part, len(rows)) for part, rows in PARTS.items()])
    texts = LabelledTexts("set", names, labels, np.array(names), splits)
    return Site(texts, PARTS, "hook_c", "final", acts.astype(np.float32))


def test_texts_are_drawn_from_all_of_a_test_part_that_holds_one_class_first() -> None:
    labels = np.concatenate([np.arange(300) % 2, np.repeat([1, 0], 100)])
    drawn = held_out_texts(site(np.zeros((500, 1)), labels), 50, seed=0)
    assert len(drawn) == 50 and 15 < drawn.labels.sum() < 35
    assert {text for text in drawn.texts} <= {f"text {row}" for row in PARTS["test"]}
