"""How well sentiment can be read from checkpoints along the training."""

import pandas as pd

from experiments.sentiment_neuron.config import StudyConfig
from experiments.sentiment_neuron.other_networks import read_networks
from experiments.sentiment_neuron.parts import LabelledTexts
from worldscope.networks.loading import zoo_checkpoints


def emergence(config: StudyConfig, texts: LabelledTexts) -> pd.DataFrame:
    """Test accuracy of the best unit and the L1 probe for each checkpoint of a zoo network.

    Returns:
        The columns of `read_networks`, and the bytes that each had read; empty if the network has
        no checkpoints.
    """
    read = {name: megabytes * 1e6 for name, megabytes in zoo_checkpoints(config.network)}
    table = read_networks(list(read), config, texts, desc="checkpoints")
    return table.assign(bytes=[read[name] for name in table["network"]])
