import math

import pytest

from evidence.diversity import distinct_n


@pytest.mark.parametrize(
    ("texts", "n", "share"),
    [
        (["the good the bad"], 1, 3 / 4),
        (["the good the bad"], 2, 1.0),
        (["so so so so"], 2, 1 / 3),
        (["a b", "a b"], 2, 1 / 2),
        (["a b", "c d"], 3, math.nan),
        (["Good good"], 1, 1 / 2),
    ],
)
def test_distinct_n_is_the_share_of_different_ngrams(
    texts: list[str], n: int, share: float
) -> None:
    assert distinct_n(texts, n) == pytest.approx(share, nan_ok=True)


def test_ngrams_do_not_run_from_one_text_into_the_next() -> None:
    assert distinct_n(["a b", "b a"], 2) == 1.0
    assert math.isnan(distinct_n(["a", "b"], 2))
