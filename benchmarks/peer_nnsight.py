"""A trace of nnsight over padded batches of a GPT-2 from disk, run by the peers' own Python.

    .venv-peers/bin/python benchmarks/peer_nnsight.py [--check first.npy] < job.json

Prints one line of JSON. Imports nothing of ours: nnsight stands beside SAELens' older versions.
"""

# pyright: reportMissingImports=false

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

CHECKED = 64
"""How many rows `--check` writes."""


@dataclass(frozen=True)
class Job:
    """What standard input holds, as a JSON object."""

    model: str
    """Folder of a GPT-2, written by `save_pretrained`."""
    documents: Sequence[Sequence[int]]
    """Tokens of each document, none longer than the network's context."""
    out: str
    """Folder for one `.pt` file a batch."""
    layer: int = 2
    """The block whose output is kept, from 0."""
    batch: int = 8
    """Documents in a forward pass, in the order in which they come."""
    dtype: str = "float32"
    """Type of the network and of the stored numbers: float32 or bfloat16."""
    stop: bool = False
    """Whether the blocks after `layer` are left out."""


def main() -> None:
    """Runs the job of standard input and prints what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", help=f"write the first {CHECKED} rows to this .npy")
    chosen = parser.parse_args()
    job = Job(**json.load(sys.stdin))
    start = time.perf_counter()
    network = load_gpt2(job.model, getattr(torch, job.dtype))
    setup = time.perf_counter() - start
    start, start_busy = time.perf_counter(), time.process_time()
    write(network, job)
    seconds, busy = time.perf_counter() - start, time.process_time() - start_busy
    if chosen.check:
        np.save(chosen.check, first_rows(job))
    files = list(Path(job.out).glob("*.pt"))
    said = {
        "rows": sum(map(len, job.documents)),
        "seconds": seconds,
        "processor_seconds": busy,
        "setup_seconds": setup,
        "threads": torch.get_num_threads(),
        "shards": len(files),
        "bytes": sum(path.stat().st_size for path in files),
    }
    print(json.dumps(said))


def load_gpt2(folder: str, dtype: torch.dtype) -> Any:
    """What was called `LanguageModel` before nnsight 0.8, of the network in the folder.

    It wants a tokenizer, which token lists do not need: this one knows only the padding.
    """
    from nnsight.modeling.transformers import TransformersModel
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

    original = GPT2LMHeadModel.from_pretrained(folder, torch_dtype=dtype, local_files_only=True)
    words = Tokenizer(WordLevel({"<pad>": 0}, unk_token="<pad>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>")
    return TransformersModel(original.eval(), tokenizer=tokenizer, task="text-generation")


@torch.no_grad()
def write(network: Any, job: Job) -> None:
    """Traces batch by batch; padded positions are written, as they come."""
    folder = Path(job.out)
    folder.mkdir(parents=True, exist_ok=True)
    for index, (symbols, mask) in enumerate(_padded(job)):
        with network.trace(symbols, attention_mask=mask) as tracer:
            acts = network.transformer.h[job.layer].output[0].save()
            if job.stop:
                tracer.stop()
        torch.save(acts, folder / f"{index:05d}.pt")


def first_rows(job: Job) -> np.ndarray:
    """The first rows of documents, without padding, that were written, (n, d)."""
    rows: list[Tensor] = []
    for path, (_, mask) in zip(sorted(Path(job.out).glob("*.pt")), _padded(job), strict=True):
        rows.extend(torch.load(path)[mask.bool()])
        if len(rows) >= CHECKED:
            break
    return torch.stack(rows[:CHECKED]).float().numpy()


def _padded(job: Job) -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens and where they are documents, (batch, longest) each."""
    for first in range(0, len(job.documents), job.batch):
        chosen = [torch.tensor(each) for each in job.documents[first : first + job.batch]]
        ones = [torch.ones_like(each) for each in chosen]
        yield pad_sequence(chosen, batch_first=True), pad_sequence(ones, batch_first=True)


if __name__ == "__main__":
    main()
