"""A folder of Hugging Face holds every weight of its model, or is refused in one sentence."""

import importlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.utils import logging as loud

from worldscope.networks.loading import load_network

BIAS = "transformer.h.1.mlp.c_fc.bias"
SYMBOLS = torch.arange(8)[None]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[Any]]:
    """What transformers logs."""
    importlib.import_module("transformer_lens")  # which quietens it when it is first imported
    before = loud.get_verbosity()
    loud.set_verbosity_warning()
    loud.add_handler(caplog.handler)
    yield caplog.records
    loud.remove_handler(caplog.handler)
    now = loud.get_verbosity()
    loud.set_verbosity(before)
    assert now == logging.WARNING, "as it was"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=50,
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=24,
        bos_token_id=0,
        eos_token_id=0,
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    return tmp_path


def changed(folder: Path, tensors: dict[str, Tensor], without: str = "nothing") -> None:
    file = folder / "model.safetensors"
    held = {n: tensor for n, tensor in load_file(file).items() if not n.startswith(without)}
    save_file(held | tensors, file, {"format": "pt"})


def test_a_folder_that_lacks_weights_is_refused_and_none_are_drawn(
    folder: Path, said: list[Any]
) -> None:
    changed(folder, {}, without="transformer.h.1.mlp")
    with pytest.raises(ValueError, match=rf"lacks 4 of the weights of a GPT2LMHeadModel, {BIAS}"):
        load_network(folder)
    assert said == []


def test_a_weight_of_another_shape_is_refused(folder: Path, said: list[Any]) -> None:
    changed(folder, {BIAS: torch.zeros(3)})
    with pytest.raises(ValueError, match=rf"holds {BIAS} as \(3,\); its configuration asks \(64,"):
        load_network(folder)
    assert said == []


def test_a_weight_too_many_changes_nothing(folder: Path, said: list[Any]) -> None:
    expected = load_network(folder)(SYMBOLS).logits
    changed(folder, {"transformer.h.0.attn.masked_bias": torch.zeros(())})
    assert torch.equal(load_network(folder)(SYMBOLS).logits, expected)
    assert said == []


def test_a_folder_of_an_encoder_is_refused_in_one_sentence_and_nothing_else_is_said(
    tmp_path: Path, said: list[Any]
) -> None:
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=32,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="BertLMHeadModel, .* through ws.wrap$") as raised:
        load_network(tmp_path)
    assert "\n" not in str(raised.value)
    assert said == []
