"""A training that is over in a second, and its folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from worldscope.networks.corpus import Corpus
    from worldscope.networks.train_config import TrainConfig
    from worldscope.networks.training import Progress, Trainer

TEXTS = ["good film. " * 8, "bad film! " * 9, "a good, good book. " * 5, "the café is bad. " * 6]


@dataclass(frozen=True)
class Small:
    """Twenty steps of ten units over a few hundred bytes."""

    config: "TrainConfig"
    texts: tuple[str, ...] = tuple(TEXTS)
    steps: int = 20

    def corpus(self) -> "Corpus":
        """What is read."""
        from worldscope.networks.codecs import BytesCodec
        from worldscope.networks.corpus import pack

        return pack(self.texts, BytesCodec(), seed=0)

    def trainer(self, out: Path, config: "TrainConfig | None" = None, seed: int = 0) -> "Trainer":
        """Starts or resumes in a folder."""
        from worldscope.networks.codecs import BytesCodec
        from worldscope.networks.corpus import pack
        from worldscope.networks.loading import new_mlstm
        from worldscope.networks.training import Trainer

        network = new_mlstm(d_hidden=10, d_embed=6, seed=seed)
        held = pack(self.texts[:1], BytesCodec())
        return Trainer(network, self.corpus(), held, config or self.config, out)

    def run(
        self, out: Path, config: "TrainConfig | None" = None, until: int | None = None
    ) -> "list[Progress]":
        """Starts or resumes in a folder; gives what was reported."""
        seen: list[Progress] = []
        self.trainer(out, config).run(seen.append, until=until)
        return seen

    def losses(self, out: Path) -> list[tuple[int, float]]:
        """Step and loss of every line of the log."""
        rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        return [(row["step"], row["bits_per_byte"]) for row in rows]

    def assert_same(self, out: Path, whole: Path) -> None:
        """The same losses to the bit, every step once, and the same weights."""
        from worldscope.networks.loading import load_network

        assert self.losses(out) == self.losses(whole)
        assert [step for step, _ in self.losses(out)] == list(range(1, self.steps + 1))
        assert load_network(out).digest == load_network(whole).digest


@pytest.fixture(scope="session")
def small() -> Small:
    """See `Small`."""
    from worldscope.networks.train_config import TrainConfig

    return Small(
        TrainConfig(
            total_bytes=20 * 4 * 8, batch=4, chunk=8, lr=0.02, warmup_steps=4, save_seconds=1e9
        )
    )


@pytest.fixture(scope="session")
def whole(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was never stopped."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole")
    small.run(out)
    return out
