from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.ngrams import NgramModel

few_bytes = st.binary(min_size=1, max_size=60).map(lambda b: bytes(c % 5 + 250 for c in b))


def by_dictionary(train: bytes, context: bytes, symbol: int, order: int) -> float:
    """Witten-Bell's recursion as it is written down."""
    if order < 0:
        return 1 / 256
    lower = by_dictionary(train, context, symbol, order - 1)
    if len(context) < order:
        return lower
    history = context[len(context) - order :]
    after = Counter(
        train[end] for end in range(order, len(train)) if train[end - order : end] == history
    )
    if not after:
        return lower
    return (after[symbol] + len(after) * lower) / (after.total() + len(after))


@settings(max_examples=30)
@given(few_bytes, few_bytes, st.integers(0, 6))
def test_probabilities_are_those_of_the_recursion(train: bytes, test: bytes, order: int) -> None:
    found = 2 ** -NgramModel.fit(train, order=order).bits(test)
    expected = [by_dictionary(train, test[:i], test[i], order) for i in range(len(test))]
    assert found == pytest.approx(expected, rel=1e-9)


@settings(max_examples=20)
@given(few_bytes, st.binary(min_size=6, max_size=12), st.integers(0, 6))
def test_the_chances_of_the_next_byte_add_up_to_one(
    train: bytes, context: bytes, order: int
) -> None:
    after_context = slice(len(context), None, len(context) + 1)
    every = b"".join(context + bytes([byte]) for byte in range(256))
    bits = NgramModel.fit(train + context, order=order).bits(every)[after_context]
    assert len(bits) == 256
    assert np.sum(2**-bits) == pytest.approx(1.0)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    train, test = (bytes(random.integers(0, 4, size=200, dtype=np.uint8)) for _ in range(2))
    whole = NgramModel.fit(train)
    bits = whole.bits(test)
    monkeypatch.setattr("evidence.ngrams._BLOCK", 7)
    in_blocks = NgramModel.fit(train)
    for one, other in zip(whole.tables, in_blocks.tables, strict=True):
        np.testing.assert_array_equal(one.keys, other.keys)
        np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(in_blocks.bits(test), bits)


def test_counts_are_those_of_a_dictionary() -> None:
    train = b"abracadabra, abracadabra"
    table = NgramModel.fit(train, order=2).tables[2]
    counted = Counter(train[i : i + 3] for i in range(len(train) - 2))
    found = {
        int(key).to_bytes(3, "big"): count
        for key, count in zip(table.keys, table.counts.tolist(), strict=True)
    }
    assert found == counted
    after = defaultdict(list)
    for gram, count in counted.items():
        after[gram[:2]].append(count)
    contexts = [int(key).to_bytes(2, "big") for key in table.contexts]
    assert table.totals.tolist() == [sum(after[context]) for context in contexts]
    assert table.kinds.tolist() == [len(after[context]) for context in contexts]


def test_a_fair_source_costs_its_entropy() -> None:
    random = np.random.default_rng(0)
    train, test = (bytes(random.integers(0, 4, size=n, dtype=np.uint8)) for n in (60000, 5000))
    assert NgramModel.fit(train, order=1).bits_per_byte(test) == pytest.approx(2.0, abs=0.01)


def test_a_text_shorter_than_the_context_can_be_fitted_and_read() -> None:
    model = NgramModel.fit(b"ab")
    assert model.bits_per_byte(b"a") < 8


@pytest.mark.parametrize(
    ("text", "order", "message"),
    [(b"", 6, "text is empty"), (b"ab", 7, "from 0 to 6"), (b"ab", -1, "from 0 to 6")],
)
def test_wrong_input_is_named(text: bytes, order: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NgramModel.fit(text, order=order)
    with pytest.raises(ValueError, match="text is empty"):
        NgramModel.fit(b"ab").bits_per_byte(b"")
