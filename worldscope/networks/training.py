"""Training a language model by truncated backpropagation over contiguous streams.

The state of a recurrent network is carried from chunk to chunk, as in Radford et al. 2017, section
3. The learning rate rises linearly, stays, and falls to zero over the last part. Everything that
the next step depends on is in a checkpoint, so that a run that is killed goes on with the same
losses to the bit (same machine type, versions and thread count).
"""

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from worldscope.networks.arithmetic import has_bf16
from worldscope.networks.corpus import Corpus, Streams
from worldscope.networks.gradients import loss_and_gradients
from worldscope.networks.language_model import TrainableModel
from worldscope.networks.loading import load_network, save_network
from worldscope.networks.train_config import TrainConfig
from worldscope.runs.files import (
    append_lines,
    plain,
    read_json,
    read_lines,
    write_json,
    write_lines,
)

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What Adam keeps of each parameter."""


@dataclass(frozen=True)
class Progress:
    """Where a training is."""

    step: int
    steps: int
    bytes_seen: int
    bits_per_byte: float
    """Training loss of this step."""
    lr: float
    bytes_per_second: float
    validation_bits_per_byte: float | None = None


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Rate of step 0 … `steps` − 1: rises linearly, stays, falls to zero over the last part."""
    rise = (step + 1) / max(1, config.warmup_steps)
    left = min(1.0, (steps - step) / max(1, round(steps * config.decay_fraction)))
    fallen = left if config.decay == "linear" else (1 - math.cos(math.pi * left)) / 2
    return config.lr * min(1.0, rise, fallen)


