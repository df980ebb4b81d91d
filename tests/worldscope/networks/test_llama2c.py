"""A network of llama2.c against a forward pass in numpy."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import plain_llama
from worldscope.networks.codecs import Codec
from worldscope.networks.llama2c import is_llama2c, load_llama2c
from worldscope.networks.loading import load_network


@pytest.fixture(scope="module")
def stories(shared_data: Path) -> Path:
    return shared_data / "stories260k"


def test_hidden_states_at_three_depths_and_logits_equal_a_pass_in_numpy(stories: Path) -> None:
    network = load_network(stories)
    symbols = network.encode("Once upon a time, there was a big dog. He liked to run.")
    states, _, expected = plain_llama.run(stories / "stories260K.bin", symbols)
    names = [f"blocks.{n}.hook_out" for n in (0, 2, 4)]
    logits, acts = network.run_with_cache(torch.tensor([symbols]), names)
    np.testing.assert_allclose(logits[0], expected, atol=1e-4)
    for n, name in zip((0, 2, 4), names, strict=True):
        np.testing.assert_allclose(acts[name][0], states[n], atol=1e-5)


def test_it_tells_the_story_that_it_is_known_for(stories: Path) -> None:
    network = load_network(stories / "stories260K.bin")
    (story,) = network.generate("", max_new=40, temperature=0.0)
    assert str(story).startswith("Once upon a time, there was a little girl named Lily.")


def merged(pieces: list[bytes], scores: list[float], text: str) -> list[int]:
    """The encoder of run.c: characters, then the best-scored neighbours merge."""
    symbols = [1]
    for character in (" " + text) if text else "":
        raw = character.encode()
        symbols += [pieces.index(raw)] if raw in pieces else [byte + 3 for byte in raw]
    while True:
        best = max(
            (
                (scores[pieces.index(joined)], -place, pieces.index(joined))
                for place in range(len(symbols) - 1)
                if (joined := pieces[symbols[place]] + pieces[symbols[place + 1]]) in pieces
            ),
            default=None,
        )
        if best is None:
            return symbols
        symbols[-best[1] : -best[1] + 2] = [best[2]]


@pytest.fixture(scope="module")
def vocabulary(stories: Path) -> tuple[list[bytes], list[float]]:
    """Pieces of tok512.bin and their scores."""
    data = (stories / "tok512.bin").read_bytes()
    pieces, scores, place = [], [], 4
    for _ in range(512):
        score, length = struct.unpack_from("<fi", data, place)
        pieces.append(data[place + 8 : place + 8 + length])
        scores.append(score)
        place += 8 + length
    return pieces, scores


# A special token's name and a lower block are read as the token and a space, unlike in run.c.
characters = st.one_of(
    st.sampled_from("aehlnot ,.wTLil\n"),
    st.characters(exclude_categories=["Cs"], exclude_characters="<▁"),
)


@given(text=st.text(characters, min_size=1, max_size=40))
@example(text='He said "no".\nZoë ran.')
@example(text="Once upon a time, Tom  and Lily saw a big, red ball!")
def test_texts_become_the_symbols_that_run_c_makes_each_in_its_place(
    codec: Codec, vocabulary: tuple[list[bytes], list[float]], text: str
) -> None:
    assert codec.encode(text) == merged(*vocabulary, text)
    symbols, starts, ends, special = codec.locate(text)
    assert special.tolist() == [True, *[False] * (len(symbols) - 1)]
    covered = set()
    for piece, start, end in zip(codec.pieces(symbols)[1:], starts[1:], ends[1:], strict=True):
        covered |= set(range(start, end))
        assert piece in (" " + text[start:end]).encode()
    assert covered == set(range(len(text)))


@pytest.fixture(scope="module")
def codec(stories: Path) -> Codec:
    return load_network(stories).codec


def in_the_format_of_llama2c(model: LlamaForCausalLM) -> bytes:
    """The file of a model with its own unembedding: rotary on adjacent pairs."""
    c, w = model.config, model.state_dict()
    width = c.hidden_size // c.num_attention_heads
    sizes = (
        c.hidden_size, c.intermediate_size, c.num_hidden_layers, c.num_attention_heads,
        c.num_key_value_heads, -c.vocab_size, c.max_position_embeddings,
    )  # fmt: skip

    def layers(name: str) -> list[torch.Tensor]:
        found = [w[f"model.layers.{n}.{name}.weight"] for n in range(c.num_hidden_layers)]
        if name.endswith(("q_proj", "k_proj")):
            order = torch.arange(width).view(2, width // 2).t().flatten()
            return [part.view(-1, width, c.hidden_size)[:, order].flatten(0, 1) for part in found]
        return found

    parts = [w["model.embed_tokens.weight"], *layers("input_layernorm")]
    parts += [part for name in "qkvo" for part in layers(f"self_attn.{name}_proj")]
    parts += layers("post_attention_layernorm")
    parts += [part for name in ("gate", "down", "up") for part in layers(f"mlp.{name}_proj")]
    parts += [w["model.norm.weight"], torch.zeros(c.max_position_embeddings * width)]
    parts.append(w["lm_head.weight"])
    numbers = torch.cat([part.flatten() for part in parts])
    return struct.pack("<7i", *sizes) + numbers.numpy().astype("<f4").tobytes()


def test_an_unembedding_of_its_own_is_read(tmp_path: Path) -> None:
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=30, hidden_size=24, intermediate_size=20, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=16,
            rms_norm_eps=1e-5, tie_word_embeddings=False,
        )
    ).eval()  # fmt: skip
    (tmp_path / "own.bin").write_bytes(in_the_format_of_llama2c(model))
    network, symbols = load_network(tmp_path), torch.randint(0, 30, (2, 16))
    torch.testing.assert_close(network(symbols).logits, model(symbols).logits, rtol=0, atol=1e-6)


def test_truncated_and_other_files_are_told_apart(stories: Path, tmp_path: Path) -> None:
    assert is_llama2c(stories)
    raw = (stories / "stories260K.bin").read_bytes()
    (tmp_path / "cut.bin").write_bytes(raw[:-4])
    with pytest.raises(ValueError, match=r"has 1,056,536 bytes, .* asks for 1,056,540"):
        load_network(tmp_path / "cut.bin")
    (tmp_path / "cut.bin").write_bytes(b"short")
    assert not is_llama2c(tmp_path)
    with pytest.raises(ValueError, match="has 5 bytes; llama2.c's header alone has 28"):
        load_llama2c(tmp_path)
    (tmp_path / "cut.bin").write_bytes(b"x" * 4 + bytes(40))
    assert not is_llama2c(tmp_path)
    with pytest.raises(ValueError, match="is not in llama2.c's format"):
        load_llama2c(tmp_path)
    assert not is_llama2c(tmp_path / "none")
    (tmp_path / "stories260K.bin").write_bytes(raw)
    (tmp_path / "cut.bin").unlink()
    assert load_network(tmp_path).encode([5, 6]) == [5, 6]
    (tmp_path / "tok512.bin").write_bytes((stories / "tok512.bin").read_bytes()[:-9])
    with pytest.raises(ValueError, match="ends after 511 of 512 pieces"):
        load_network(tmp_path)
    (tmp_path / "tok512.bin").write_bytes((stories / "tok512.bin").read_bytes() + bytes(9))
    with pytest.raises(ValueError, match="give the vocabulary that the network was trained with"):
        load_network(tmp_path)
