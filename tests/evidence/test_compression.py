import subprocess

import numpy as np
import pytest

from evidence.compression import compression_baselines
from evidence.ngrams import NgramModel

RANDOM = np.random.default_rng(0)
TRAIN, TEST = (bytes(RANDOM.choice(list(b"ab "), size=n).astype(np.uint8)) for n in (3000, 2000))


@pytest.fixture(scope="module")
def costs() -> dict[str, float]:
    table = compression_baselines(TRAIN, TEST, order=2)
    return dict(zip(table["method"], table["bits_per_byte"], strict=True))


@pytest.mark.parametrize("command", ["bz2 -9", "xz -9"])
def test_compressors_cost_what_the_commands_write(costs: dict[str, float], command: str) -> None:
    program, level = command.replace("bz2", "bzip2").split()
    try:
        packed = subprocess.run([program, level, "-c"], input=TEST, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip(f"needs the command {program}")
    assert costs[command] == pytest.approx(8 * len(packed.stdout) / len(TEST), rel=0.02)


def test_ngrams_are_fitted_on_train_and_priced_on_test(costs: dict[str, float]) -> None:
    model = NgramModel.fit(TRAIN, order=2)
    assert costs["order-2 byte n-grams"] == model.bits_per_byte(TEST)
    assert np.log2(3) < costs["order-2 byte n-grams"] < costs["bz2 -9"]


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ValueError, match="text is empty"):
        compression_baselines(TRAIN, b"")
