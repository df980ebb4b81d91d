"""SAELens' `CacheActivationsRunner` on a GPT-2 from disk, run by the peers' own Python.

    .venv-peers/bin/python benchmarks/peer_saelens.py [--check first.npy] < job.json

Prints one line of JSON. Imports nothing of ours: the versions that SAELens needs are others.
"""

# Their names mean other versions here than in the peers' environment.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportCallIssue=false

import argparse
import json
import math
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

CHECKED = 64
"""How many rows `--check` writes."""


@dataclass(frozen=True)
class Job:
    """What standard input holds, as a JSON object."""

    model: str
    """Folder of a GPT-2, written by `save_pretrained`."""
    tokens: str
    """`.npy` of packed tokens, (n_sequences, context)."""
    out: str
    """Folder for the activations; it is empty or does not exist."""
    hook: str = "blocks.2.hook_resid_post"
    batch: int = 8
    """Sequences in a forward pass."""
    dtype: str = "float32"
    """Type of the network: float32 or bfloat16."""
    store: str = "float32"
    """Type of the stored numbers: float32 or float16, which are all that its files have."""
    buffer_gb: float = 2.0
    """Gigabytes of activations in memory and in a shard, at most; 2 is SAELens' own choice."""


def main() -> None:
    """Runs the job of standard input and prints what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", help=f"write the first {CHECKED} rows to this .npy")
    chosen = parser.parse_args()
    job = Job(**json.load(sys.stdin))
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # counts sequences, and compares them with tokens
        runner = ready(job)
    setup = time.perf_counter() - start
    start, start_busy = time.perf_counter(), time.process_time()
    dataset = runner.run()
    seconds, busy = time.perf_counter() - start, time.process_time() - start_busy
    if chosen.check:
        np.save(chosen.check, first_rows(dataset, job.hook))
    said = {
        "rows": len(dataset) * runner.cfg.context_size,
        "seconds": seconds,
        "processor_seconds": busy,
        "setup_seconds": setup,
        "threads": torch.get_num_threads(),
        "shards": len(list(Path(job.out).glob("*.arrow"))),
        "bytes": sum(path.stat().st_size for path in Path(job.out).iterdir()),
    }
    print(json.dumps(said))


def ready(job: Job) -> Any:
    """A `CacheActivationsRunner` with its network and its data set; only `run()` is left.

    The runner fills whole buffers and starts the data again where it ends, so that the buffer is
    made such that the fewest rows repeat; they are counted in `rows`. Nothing is shuffled.
    """
    from datasets import Dataset
    from sae_lens import (
        CacheActivationsRunner,
        CacheActivationsRunnerConfig,
        cache_activations_runner,
    )

    network = load_gpt2(job.model, getattr(torch, job.dtype))
    tokens = np.load(job.tokens)
    n_sequences, context = tokens.shape
    cache_activations_runner.load_model = lambda **_: network
    row = network.cfg.d_model * getattr(torch, job.store).itemsize
    n_batches = math.ceil(n_sequences / job.batch)
    at_once = _batches_at_once(n_batches, job.batch * context * row / 1e9, job.buffer_gb)
    config = CacheActivationsRunnerConfig(
        dataset_path="",
        model_name="gpt2",
        model_batch_size=job.batch,
        hook_name=job.hook,
        d_in=network.cfg.d_model,
        training_tokens=n_batches * job.batch * context,
        context_size=context,
        new_cached_activations_path=job.out,
        shuffle=False,
        dtype=job.store,
        device="cpu",
        buffer_size_gb=(at_once * job.batch * context + 0.5) * row / 1e9,
        prepend_bos=False,
        streaming=False,
    )
    packed = Dataset.from_dict({"input_ids": tokens.astype(np.int64)})
    return CacheActivationsRunner(config, override_dataset=packed)


def load_gpt2(folder: str, dtype: torch.dtype) -> Any:
    """A `HookedTransformer` with the weights of the folder as they are.

    `from_pretrained` reads a folder only with a tokenizer in it and an `n_ctx` in its
    configuration, which recent versions of Hugging Face no longer write.
    """
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
    from transformers import GPT2LMHeadModel

    original = GPT2LMHeadModel.from_pretrained(folder, local_files_only=True)
    shape = original.config
    config = HookedTransformerConfig(
        n_layers=shape.n_layer,
        d_model=shape.n_embd,
        n_heads=shape.n_head,
        d_head=shape.n_embd // shape.n_head,
        n_ctx=shape.n_positions,
        d_vocab=shape.vocab_size,
        eps=shape.layer_norm_epsilon,
        act_fn=shape.activation_function,
        normalization_type="LN",
        init_weights=False,
        device="cpu",
        dtype=dtype,
    )
    network = HookedTransformer(config)
    network.load_and_process_state_dict(
        convert_gpt2_weights(original, config),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    return network.requires_grad_(False).eval()


def first_rows(dataset: Any, hook: str) -> np.ndarray:
    """The first rows of what was written, (n, d)."""
    stored = dataset.with_format("numpy")
    context = len(stored[0][hook])
    sequences = stored[: math.ceil(CHECKED / context)][hook]
    return np.asarray(sequences, np.float32).reshape(-1, sequences[0].shape[-1])[:CHECKED]


def _batches_at_once(n_batches: int, batch_gb: float, buffer_gb: float) -> int:
    """How many batches a buffer holds: the fewest buffers that fit, as full as each other."""
    most = max(1, int(buffer_gb / batch_gb))
    return math.ceil(n_batches / math.ceil(n_batches / most))


if __name__ == "__main__":
    main()
