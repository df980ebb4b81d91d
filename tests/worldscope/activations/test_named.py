"""A batch says what it holds where another name is asked for."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldscope.activations.named import Named
from worldscope.activations.store import ActivationStore
from worldscope.activations.stream import stream_activations
from worldscope.networks.mlstm import MLSTM

SAID = r"^'hook_q' is not here; there are lstm.0.hook_c, lstm.0.hook_h$"


@given(st.dictionaries(st.text(), st.integers()), st.text())
def test_it_is_the_dict_of_its_values(values: dict[str, int], name: str) -> None:
    named = Named(values)
    assert named == values
    assert pickle.loads(pickle.dumps(named)) == copy.deepcopy(named) == values
    assert named.get(name) == values.get(name)
    if name in values:
        assert named[name] == values[name]
    else:
        with pytest.raises(KeyError) as raised:
            named[name]
        assert repr(name) in str(raised.value)
        assert all(known in str(raised.value) for known in values)


def test_a_batch_of_a_store_says_which_hooks_and_labels_it_has(store: ActivationStore) -> None:
    batch = next(iter(store.batches(10, labels=["mood", "position"])))
    with pytest.raises(KeyError, match=SAID):
        batch.acts["hook_q"]
    with pytest.raises(KeyError, match="^'vowel' is not here; there are mood, position$"):
        batch.labels["vowel"]
    with pytest.raises(KeyError, match="^'mood' is not here; there are no names$"):
        next(iter(store.batches(10))).labels["mood"]


def test_a_streamed_batch_says_which_hooks_it_has(network: MLSTM) -> None:
    (batch,) = stream_activations(network, ["ab"], ["hook_c", "hook_h"])
    assert batch.acts["lstm.0.hook_c"].shape == (len(network.encode("ab")), 5)
    with pytest.raises(KeyError, match=SAID):
        batch.acts["hook_q"]
