"""Other libraries that write activations to disk, as their users run them.

Each keeps one hook of every document of symbols in a folder, and tells its first rows. nnsight and
SAELens need other versions than ours: they run in `.venv-peers` (`make bench-peers`).
"""

import copy
import json
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmarks.timing import Seconds
from worldscope.networks.gpt2 import to_gpt2
from worldscope.networks.transformer import Transformer

PYTHON = Path(".venv-peers/bin/python")
CHECKED = 64
"""How many rows are compared."""
Documents = Sequence[np.ndarray]


class Peer(ABC):
    """Collects the output of the last block."""

    name: ClassVar[str]

    def __init__(self, network: Transformer, folder: Path, dtype: str):
        """Prepares what is not timed.

        Args:
            network: Whose weights it has.
            folder: Where it may write.
            dtype: Type of its network: float32 or bfloat16.
        """
        self.layer, self.folder, self.dtype = network.config.n_layers - 1, folder, dtype
        self.out = folder / "peer"

    @abstractmethod
    def collect(self, documents: Documents, batch: int) -> Seconds | None:
        """Collects, so many documents in a forward pass; its own seconds, if it has a clock."""

    @abstractmethod
    def first_rows(self, documents: Documents, batch: int) -> Tensor:
        """The first rows that `collect` writes, without padding: (at most `CHECKED`, d)."""


class TransformerLens(Peer):
    """`run_with_cache` of one name over padded batches, and `torch.save`."""

    name = "TransformerLens run_with_cache + torch.save"

    def __init__(self, network: Transformer, folder: Path, dtype: str):
        """See `Peer`."""
        super().__init__(network, folder, dtype)
        with redirect_stdout(sys.stderr):  # it says that it changes its type
            self.bridge = copy.deepcopy(network.bridge).to(getattr(torch, dtype))

    @torch.no_grad()
    def collect(self, documents: Documents, batch: int) -> None:
        """See `Peer`."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        hook = f"blocks.{self.layer}.hook_out"
        for first in range(0, len(documents), batch):
            some = [torch.from_numpy(document) for document in documents[first : first + batch]]
            _, cache = self.bridge.run_with_cache(
                pad_sequence(some, batch_first=True), names_filter=[hook]
            )
            torch.save(cache[hook], self.out / f"{first:06d}.pt")

    def first_rows(self, documents: Documents, batch: int) -> Tensor:
        """See `Peer`."""
        self.collect(documents, batch)
        saved = torch.load(self.out / "000000.pt", weights_only=True)
        rows = [acts[: len(text)] for acts, text in zip(saved, documents[:batch], strict=True)]
        return torch.cat(rows)[:CHECKED].float()


class _InItsOwnPython(Peer):
    """Told of its job, and tells its time, in JSON."""

    runner: ClassVar[str]

    def __init__(self, network: Transformer, folder: Path, dtype: str):
        """See `Peer`."""
        super().__init__(network, folder, dtype)
        self.model = folder / "gpt2"
        if not self.model.exists():
            to_gpt2(network).save_pretrained(self.model)

    @abstractmethod
    def job(self, documents: Documents, batch: int) -> dict[str, Any]:
        """What is peculiar to the job."""

    def collect(self, documents: Documents, batch: int) -> Seconds:
        """See `Peer`; seconds of as many rows as the documents have, loading left out."""
        said = self._run(documents, batch)
        clock = "processor_seconds" if torch.get_num_threads() == 1 else "seconds"
        return Seconds(said[clock] * sum(map(len, documents)) / said["rows"])

    def first_rows(self, documents: Documents, batch: int) -> Tensor:
        """See `Peer`."""
        file = self.folder / "first.npy"
        self._run(documents, batch, "--check", str(file))
        return torch.from_numpy(np.load(file))

    def _run(self, documents: Documents, batch: int, *options: str) -> dict[str, Any]:
        shutil.rmtree(self.out, ignore_errors=True)
        common = {"model": self.model, "out": self.out, "batch": batch, "dtype": self.dtype}
        job = json.dumps(common | self.job(documents, batch), default=str)
        script = Path(__file__).with_name(self.runner)
        done = subprocess.run(
            [PYTHON, script, *options], input=job, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.runner} failed:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])


class NNsight(_InItsOwnPython):
    """A trace that saves the output of a block, over padded batches, and `torch.save`."""

    name = "nnsight trace + torch.save"
    runner = "peer_nnsight.py"
    stop = False

    def job(self, documents: Documents, batch: int) -> dict[str, Any]:
        """See `Peer`."""
        texts = [document.tolist() for document in documents]
        return {"documents": texts, "layer": self.layer, "stop": self.stop}


class StoppedNNsight(NNsight):
    """The same where the user ends the trace after the block by hand."""

    name = "nnsight trace, stopped by hand + torch.save"
    stop = True


class SAELens(_InItsOwnPython):
    """`CacheActivationsRunner`, of documents that all fill the context."""

    name = "SAELens CacheActivationsRunner"
    runner = "peer_saelens.py"

    def job(self, documents: Documents, batch: int) -> dict[str, Any]:
        """See `Peer`."""
        tokens = self.folder / "tokens.npy"
        np.save(tokens, np.stack(documents))
        return {"tokens": tokens, "hook": f"blocks.{self.layer}.hook_resid_post"}
