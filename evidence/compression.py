"""What a text costs without a network: compressors and counted n-grams."""

import bz2
import lzma

import pandas as pd

from evidence.ngrams import MAX_ORDER, NgramModel


def compression_baselines(
    train: bytes, test: bytes, *, order: int = MAX_ORDER, progress: bool = False
) -> pd.DataFrame:
    """Bits per byte of a test text for each way to predict or compress it.

    The compressors see the test text alone, as a user would run them; the n-gram model is fitted on
    the training text.

    Args:
        train: Training text, framed as a network receives it.
        test: Test text, likewise.
        order: Bytes of context of the n-gram model.
        progress: Show progress bars.

    Returns:
        Columns method and bits_per_byte.

    Raises:
        ValueError: If a text is empty.
    """
    ngrams = NgramModel.fit(train, order=order, progress=progress)
    costs = {
        f"order-{order} byte n-grams": ngrams.bits_per_byte(test, progress=progress),
        "bz2 -9": 8 * len(bz2.compress(test, 9)) / len(test),
        "xz -9": 8 * len(lzma.compress(test, preset=9)) / len(test),
    }
    return pd.DataFrame({"method": list(costs), "bits_per_byte": list(costs.values())})
