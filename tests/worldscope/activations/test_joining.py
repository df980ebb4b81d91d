"""A store knows its own data, row by row, and takes further ground truth only with it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from worldscope.activations.collect import collect
from worldscope.activations.store import ActivationStore, load_store
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.transformer import Transformer
from worldscope.worlds.world import State, World

HOOK = "lstm.0.hook_c"
SMALL = {"shard_mb": 0.004, "window": 16, "batch_positions": 64}


@pytest.fixture
def store(network: MLSTM, world: World, tmp_path: Path) -> ActivationStore:
    return collect(network, replace(world, states=world.states[:1]), HOOK, tmp_path, **SMALL)


def without(world: World, **columns: list) -> World:
    rows = world.dataset.to_dict()
    return replace(world, dataset=Dataset.from_dict({**rows, **columns}))  # pyright: ignore


@pytest.mark.parametrize("positions", ["all", "last", "mean", "every:3", "column:ends"])
@pytest.mark.parametrize("specials", ["keep", "drop"])
def test_a_store_is_of_its_own_data(
    network: MLSTM,
    world: World,
    world_of_texts: World,
    tmp_path: Path,
    positions: str,
    specials: str,
) -> None:
    world = world_of_texts if positions == "mean" else world
    how = {"positions": positions, "specials": specials, **SMALL}
    if (positions, specials) != ("column:ends", "drop"):  # the ends are what is dropped
        collect(network, world, HOOK, tmp_path, **how).check(world, network)


def test_joined_labels_are_those_that_would_have_ridden_along(
    store: ActivationStore, network: MLSTM, world: World, tmp_path: Path
) -> None:
    joined = store.join(world, network)
    assert joined.column_names == ["vowel", "place", "first_a"]
    whole = collect(network, world, HOOK, tmp_path / "whole", **SMALL).rows()
    assert joined == whole.select(joined.column_names)


def test_a_transformers_segments_and_wrapped_arrays_are_joined_too(
    gpt: Transformer, world: World, tmp_path: Path
) -> None:
    plain = replace(world, states=())
    store = collect(gpt, plain, "blocks.0.hook_out", tmp_path / "store", **SMALL)
    whole = collect(gpt, world, "blocks.0.hook_out", tmp_path / "whole", **SMALL).rows()
    joined = store.join(world, gpt)
    assert joined == whole.select(joined.column_names)


def test_other_inputs_codecs_and_labels_are_refused(
    store: ActivationStore, network: MLSTM, gpt: Transformer, world: World
) -> None:
    texts = world.inputs
    with pytest.raises(ValueError, match="number of inputs is 40, not 39"):
        store.check(replace(world, dataset=world.dataset.select(range(39))), network)
    with pytest.raises(ValueError, match="its digest of the inputs is .*, not .*; give what was"):
        store.check(without(world, text=[*texts[1:], texts[0]]), network)
    with pytest.raises(ValueError, match="has film|has group 'film 1', and the data says 'other'"):
        films = ["other" if film == "film 1" else film for film in world.groups]
        store.check(without(world, film=films), network)
    moods = [None if mood is None else 1 - mood for mood in world.values("mood")]
    with pytest.raises(ValueError, match=r"row \d+ of .* has mood 1, and the data says 0|0, .* 1"):
        store.join(without(world, mood=moods), network)
    with pytest.raises(ValueError, match="has all that 'letters' says of its rows already"):
        store.join(replace(world, states=world.states[:1]), network)
    with pytest.raises(ValueError, match="digest of the codec is "):
        store.check(world, bpe_network())


def bpe_network() -> MLSTM:
    from worldscope.networks.codecs import BPECodec
    from worldscope.networks.mlstm import MLSTMConfig

    codec = BPECodec.train(["some text"], n_symbols=260)
    config = MLSTMConfig(d_hidden=5, d_embed=4, codec="bpe", n_symbols=codec.n_symbols)
    return MLSTM(config, codec)


def test_labels_of_whole_inputs_are_joined_without_the_network(
    store: ActivationStore, world: World
) -> None:
    moods = [1 if mood is None else None for mood in world.values("mood")]
    more = without(world, tone=moods)
    states = (State("tone", "binary"), State("place", "vector"))
    table = store.join(replace(more, states=states))
    assert table.column_names == ["tone", "place"]
    given = [(moods[item], world.values("place")[item]) for item in store.labels("sequence")]
    assert list(zip(*table.to_pydict().values(), strict=True)) == given
    with pytest.raises(ValueError, match="'vowel' is known of each position: give the network"):
        store.join(world)
    wrong = without(world, tone=["good", *["bad"] * 39])
    with pytest.raises(ValueError, match=r"row 0 of the data: the state 'tone' holds \['good'\], "):
        store.join(replace(wrong, states=states))


def test_labels_that_were_joined_are_the_stores(
    store: ActivationStore, network: MLSTM, world: World
) -> None:
    table = store.join(world, network)
    more = store.with_labels(table)
    assert more.columns == [*store.columns, "vowel", "place", "first_a"]
    assert store.columns == more.columns[:-3], "what is joined is of the view alone"
    np.testing.assert_array_equal(more.labels("place"), np.array(table["place"].to_pylist()))
    assert more.rows(["vowel", "symbol"], 40, 200) == pa.table(
        {"vowel": table["vowel"], "symbol": store.rows()["symbol"]}
    ).slice(40, 160)
    for batch in more.batches(100, labels=["vowel"]):
        symbols = np.array(store.labels("symbol"))[batch.rows]
        vowels = batch.labels["vowel"]
        known = ~np.isnan(vowels)
        np.testing.assert_array_equal(vowels[known], symbols[known] == ord("a"))
    other = more.with_labels(pa.table({"number": np.arange(len(store))}))
    assert other.labels("number").tolist() == list(range(len(store)))
    assert other.labels("place").shape == (len(store), 2)


def test_labels_that_do_not_fit_are_refused(store: ActivationStore) -> None:
    with pytest.raises(ValueError, match=r"there are labels of 3 rows; the store has [\d,]+"):
        store.with_labels(pa.table({"x": [1, 2, 3]}))
    for name in ("symbol", "mood", HOOK):
        with pytest.raises(ValueError, match=f"the store has '{name}' already; rename the column"):
            store.with_labels(pa.table({name: np.zeros(len(store))}))


def test_without_the_network_inputs_groups_and_places_are_compared(
    store: ActivationStore, world: World
) -> None:
    store.check(world)
    with pytest.raises(ValueError, match="digest of the inputs is"):
        store.check(without(world, text=world.inputs[::-1]))
    with pytest.raises(ValueError, match=r"row \d+ of .* has group 'film \d', and the data says"):
        store.check(without(world, film=world.groups[::-1]))


@pytest.mark.parametrize("with_network", [False, True])
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("sequence", 39, "are of inputs 39 and \\d+, which are not read in this order"),
        ("sequence", 40, "is of input 40, and there are 40"),
        ("sequence", -1, "is of input -1, and there are 40"),
        ("text_end", 999, "is of characters .* to 999 of a text of|has text_end 999, and the data"),
        ("group", "film 7", "has group 'film 7', and the data says 'film"),
        ("mood", 7, "has mood 7, and the data says"),
    ],
)
def test_a_row_that_was_changed_is_named_with_and_without_the_network(
    store: ActivationStore,
    network: MLSTM,
    world: World,
    with_network: bool,
    column: str,
    value: object,
    said: str,
) -> None:
    row = change(store, column, value)
    with pytest.raises(ValueError, match=f"rows? {row} .*of .*{said}"):
        load_store(store.folder).check(world, network if with_network else None)


def change(store: ActivationStore, column: str, value: object) -> int:
    """Changes a row of the first shard that is of the text itself; which row it is."""
    file = store.folder / store.manifest.shards[0].rows
    table = pq.read_table(file)
    row = table["text_start"].is_valid().to_pylist().index(True)
    values = table[column].to_pylist()
    values[row] = value
    place = table.column_names.index(column)
    array = pa.array(values, table.schema.field(place).type)
    pq.write_table(table.set_column(place, column, array), file)
    return row


@pytest.mark.parametrize(
    ("column", "said"),
    [("symbol", "has symbol 999"), ("text_start", "has text_start 999"), ("position", "position")],
)
def test_a_row_that_was_changed_is_named(
    store: ActivationStore, network: MLSTM, world: World, column: str, said: str
) -> None:
    shard = store.manifest.shards[2]
    table = pq.read_table(store.folder / shard.rows)
    values = table[column].to_pylist()
    values[5] = 999
    place = table.column_names.index(column)
    changed = table.set_column(place, column, pa.array(values, table.schema.field(place).type))
    pq.write_table(changed, store.folder / shard.rows)
    row = int(store.shard_starts[2]) + 5
    with pytest.raises(ValueError, match=f"row {row} of .*{said}"):
        load_store(store.folder).check(world, network)


def test_a_state_that_is_known_nowhere_is_joined_as_unknown(
    store: ActivationStore, network: MLSTM, world: World
) -> None:
    more = without(world, unknown=[None] * 39 + [0.5])
    joined = store.join(replace(more, states=(State("unknown", "scalar"),)), network)
    values = joined["unknown"].to_numpy()
    known = np.flatnonzero(store.labels("sequence") == 39)
    assert np.isfinite(values).nonzero()[0].tolist() == known.tolist()


def test_a_list_is_no_world_to_join_from(store: ActivationStore, world: World) -> None:
    with pytest.raises(ValueError, match="joined from a world, and this is a list: give ws.World"):
        store.join(list(world.inputs))