def bits_per_byte(network: TrainableModel, corpus: Corpus, *, batch: int = 32) -> float:
    """Bits that the network needs for each byte of a text, read as `batch` streams.

    Every symbol of a stream but the first is counted, as `corpus.bytes_per_symbol` bytes. Texts of
    fewer than 512 symbols a stream are read as fewer streams.

    Raises:
        ValueError: If the text has fewer than two symbols.
    """
    batch = min(batch, max(1, len(corpus.symbols) // 512))
    length = len(corpus.symbols) // batch
    if length < 2:
        raise ValueError(f"the text has {length} symbols; bits per byte needs at least 2")
    rows = corpus.symbols[: batch * length].reshape(batch, length).astype(np.int64)
    streams = torch.from_numpy(rows).to(network.device)
    nats = network.stream_nats(streams)
    return nats / math.log(2) / (batch * (length - 1) * corpus.bytes_per_symbol)


class Trainer:
    """A training that can be stopped after any step and resumed from its folder."""

    def __init__(
        self,
        network: TrainableModel,
        corpus: Corpus,
        validation: Corpus,
        config: TrainConfig,
        out: Path,
    ):
        """Starts, or goes on where the last checkpoint in `out` ends.

        Args:
            network: What to train; its weights are replaced by those of the checkpoint.
            corpus: Text to train on.
            validation: Text whose loss is measured at every checkpoint.
            config: How to train.
            out: Folder of the checkpoint, the log, the snapshots and the trained network.

        Raises:
            ValueError: If `out` holds a training of another network, configuration or text, or a
                truncated checkpoint.
        """
        self.network, self.corpus, self.validation = network, corpus, validation
        self.config, self.out = config, out
        self.start = network.digest
        self.network.requires_grad_(True).train()
        self.network.dtype = _arithmetic(config, network.device)
        self.streams = Streams(corpus, batch=config.batch, time=config.chunk)
        self.bytes_per_step = config.batch * config.chunk * corpus.bytes_per_symbol
        self.steps = self._steps(config.total_bytes)
        fused = network.device.type in ("cpu", "cuda")
        self.trained = _matrices_first(network)
        self.optimiser = torch.optim.AdamW(
            _decayed(self.trained, config.weight_decay),
            lr=config.lr,
            betas=config.betas,
            fused=fused,
        )
        self.step, self.state = 0, network.zero_state(config.batch)
        if folder := last_checkpoint(out):
            self._resume(folder)
        self._loss_and_gradients = loss_and_gradients(
            network, batch=config.batch, chunk=config.chunk
        )

    def run(self, report: Callable[[Progress], None], *, until: int | None = None) -> None:
        """Trains to the end (or to step `until`), saving on the way.

        Args:
            report: Called after every step.
            until: Number of steps, counted from the start of the training, to stop after.

        Raises:
            FloatingPointError: If the loss or its gradient is not a number. The weights are then
                those of the step before.
        """
        last_save, last = time.monotonic(), self.steps if until is None else min(until, self.steps)
        snapshots = self._snapshot_steps()
        self._cut_log()
        while self.step < last:
            progress = self._advance()
            due = self.step == last or time.monotonic() - last_save > self.config.save_seconds
            if due:
                loss = bits_per_byte(self.network, self.validation)
                progress = replace(progress, validation_bits_per_byte=loss)
            append_lines(self.out / "log.jsonl", [progress])
            if self.step in snapshots:
                save_network(self.network, self.out / "snapshots" / snapshots[self.step])
            if due:
                self.save()
                last_save = time.monotonic()
            report(progress)
        save_network(self.network, self.out)

    def _advance(self) -> Progress:
        start = time.perf_counter()
        chunk = self.streams.chunk(self.step)
        if chunk.fresh:
            self.state = self.network.zero_state(self.config.batch)
        lr = learning_rate(self.config, self.step, self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        symbols = chunk.symbols.to(self.network.device)
        loss, self.state = self._loss_and_gradients(symbols, self.state)
        norm = torch.nn.utils.clip_grad_norm_(
            self.network.parameters(), self.config.clip, foreach=True
        )
        if not torch.isfinite(loss + norm):
            raise FloatingPointError(
                f"at step {self.step} the loss is {loss.item()} and its gradient's norm "
                f"{norm.item()}; lower lr ({self.config.lr})"
            )
        self.optimiser.step()
        self.step += 1
        bits = loss.item() / math.log(2) / self.corpus.bytes_per_symbol
        speed = self.bytes_per_step / (time.perf_counter() - start)
        seen = round(self.step * self.bytes_per_step)
        return Progress(self.step, self.steps, seen, bits, lr, speed)

    def _steps(self, total_bytes: float | int) -> int:
        return max(1, round(total_bytes / self.bytes_per_step))

    def _snapshot_steps(self) -> dict[int, str]:
        return {self._steps(mb * 1e6): f"{mb:g}MB" for mb in self.config.snapshots}

    def _cut_log(self) -> None:
        """Drops the steps that the log holds beyond the checkpoint: they are about to be redone."""
        log = self.out / "log.jsonl"
        rows = read_lines(log) if log.exists() else []
        write_lines(log, [row for row in rows if row["step"] <= self.step])

    def save(self) -> None:
        """Writes a checkpoint; the one before stays until the new one is whole."""
        partial, final, old = (self.out / f"checkpoint{end}" for end in (".partial", "", ".old"))
        shutil.rmtree(partial, ignore_errors=True)
        save_network(self.network, partial)
        names = list(self.trained)
        carried = zip(self.network.state_names, self.state, strict=True)
        tensors = {f"state.{name}": tensor for name, tensor in carried}
        for i, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"{names[i]}.{key}": value for key, value in moments.items()}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        save_file(tensors, partial / "optimiser.safetensors")
        described = {
            "step": self.step,
            "config": self.config,
            "text": self._text_digest(),
            "start": self.start,
        }
        write_json(partial / "training.json", described)
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            final.rename(old)
        partial.rename(final)
        shutil.rmtree(old, ignore_errors=True)

    def _resume(self, folder: Path) -> None:
        try:
            described, tensors = self._read_checkpoint(folder)
        except (OSError, ValueError, SafetensorError) as error:
            raise ValueError(
                f"{folder} is not a whole checkpoint ({error}); copy it again or remove it"
            ) from None
        network = load_network(folder)
        self._check_same(described, network)
        if missing := self._wanted() - tensors.keys():
            raise ValueError(
                f"{folder} is not a whole checkpoint (it lacks {min(missing)}); copy it again or "
                "remove it"
            )
        self.network.load_state_dict(network.state_dict())
        self.state = tuple(tensors[f"state.{name}"] for name in self.network.state_names)
        adam = {
            i: {key: tensors[f"{name}.{key}"] for key in _MOMENTS}
            for i, name in enumerate(self.trained)
        }
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": adam, "param_groups": groups})
        self.step = described["step"]

    def _read_checkpoint(self, folder: Path) -> tuple[dict, dict[str, torch.Tensor]]:
        described = read_json(folder / "training.json")
        tensors = load_file(folder / "optimiser.safetensors", device=str(self.network.device))
        if not isinstance(described, dict):
            raise ValueError("training.json is not a JSON object")
        if missing := {"step", "config", "text"} - described.keys():
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        return described, tensors

    def _wanted(self) -> set[str]:
        """What the state of the optimiser and of the network is called in a checkpoint."""
        moments = {f"{name}.{key}" for name in self.trained for key in _MOMENTS}
        return moments | {f"state.{name}" for name in self.network.state_names}

    def _check_same(self, described: dict, network: TrainableModel) -> None:
        """Refuses a checkpoint from which this training would not have come by itself."""
        now, then = plain(self.config), plain(TrainConfig()) | described["config"]
        now["network"], then["network"] = self.network.extra_repr(), network.extra_repr()
        free = {"save_seconds", "snapshots"}
        if self._same_rates(described["step"], self._steps(then["total_bytes"])):
            free.add("total_bytes")
        for name, value in now.items():
            if name not in free and then[name] != value:
                raise ValueError(
                    f"{self.out} was trained with {name} {then[name]}, not {value}; "
                    f"use the same or another folder"
                )
        if described["text"] != self._text_digest():
            raise ValueError(f"{self.out} was trained on another text; choose another folder")
        if described.get("start", self.start) != self.start:
            raise ValueError(
                f"{self.out} was started from other weights; give the same network to start from "
                "(init), or another folder"
            )

    def _same_rates(self, done: int, steps: int) -> bool:
        """Whether the steps done had the same learning rates in a training of `steps` steps."""
        return all(
            learning_rate(self.config, step, self.steps) == learning_rate(self.config, step, steps)
            for step in range(done)
        )

    def _text_digest(self) -> str:
        return hashlib.sha256(self.corpus.symbols.tobytes()).hexdigest()


def last_checkpoint(out: Path) -> Path | None:
    """The folder of the last whole checkpoint of the training in `out`, if there is one."""
    folder, old = out / "checkpoint", out / "checkpoint.old"
    if old.exists() and not folder.exists():
        old.rename(folder)
    return folder if folder.exists() else None


def split_texts(
    texts: Sequence[str], groups: Sequence, *, fraction: float, seed: int
) -> tuple[list[str], list[str]]:
    """Texts to train on and to validate on, with no group in both.

    Raises:
        ValueError: If there are fewer than two groups.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise ValueError("validation needs at least two groups of texts; give more texts")
    count = min(max(1, round(fraction * len(names))), len(names) - 1)
    chosen = {names[i] for i in np.random.default_rng(seed).permutation(len(names))[:count]}
    held = [text for text, group in zip(texts, groups, strict=True) if group in chosen]
    kept = [text for text, group in zip(texts, groups, strict=True) if group not in chosen]
    return kept, held


def _matrices_first(network: TrainableModel) -> dict[str, torch.nn.Parameter]:
    named = dict(network.named_parameters())
    return dict(sorted(named.items(), key=lambda item: item[1].ndim < 2))


def _decayed(trained: Mapping[str, torch.nn.Parameter], weight_decay: float) -> list[dict]:
    """Matrices in one group with weight decay, vectors in one without."""
    of_kind = {
        kind: [tensor for tensor in trained.values() if (tensor.ndim < 2) == vectors]
        for kind, vectors in (("matrices", False), ("vectors", True))
    }
    return [
        {"params": of_kind["matrices"], "weight_decay": weight_decay},
        {"params": of_kind["vectors"], "weight_decay": 0.0},
    ]


def _arithmetic(config: TrainConfig, device: torch.device) -> torch.dtype:
    return torch.bfloat16 if config.bf16 and has_bf16(device) else torch.float32
