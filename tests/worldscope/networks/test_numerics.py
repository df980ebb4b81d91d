"""Every network equals its original within the tolerance that docs/numerics.md publishes."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import numerics


@pytest.mark.parametrize("name", numerics.FAMILIES)
def test_a_network_of_hugging_face_is_what_it_was_behind_our_interface(name: str) -> None:
    found = list(numerics.family_rows(name))
    assert [row.place for row in found] == list(numerics.PLACES)
    for row in found:
        assert row.largest <= row.tolerance, row


def test_a_transformer_of_ours_is_the_gpt2_that_it_is_exported_as() -> None:
    for row in numerics.own_rows():
        assert row.largest <= row.tolerance, row


def test_a_trained_llama_is_what_numpy_computes(shared_data: Path) -> None:
    for row in numerics.stories_rows(shared_data / "stories260k"):
        assert row.largest <= row.tolerance, row


def test_the_published_table_has_every_row(shared_data: Path, repository: Path) -> None:
    published = (repository / "docs" / "numerics.md").read_text(encoding="utf-8").splitlines()
    head = published.index("|---|---|---|---|---|---|")
    cells = [[cell.strip(" `") for cell in line[1:-1].split("|")] for line in published[head + 1 :]]
    expected = [
        [row.network, row.original, row.place, f"{row.tolerance:.0e}"]
        for row in numerics.rows(shared_data)
    ]
    assert [[*row[:3], row[5]] for row in cells] == expected
    assert all(float(row[3]) <= float(row[5]) for row in cells)


def test_a_difference_is_the_largest_and_relative_to_the_original() -> None:
    row = numerics.compared("n", "o", "p", np.array([1.0, -3.0]), np.array([1.5, -4.0]), 2.0)
    assert (row.largest, row.relative) == (1.0, 0.25)
    with pytest.raises(ValueError, match=r"n, p: \(2,\) is compared with \(1,\)"):
        numerics.compared("n", "o", "p", np.zeros(2), np.zeros(1), 2.0)
