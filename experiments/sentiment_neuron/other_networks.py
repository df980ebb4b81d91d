"""The same reading of other networks: does it happen again?"""

from collections.abc import Sequence

import pandas as pd
from tqdm.auto import tqdm

from experiments.sentiment_neuron.config import StudyConfig
from experiments.sentiment_neuron.decoding import Site, predictions
from experiments.sentiment_neuron.parts import LabelledTexts, draw, split_three
from worldscope.activations.reading import read_states
from worldscope.networks.loading import load_network

LARGEST_PART = 2000
"""At most so many texts of each part are read by each network."""
COLUMNS = ["network", "data", "hook", "position", "method", "value", "low", "high", "n"]


def read_networks(
    names: Sequence[str], config: StudyConfig, texts: LabelledTexts, *, desc: str
) -> pd.DataFrame:
    """Test accuracy of the best unit and the L1 probe of each network, at the hook that decides.

    Args:
        names: Networks, as `load_network` takes them.
        config: Of the study.
        texts: What they read.
        desc: What the progress bar is called.

    Returns:
        A row for each network, position and method, with the columns `COLUMNS`.
    """
    texts = draw(texts, LARGEST_PART, config.seed)
    parts = split_three(texts, config.seed)
    rows = []
    for name in tqdm(names, desc=desc):
        states = read_states(load_network(name), texts.texts, config.hooks[:1])
        for (hook, position), acts in states.items():
            site = Site(texts, parts, hook, position, acts)
            for method, predicted in predictions(site).items():
                score = site.interval(predicted, seed=config.seed)
                place = (name, texts.name, hook, position, method)
                rows.append((*place, score.value, score.low, score.high, score.n))
    return pd.DataFrame(rows, columns=COLUMNS)
