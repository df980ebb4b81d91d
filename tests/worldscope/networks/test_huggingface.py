"""Bridged transformers against the originals: hidden states, outputs, padding, edits, loading."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional

from worldscope.networks.huggingface import BridgedModel, load_hugging_face
from worldscope.networks.loading import load_network

SIZES = {
    "GPT2": {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 24},
    "Llama": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 24,
    },
    "GPTNeoX": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "max_position_embeddings": 24,
    },
}
SIZES["Qwen2"] = SIZES["Llama"]
SIZES["Mistral"] = {**SIZES["Llama"], "sliding_window": 5}
SIZES["Gemma2"] = {**SIZES["Mistral"], "head_dim": 4}
UNLIKE = {
    "GPTNeo": {
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "max_position_embeddings": 24,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 4,
    },
    "OPT": {
        "hidden_size": 16,
        "word_embed_proj_dim": 16,
        "ffn_dim": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 24,
    },
}
"""Their attention stays the original's, so that it shows less and obeys less."""
CLASSES = {"GPT2": "GPT2LMHeadModel"}
LAYERS = {"GPT2": "transformer.h", "GPTNeoX": "gpt_neox.layers"}


def original(family: str) -> Any:
    torch.manual_seed(3)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=50, bos_token_id=0, eos_token_id=0, pad_token_id=0, **(SIZES | UNLIKE)[family]
    )
    model = getattr(transformers, CLASSES.get(family, f"{family}ForCausalLM"))(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(params=list(SIZES))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def symbols(batch: int = 3, time: int = 20) -> torch.Tensor:
    return torch.randint(0, 50, (batch, time), generator=torch.Generator().manual_seed(1))


def test_hidden_states_at_three_depths_and_outputs_are_the_originals(family: str) -> None:
    model = original(family)
    expected = model(symbols(), output_hidden_states=True)
    network = load_network(model)
    names = ["blocks.0.hook_out", "blocks.1.hook_out", "ln_final.hook_out"]
    logits, acts = network.run_with_cache(symbols(), names)
    torch.testing.assert_close(logits, expected.logits, rtol=0, atol=1e-5)
    for name, state in zip(names, expected.hidden_states[1:], strict=True):
        torch.testing.assert_close(acts[name], state, rtol=0, atol=1e-5)


def test_what_is_padded_at_the_end_is_read_as_it_is_alone(family: str) -> None:
    network = load_network(original(family))
    lengths = np.array([20, 13, 4])
    padded = symbols()
    names = ["blocks.1.hook_out", "blocks.2.attn.hook_out"]
    (piece,) = network.stream_reads(padded, lengths, names, chunk=16)
    for row, length in enumerate(lengths):
        alone = network(padded[row : row + 1, :length], read=names).reads
        for name in names:
            torch.testing.assert_close(
                piece.reads[name][row, :length], alone[name][0], rtol=0, atol=1e-5
            )


def test_the_original_with_an_attention_mask_padded_on_the_left_agrees(family: str) -> None:
    model = original(family)
    short = symbols()[:1, :9]
    left = functional.pad(short, (5, 0))
    mask = functional.pad(torch.ones_like(short), (5, 0))
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    padded = model(left, attention_mask=mask, position_ids=positions).logits[:, 5:]
    network = load_network(model)
    torch.testing.assert_close(network(short).logits, padded, rtol=0, atol=1e-5)


def test_an_edit_is_obeyed_as_by_a_hook_of_torch(family: str) -> None:
    model = original(family)
    network = load_network(model)
    block = model.get_submodule(f"{LAYERS.get(family, 'model.layers')}.1")

    def zero_output(module: object, given: object, output: Any) -> Any:
        if isinstance(output, tuple):
            return (torch.zeros_like(output[0]), *output[1:])
        return torch.zeros_like(output)

    handle = block.register_forward_hook(zero_output)
    expected = model(symbols()).logits
    handle.remove()
    with network.hooks([("blocks.1.hook_out", lambda value, _: torch.zeros_like(value))]):
        edited = network(symbols())
    torch.testing.assert_close(edited.logits, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(network(symbols()).logits, expected, atol=1e-3)


def test_the_model_given_is_left_as_it_was(family: str) -> None:
    model = original(family)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_network(model)(symbols())
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("hook", ["blocks.1.hook_out", "blocks.1.mlp.hook_out"])
def test_blocks_above_the_deepest_hook_are_not_run(
    family: str, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = original(family)
    network = load_network(model)
    block = type(model.get_submodule(LAYERS.get(family, "model.layers"))[0])
    forward, calls = block.forward, []
    monkeypatch.setattr(block, "forward", lambda *a, **k: calls.append(1) or forward(*a, **k))
    next(network.stream_reads(symbols(), np.array([20] * 3), [hook], chunk=1))
    assert len(calls) == 2
    network(symbols())
    assert len(calls) == 5


@pytest.mark.parametrize("name", [*SIZES, *UNLIKE])
def test_exactly_the_hooks_that_say_so_obey_edits(name: str) -> None:
    network = load_network(original(name))
    plain = network(symbols(), read=["blocks.1.hook_in"]).logits
    obeyed = {}
    for hook, point in network.hook_dict.items():
        noise = torch.Generator().manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            point.edits["noise"] = lambda value, _, drawn=noise: (
                value.nan_to_num(neginf=0) + torch.randn(value.shape, generator=drawn)
            )
            obeyed[hook] = not torch.allclose(network(symbols()).logits, plain, atol=1e-5)
        del point.edits["noise"]
    assert obeyed == {hook: point.editable for hook, point in network.hook_dict.items()}
    assert obeyed["blocks.1.hook_out"]
    assert obeyed.get("blocks.1.attn.hook_pattern", True) == (name != "GPTNeo")


def test_block_outputs_are_the_same_by_the_plain_pass_and_by_the_bridge(family: str) -> None:
    network = load_network(original(family))
    names = ["blocks.2.hook_out", "blocks.0.hook_out"]
    plain = network(symbols(), read=names)
    bridged = network(symbols(), read=[*names, "blocks.0.hook_in"])
    torch.testing.assert_close(plain.logits, bridged.logits, rtol=0, atol=1e-5)
    for name in names:
        torch.testing.assert_close(plain.reads[name], bridged.reads[name], rtol=0, atol=1e-5)


def test_block_outputs_are_the_originals_to_the_bit_where_memory_is_shared(family: str) -> None:
    model = original(family)
    expected = model(symbols(), output_hidden_states=True).hidden_states
    names = ["blocks.0.hook_out", "blocks.1.hook_out"]
    acts = load_network(model).run_with_cache(symbols(), names)[1]
    same = [
        torch.equal(acts[name], state) for name, state in zip(names, expected[1:], strict=False)
    ]
    assert all(same) or family == "GPTNeoX"


@pytest.mark.parametrize("in_place", [True, False])
def test_weights_that_are_changed_in_the_bridge_count(family: str, in_place: bool) -> None:
    network = load_network(original(family))
    query = network.bridge.blocks[0].attn.q.weight
    if in_place:
        query.mul_(2)
    else:
        query.data = 2 * query.data
    one = network(symbols(), read=["blocks.0.hook_out"])
    other = network(symbols(), read=["blocks.0.hook_out", "blocks.0.attn.hook_out"])
    torch.testing.assert_close(one.logits, other.logits, rtol=0, atol=1e-5)
    assert not torch.allclose(
        one.logits, load_network(original(family))(symbols()).logits, atol=1e-4
    )


def test_what_is_not_of_each_text_or_has_no_time_is_not_streamed() -> None:
    network = load_network(original("Llama"))
    assert "rotary_emb.hook_cos" not in network.hook_dict
    with pytest.raises(ValueError, match=r"hook_pattern has the axes \(batch, head, query, key\)"):
        next(
            network.stream_reads(
                symbols(), np.array([20] * 3), ["blocks.0.attn.hook_pattern"], chunk=1
            )
        )


def test_greedy_symbols_are_those_that_hugging_face_generates(family: str) -> None:
    model = original(family)
    prompts = [[7, 3, 9], [4, 5, 6, 7, 8, 2]]
    settings = {"do_sample": False, "max_new_tokens": 10, "min_new_tokens": 10, "eos_token_id": 49}
    network = load_network(model)
    scores, state = network.begin(prompts)
    written = []
    for step in range(10):
        scores[:, 49] = -torch.inf  # Hugging Face puts off what ends a text
        written.append(scores.argmax(1))
        scores, state = network.go_on(written[-1], state, step)
    for prompt, ours in zip(prompts, torch.stack(written, 1).tolist(), strict=True):
        theirs = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), **settings
        )
        assert ours == theirs[0, len(prompt) :].tolist()


def test_compatibility_mode_moves_logits_but_no_probabilities() -> None:
    model = original("GPT2")
    raw, folded = load_network(model), load_network(model, compatibility_mode=True)
    first, second = raw(symbols()).logits, folded(symbols()).logits
    assert not torch.allclose(first, second, atol=1e-3)
    torch.testing.assert_close(first.log_softmax(-1), second.log_softmax(-1), rtol=0, atol=1e-4)


def test_bf16_weights_are_bf16_and_near(family: str) -> None:
    model = original(family)
    exact, rounded = load_network(model), load_network(model, dtype=torch.bfloat16)
    assert rounded.dtype == torch.bfloat16
    first, second = exact(symbols()).logits, rounded(symbols()).logits
    assert second.dtype == torch.float32
    assert (first - second).norm() / first.norm() < 0.05


def test_bf16_is_the_same_from_memory_and_from_a_folder(family: str, tmp_path: Path) -> None:
    model = original(family)
    model.save_pretrained(tmp_path)
    ways = [load_network(way, dtype=torch.bfloat16) for way in (model, tmp_path)]
    first, second = (way(symbols()).logits for way in ways)
    assert torch.equal(first, second)


def tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(["a good film, a good day"] * 5, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small GPT-2 with its tokenizer, as `save_pretrained` writes it."""
    config = transformers.GPT2Config(
        vocab_size=300, n_embd=16, n_layer=2, n_head=2, n_positions=32, bos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_brings_its_tokenizer_and_writes(folder: Path) -> None:
    network = load_network(folder)
    assert network.context == 32
    assert network.encode("a good film")[0] == 0
    assert network.decode(network.encode("a good film")[1:]) == "a good film"
    first, second = network.generate("a good", seeds=[0, 1], max_new=40)
    assert len(first.symbols) == 40
    assert first.symbols != second.symbols
    assert network.loss("a good film").shape == (1, len(network.encode("a good film")) - 1)


@pytest.mark.parametrize("padding", [0, 200])
def test_what_stands_for_nothing_is_never_written(padding: int) -> None:
    size = len(tokenizer()) + padding
    config = transformers.GPT2Config(
        vocab_size=size, n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=0
    )
    network = load_network(transformers.GPT2LMHeadModel(config), tokenizer=tokenizer())
    assert network.n_symbols == network.codec.n_symbols == size
    known = set(tokenizer().get_vocab().values())
    for settings in ({"temperature": 3.0}, {"temperature": 3.0, "top_k": size}, {"top_p": 1.0}):
        for written in network.generate("a good", seeds=range(3), max_new=40, **settings):
            assert known.issuperset(written.symbols)
            assert all(network.codec.pieces(written.symbols))


def test_a_tokenizer_that_is_larger_than_the_network_is_refused_at_loading() -> None:
    config = transformers.GPT2Config(
        vocab_size=100, n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config)
    with pytest.raises(ValueError, match="tokenizer gives the symbol .* network reads 0 to 99; "):
        load_network(model, tokenizer=tokenizer())


def test_symbols_beyond_those_of_another_codec_are_never_written() -> None:
    from worldscope.networks.codecs import BytesCodec

    config = transformers.GPT2Config(
        vocab_size=400, n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=0
    )
    bridge = load_network(transformers.GPT2LMHeadModel(config)).bridge
    network = BridgedModel(bridge, BytesCodec())
    (written,) = network.generate("a good", max_new=60, temperature=3.0)
    assert max(written.symbols) < 256
    small = load_network(original("GPT2")).bridge
    with pytest.raises(
        ValueError, match="the codec has 256 symbols, and the network reads 0 to 49"
    ):
        BridgedModel(small, BytesCodec())


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds no causal model in safetensors"):
        load_network(folder)


def test_a_name_that_neither_is_here_nor_on_the_hub_is_said() -> None:
    with pytest.raises(FileNotFoundError, match="'no/such' is neither a network here nor one"):
        load_network("no/such")


def test_what_is_not_causal_or_no_hugging_face_model_names_the_wrapper() -> None:
    bert = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
            intermediate_size=8,
        )
    )  # fmt: skip
    for model in (bert, torch.nn.Linear(2, 2)):
        with pytest.raises(ValueError, match=r"ws\.wrap"):
            load_hugging_face(model)
    with pytest.raises(ValueError, match="a dict is no network: give a name"):
        load_network({})


def test_a_network_that_looks_ahead_names_the_wrapper(tmp_path: Path) -> None:
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8,
    )  # fmt: skip
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    for model in (transformers.BertLMHeadModel(config), tmp_path):
        with pytest.raises(ValueError, match=r"what follows a symbol changes .*ws\.wrap"):
            load_network(model)


def test_code_that_comes_with_a_folder_is_not_run(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("raise SystemExit('run')")
    with pytest.raises(ValueError, match="holds no causal model"):
        load_network(folder)


def test_without_a_tokenizer_symbols_are_read_and_texts_refused(tmp_path: Path) -> None:
    network = load_network(original("GPT2"))
    assert network.encode([1, 2, 49]) == [1, 2, 49]
    with pytest.raises(ValueError, match="no tokenizer: give symbols"):
        network.encode("text")
    with pytest.raises(ValueError, match="symbols run from 1 to 50"):
        network.encode([1, 50])
    with pytest.raises(ValueError, match="reads texts, or symbols as whole numbers"):
        network.encode([0.5])
    with pytest.raises(ValueError, match="25 symbols are more than the 24"):
        network(torch.zeros(1, 25, dtype=torch.long))


def test_a_native_configuration_with_weights(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources.native import boot

    config = TransformerBridgeConfig(
        d_model=16, d_head=8, n_heads=2, n_layers=2, n_ctx=12, d_vocab=30, d_mlp=32,
        act_fn="relu", normalization_type="LN", seed=5,
    )  # fmt: skip
    bridge = boot(config)
    state = {name: tensor.clone() for name, tensor in bridge.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    read = torch.randint(0, 30, (2, 12))
    expected = bridge(read)
    for weights in (state, tmp_path / "w.safetensors"):
        network = load_network(copy.deepcopy(config), weights=weights)
        torch.testing.assert_close(network(read).logits, expected, rtol=0, atol=1e-5)
    assert not network.hook_dict["blocks.0.attn.hook_attn_scores"].editable
    del state["embed.weight"]
    with pytest.raises(ValueError, match=r"hold embed\.weight as None; .* asks \(30, 16\)"):
        load_network(config, weights=state)


def test_digests_tell_weights_apart() -> None:
    model = original("GPT2")
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.lm_head.weight[0, 0] += 1
    first, same, second = (load_network(m) for m in (model, model, other))
    assert isinstance(first, BridgedModel)
    assert first.digest == same.digest != second.digest
