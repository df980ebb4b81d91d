"""How well sentiment can be read from checkpoints along the training."""

import numpy as np
import pandas as pd

from experiments.sentiment_neuron.config import StudyConfig
from experiments.sentiment_neuron.decoding import Site, best_unit, l1_probe
from experiments.sentiment_neuron.parts import LabelledTexts, draw, split_three
from worldscope.activations.reading import read_states
from worldscope.networks.loading import load_network, zoo_checkpoints

LARGEST_PART = 2000
"""At most so many texts of each part are read for each checkpoint."""


def emergence(config: StudyConfig, texts: LabelledTexts) -> pd.DataFrame:
    """Test accuracy of the best unit and the L1 probe for each checkpoint of a zoo network.

    Returns:
        Columns bytes, hook, position, method, accuracy; empty if the network has no checkpoints.
    """
    texts = draw(texts, LARGEST_PART, config.seed)
    parts = split_three(texts, config.seed)
    rows = []
    for name, megabytes in zoo_checkpoints(config.network):
        states = read_states(load_network(name), texts.texts, config.hooks[:1], progress=True)
        for (hook, position), acts in states.items():
            site = Site(texts, parts, hook, position, acts)
            truth = site.of("test")[1]
            for method, predicted in (
                ("best unit", best_unit(site)[2]),
                ("L1 probe", l1_probe(site)[1]),
            ):
                place = {"bytes": megabytes * 1e6, "hook": hook, "position": position}
                rows.append(
                    {**place, "method": method, "accuracy": float(np.mean(predicted == truth))}
                )
    return pd.DataFrame(rows, columns=["bytes", "hook", "position", "method", "accuracy"])
