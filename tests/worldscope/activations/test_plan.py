"""Laws of the batch plan, for any lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldscope.activations.plan import Unit, plan_window, segments_of
from worldscope.activations.settings import ReadSettings

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=40).map(np.array)
overlaps = st.sampled_from([0.0, 0.25, 0.5, 0.9])


def recorded(units: list[Unit]) -> dict[int, list[int]]:
    """Positions of each input that some segment records."""
    found: dict[int, list[int]] = {}
    for unit in units:
        for segment in (segment for batch in unit for segment in batch):
            found.setdefault(segment.item, []).extend(range(segment.first, segment.end))
    return found


@given(lengths=lengths, overlap=overlaps, context=st.one_of(st.none(), st.integers(2, 30)))
def test_every_position_is_recorded_once_whatever_the_context(
    lengths: np.ndarray, overlap: float, context: int | None
) -> None:
    settings = ReadSettings(overlap=overlap, batch_positions=50)
    found = recorded(plan_window(lengths, settings, context=context))
    assert {item: sorted(places) for item, places in found.items()} == {
        item: list(range(length)) for item, length in enumerate(lengths)
    }


@given(lengths=lengths, context=st.integers(2, 30))
def test_what_is_cut_is_read_up_to_the_context(lengths: np.ndarray, context: int) -> None:
    found = recorded(plan_window(lengths, ReadSettings(too_long="cut"), context=context))
    assert {item: len(places) for item, places in found.items()} == {
        item: min(length, context) for item, length in enumerate(lengths)
    }


@given(lengths=lengths, overlap=overlaps)
def test_a_segment_has_the_overlap_as_context_and_fits(lengths: np.ndarray, overlap: float) -> None:
    for item, length in enumerate(lengths):
        segments = list(segments_of(item, int(length), ReadSettings(overlap=overlap), 10))
        assert all(len(segment) <= 10 for segment in segments)
        for segment in segments[1:]:
            assert segment.first - segment.start == int(10 * overlap)


@given(lengths=lengths)
def test_batches_keep_to_their_size_and_begin_with_the_longest(lengths: np.ndarray) -> None:
    units = plan_window(lengths, ReadSettings(batch_positions=40), context=20)
    for batch in (batch for unit in units for batch in unit):
        sizes = [len(segment) for segment in batch]
        assert sizes == sorted(sizes, reverse=True)
        assert len(batch) == 1 or len(batch) * sizes[0] <= 40


@given(lengths=lengths)
def test_all_segments_of_an_input_are_in_one_unit(lengths: np.ndarray) -> None:
    units = plan_window(lengths, ReadSettings(batch_positions=16), context=8)
    inside = [{segment.item for batch in unit for segment in batch} for unit in units]
    assert sum(map(len, inside)) == len(lengths)


@given(lengths=lengths, window=st.integers(0, 5))
def test_the_plan_is_a_function_of_its_arguments_and_its_order_of_the_window(
    lengths: np.ndarray, window: int
) -> None:
    settings = ReadSettings(batch_positions=30, seed=7)
    first = plan_window(lengths, settings, context=None, window=window)
    assert first == plan_window(lengths, settings, context=None, window=window)
    other = plan_window(lengths, settings, context=None, window=window + 1)
    assert sorted(map(repr, first)) == sorted(map(repr, other))


def test_another_seed_gives_the_same_batches_in_another_order() -> None:
    lengths = np.arange(1, 61)
    first, second = (
        plan_window(lengths, ReadSettings(batch_positions=30, seed=seed), context=None)
        for seed in (7, 8)
    )
    assert first != second
    assert sorted(map(repr, first)) == sorted(map(repr, second))


def test_inputs_that_cannot_be_padded_share_a_batch_only_with_their_equals() -> None:
    lengths, shapes = np.array([4, 4, 3, 4]), ["x", "y", "x", "x"]
    units = plan_window(lengths, ReadSettings(), context=None, pads=False, shapes=shapes)
    together = sorted(sorted(s.item for batch in unit for s in batch) for unit in units)
    assert together == [[0], [1], [2], [3]] or together == [[0, 3], [1], [2]]
    for unit in units:
        kinds = {(lengths[s.item], shapes[s.item]) for batch in unit for s in batch}
        assert len(kinds) == 1


def test_little_is_spent_on_padding_at_the_lengths_of_reviews() -> None:
    lengths = np.random.default_rng(0).lognormal(5.4, 0.7, 4000).astype(int) + 10
    units = plan_window(lengths, ReadSettings(), context=256)
    batches = [batch for unit in units for batch in unit]
    real = sum(len(segment) for batch in batches for segment in batch)
    padded = sum(len(batch) * len(batch[0]) for batch in batches)
    assert real / padded > 0.97


@pytest.mark.parametrize(
    "wrong",
    [
        {"positions": "first"},
        {"positions": "every:0"},
        {"positions": "column:"},
        {"overlap": 1.0},
        {"batch_positions": 0},
        {"window": 0},
        {"seed": -1},
    ],
)
def test_a_setting_out_of_its_range_is_named(wrong: dict) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is .*must be"):
        ReadSettings(**wrong)
