"""Models on the hub: a copy in its cache is read, and what is nowhere is said at once."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file

from worldscope.networks.loading import load_network

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def gpt2() -> transformers.PreTrainedModel:
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=24, eos_token_id=0
        )
    )


def llama() -> transformers.PreTrainedModel:
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=50,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=24,
        )
    )


def letters() -> transformers.PreTrainedTokenizerFast:
    symbol_of = {letter: symbol for symbol, letter in enumerate("abcdef")}
    model = tokenizers.models.WordLevel(symbol_of, unk_token="a")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(model), unk_token="a"
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cache of the hub's client holds `some/model`."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--some--model"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(COMMIT)
    return home / "snapshots" / COMMIT


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("build", [gpt2, llama])
def test_a_copy_in_the_cache_is_the_network_of_a_folder(
    cache: Path, build: Callable[[], transformers.PreTrainedModel], dtype: str
) -> None:
    build().save_pretrained(cache)
    letters().save_pretrained(cache)
    network, of_folder = (load_network(s, dtype=dtype) for s in ("some/model", cache))
    assert network.name == "some/model"
    assert network.digest == of_folder.digest
    assert network.encode("c") == of_folder.encode("c") == [2]
    symbols, read = torch.arange(5)[None], ["blocks.0.attn.hook_out"]  # by the bridge, in both
    outputs = [way(symbols, read) for way in (network, of_folder)]
    limit = torch.finfo(network.dtype).eps
    torch.testing.assert_close(outputs[0].logits, outputs[1].logits, rtol=limit, atol=limit)


def test_a_copy_that_lacks_weights_is_refused_and_none_are_drawn(cache: Path) -> None:
    gpt2().save_pretrained(cache)
    letters().save_pretrained(cache)
    file = cache / "model.safetensors"
    kept = {name: t for name, t in load_file(file).items() if "h.1.mlp.c_fc" not in name}
    save_file(kept, file, {"format": "pt"})
    with pytest.raises(FileNotFoundError, match="lacks 2 of the weights of a GPT2LMHeadModel"):
        load_network("some/model")


def test_outputs_of_blocks_are_read_from_the_model_as_it_is(cache: Path) -> None:
    model = gpt2()
    model.save_pretrained(cache)
    letters().save_pretrained(cache)
    network, symbols = load_network("some/model"), torch.arange(5)[None]
    network.bridge.forward = None  # type: ignore[assignment]  # the bridge is not run
    found = network(symbols, ["blocks.0.hook_out"])
    expected = model.eval()(symbols, output_hidden_states=True)
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.reads["blocks.0.hook_out"], expected.hidden_states[1])


def test_without_a_copy_one_sentence_says_so_at_once(cache: Path) -> None:
    start = time.monotonic()
    with pytest.raises(
        FileNotFoundError, match="'no/such' is neither .* no model of that name, or cannot be reach"
    ) as caught:
        load_network("no/such")
    assert time.monotonic() - start < 5
    assert caught.value.__suppress_context__
    assert "\n" not in str(caught.value)


def test_what_the_hub_refuses_is_said_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("some/model is\na gated repository")

    monkeypatch.setattr("transformers.utils.hub.has_file", refuse)
    with pytest.raises(
        FileNotFoundError, match="hub gives: some/model is a gated repository"
    ) as caught:
        load_network("some/model")
    assert caught.value.__suppress_context__
