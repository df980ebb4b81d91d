"""Rows equal those of each input read alone, whatever shares its batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from worldscope.activations.inputs import as_inputs
from worldscope.activations.reader import Cursor, Reader
from worldscope.activations.settings import ReadSettings
from worldscope.networks.language_model import LanguageModel
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.transformer import Transformer
from worldscope.networks.wrapped import wrap
from worldscope.worlds.world import World

Place = tuple[int, int]


def rows_of(reader: Reader) -> dict[str, dict[Place, np.ndarray]]:
    """Rows by (input, position), of each hook."""
    found: dict[str, dict[Place, np.ndarray]] = {name: {} for name in reader.names}
    for work in reader.works(Cursor()):
        shapes = reader.row_shapes()
        out = {name: torch.empty(work.n_rows, *shape) for name, shape in shapes.items()}
        reader.read_into(work, out)
        table = work.table().to_pydict()
        for name, acts in out.items():
            for sequence, position, row in zip(
                table["sequence"], table["position"], acts.numpy(), strict=True
            ):
                place = sequence, -1 if position is None else position
                assert place not in found[name]
                found[name][place] = row
    return found


def read(network: LanguageModel, world: World, hooks: list[str], **settings: object) -> dict:
    reading = ReadSettings(**{"window": 16, "batch_positions": 48, **settings})  # pyright: ignore
    return rows_of(Reader(network, as_inputs(world, column=reading.column), hooks, reading))


def alone(network: LanguageModel, text: str, hook: str) -> np.ndarray:
    _, acts = network.run_with_cache(text, [hook])
    return acts[hook][0].numpy()


@pytest.mark.parametrize("hooks", [["lstm.0.hook_c", "lstm.0.hook_o"], ["lstm.0.hook_h"]])
def test_every_position_of_a_recurrent_network(
    network: MLSTM, world: World, hooks: list[str]
) -> None:
    found = read(network, world, hooks)
    for hook in hooks:
        expected = {
            (item, position): row
            for item, text in enumerate(world.inputs)
            for position, row in enumerate(alone(network, text, hook))
        }
        assert found[hook].keys() == expected.keys()
        for place, row in expected.items():
            np.testing.assert_allclose(found[hook][place], row, atol=2e-6)


def test_last_mean_and_every_third(network: MLSTM, world_of_texts: World) -> None:
    world = world_of_texts
    hook = "lstm.0.hook_c"
    last, mean, third = (
        read(network, world, [hook], positions=positions)[hook]
        for positions in ("last", "mean", "every:3")
    )
    for item, text in enumerate(world.inputs):
        acts = alone(network, text, hook)
        np.testing.assert_allclose(last[item, len(acts) - 1], acts[-1], atol=2e-6)
        np.testing.assert_allclose(mean[item, -1], acts.mean(0), atol=2e-6)
        for position in range(0, len(acts), 3):
            np.testing.assert_allclose(third[item, position], acts[position], atol=2e-6)
    assert len(last) == len(mean) == len(world)


def test_what_the_codec_adds_is_dropped_from_rows_but_still_read(
    network: MLSTM, world_of_texts: World
) -> None:
    hook, world = "lstm.0.hook_c", world_of_texts
    every = read(network, world, [hook], specials="drop")[hook]
    mean = read(network, world, [hook], specials="drop", positions="mean")[hook]
    last = read(network, world, [hook], specials="drop", positions="last")[hook]
    for item, text in enumerate(world.inputs):
        acts = alone(network, text, hook)
        own = range(2, len(acts) - 1)  # "\\n " before and " " behind
        assert [p for i, p in sorted(every) if i == item] == list(own)
        np.testing.assert_allclose(last[item, len(acts) - 2], acts[-2], atol=2e-6)
        np.testing.assert_allclose(mean[item, -1], acts[2:-1].mean(0), atol=2e-6)


def test_a_column_chooses_positions(network: MLSTM, world: World) -> None:
    found = read(network, world, ["lstm.0.hook_c"], positions="column:ends")["lstm.0.hook_c"]
    assert len(found) == 2 * len(world)
    for item, text in enumerate(world.inputs):
        acts = alone(network, text, "lstm.0.hook_c")
        np.testing.assert_allclose(found[item, 0], acts[0], atol=2e-6)
        np.testing.assert_allclose(found[item, len(acts) - 1], acts[-1], atol=2e-6)


@pytest.mark.parametrize("hook", ["blocks.0.hook_out", "blocks.1.attn.q.hook_out"])
def test_a_transformer_reads_long_texts_in_overlapping_segments(
    gpt: Transformer, world: World, hook: str
) -> None:
    found = read(gpt, world, [hook], overlap=0.5)[hook]
    for item, text in enumerate(world.inputs):
        symbols = torch.tensor([gpt.encode(text)])
        first = 0
        while first < symbols.shape[1]:
            start = max(0, first - 6)
            acts = gpt(symbols[:, start : start + 12], read=[hook]).reads[hook][0].numpy()
            for position in range(first, min(start + 12, symbols.shape[1])):
                row = acts[position - start]
                np.testing.assert_allclose(found[item, position], row, atol=2e-6)
            first = start + 12


def test_a_mean_is_over_all_segments_and_a_cut_over_the_first(
    gpt: Transformer, world_of_texts: World
) -> None:
    hook, world = "blocks.1.hook_out", world_of_texts
    every = read(gpt, world, [hook])[hook]
    mean = read(gpt, world, [hook], positions="mean")[hook]
    cut = read(gpt, world, [hook], positions="mean", too_long="cut")[hook]
    for item, text in enumerate(world.inputs):
        n = len(gpt.encode(text))
        acts = np.stack([every[item, position] for position in range(n)])
        np.testing.assert_allclose(mean[item, -1], acts.mean(0), atol=2e-6)
        np.testing.assert_allclose(cut[item, -1], acts[:12].mean(0), atol=2e-6)


def test_the_last_position_of_what_is_cut_is_the_last_that_is_read(
    gpt: Transformer, world: World
) -> None:
    hook = "blocks.1.hook_out"
    every = read(gpt, world, [hook], too_long="cut")[hook]
    last = read(gpt, world, [hook], too_long="cut", positions="last")[hook]
    own = read(gpt, world, [hook], too_long="cut", positions="last", specials="drop")[hook]
    lengths = [len(gpt.encode(text)) for text in world.inputs]
    assert max(lengths) > 12 > min(lengths)
    assert last.keys() == {(item, min(n, 12) - 1) for item, n in enumerate(lengths)}
    assert own.keys() == {(item, min(n - 1, 12) - 1) for item, n in enumerate(lengths)}
    for place, row in last.items():
        np.testing.assert_allclose(row, every[place], atol=2e-6)


def wrapped_rows(module: nn.Module, data: list, **given: Any) -> dict:
    network = wrap(module, timed=given.pop("timed", True), pads=given.pop("pads", False))
    return rows_of(Reader(network, as_inputs(data), "hook_out", ReadSettings(**given)))["hook_out"]


class Made(nn.Module):
    """What a function makes of a batch."""

    def __init__(self, make: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self.make = make

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.make(batch)


@pytest.mark.parametrize("positions", ["all", "mean"])
@pytest.mark.parametrize(("first", "second"), [(4, 3), (3, 4)])
def test_other_positions_than_were_planned_are_refused(
    positions: str, first: int, second: int
) -> None:
    """Else rows that nothing was read for would be zeros, or rows would be lost."""
    module = Made(lambda batch: batch[:, : int(batch[0, 0, 0])])
    data = [np.full((4, 2), float(n)) for n in (first, second)]
    with pytest.raises(ValueError, match=r"position"):
        wrapped_rows(module, data, timed=False, batch_positions=4, positions=positions)


def test_reads_of_fewer_inputs_than_were_given_are_refused() -> None:
    with pytest.raises(ValueError, match=r"hook_out gives \(1, 4\) inputs and .*\(2, 4\) from 0"):
        wrapped_rows(Made(lambda batch: batch.mean(0, keepdim=True)), [np.ones((4, 2))] * 2)


def test_whole_numbers_and_fractions_in_one_batch_keep_their_values() -> None:
    data = [np.array([[1], [2], [3]]), np.array([[0.5], [1.75]])]
    found = wrapped_rows(Made(torch.Tensor.float), data, pads=True)
    assert {place: float(row[0]) for place, row in found.items()} == {
        (0, 0): 1.0, (0, 1): 2.0, (0, 2): 3.0, (1, 0): 0.5, (1, 1): 1.75,
    }  # fmt: skip


def test_a_mean_leaves_out_padding_whatever_the_network_makes_of_it() -> None:
    found = wrapped_rows(
        Made(torch.log), [np.full((3, 1), np.e), np.full((2, 1), np.e**2)], pads=True,
        positions="mean",
    )  # fmt: skip
    assert found[0, -1] == pytest.approx(1, abs=1e-6)
    assert found[1, -1] == pytest.approx(2, abs=1e-6)


def test_a_mean_of_bfloat16_is_summed_in_more_than_its_eight_bits() -> None:
    acts = torch.ones(301, 1, dtype=torch.bfloat16)
    acts[0] = 3  # 303 in all, which bfloat16 would round to 304
    found = wrapped_rows(nn.Identity(), [acts], positions="mean")
    assert found[0, -1] == pytest.approx(303 / 301, abs=1e-6)


def test_an_edit_in_place_is_what_is_recorded(network: MLSTM, world: World) -> None:
    with network.hooks([("hook_c", lambda value, _: torch.full_like(value, 0.25))]):
        found = read(network, world, ["lstm.0.hook_c"])["lstm.0.hook_c"]
    assert all((row == 0.25).all() for row in found.values())


def test_blocks_above_the_deepest_hook_are_not_run(
    gpt: Transformer, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worldscope.networks import fused

    ran = []
    block = fused._block
    monkeypatch.setattr(fused, "_block", lambda *given: (ran.append(given[0]), block(*given))[1])
    read(gpt, world, ["blocks.0.hook_out"])
    assert len({id(b) for b in ran}) == 1


def test_labels_ride_along(network: MLSTM, world: World) -> None:
    reader = Reader(network, as_inputs(world), "lstm.0.hook_c", ReadSettings(window=7))
    for work in reader.works(Cursor()):
        for row in work.table().to_pylist():
            item, position = row["sequence"], row["position"]
            given, text = world.dataset[item], world.inputs[item]
            assert (row["group"], row["mood"], row["place"]) == (
                given["film"],
                given["mood"],
                given["place"],
            )
            symbols = network.encode(text)
            inside = 2 <= position < len(symbols) - 1
            assert row["symbol"] == symbols[position]
            assert row["vowel"] == (given["vowel"][position - 2] if inside else None)
            if inside:
                piece = bytes([row["symbol"]])
                assert piece in text[row["text_start"] : row["text_end"]].encode()
                first = text.find("a")
                assert row["first_a"] == (1 if row["text_start"] == first >= 0 else None)
            else:
                assert row["text_start"] is row["text_end"] is row["first_a"] is None


def test_symbols_that_the_data_hold_are_read_beside_texts(network: MLSTM) -> None:
    data = ["abc", [10, 97, 98], "é"]
    settings = ReadSettings(specials="drop", window=2)
    works = Reader(network, as_inputs(data), "hook_c", settings).works(Cursor())
    rows = [row for work in works for row in work.table().to_pylist()]
    found = {(row["sequence"], row["position"]): row for row in rows}
    assert [found[1, position]["symbol"] for position in range(3)] == data[1]
    assert {found[1, position]["text_start"] for position in range(3)} == {None}
    for item, text in ((0, b"abc"), (2, "é".encode())):
        own = [row for place, row in sorted(found.items()) if place[0] == item]
        assert bytes(row["symbol"] for row in own) == text
        assert own[0]["text_start"] == 0


def test_a_reading_goes_on_from_any_cursor(network: MLSTM, world: World) -> None:
    reader = Reader(network, as_inputs(world), "hook_c", ReadSettings(window=9, batch_positions=60))
    works = list(reader.works(Cursor()))
    assert len(works) > 8
    for number in (0, 3, len(works) - 2):
        rest = list(reader.works(works[number].after))
        assert [w.after for w in rest] == [w.after for w in works[number + 1 :]]
        assert [w.rows[0].tolist() for w in rest] == [
            w.rows[0].tolist() for w in works[number + 1 :]
        ]


def test_wrong_rows_of_the_data_are_named(network: MLSTM) -> None:
    reader = Reader(network, as_inputs(["fine", "  "]), "hook_c", ReadSettings())
    with pytest.raises(ValueError, match=r"row 1 of the data: the text is empty"):
        next(reader.works(Cursor()))


def test_a_hook_is_needed_and_must_be_known(network: MLSTM) -> None:
    with pytest.raises(ValueError, match="no hook is named"):
        Reader(network, as_inputs(["a"]), [], ReadSettings())
    with pytest.raises(LookupError, match="hook_c"):
        Reader(network, as_inputs(["a"]), "hook_cc", ReadSettings())


def test_attention_patterns_are_refused_in_one_sentence(gpt: Transformer) -> None:
    reader = Reader(gpt, as_inputs(["a"]), "blocks.0.attn.hook_pattern", ReadSettings())
    with pytest.raises(ValueError, match="axes"):
        reader.row_shapes()
