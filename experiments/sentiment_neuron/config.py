"""Settings of the sentiment study."""

from dataclasses import dataclass
from typing import Literal

Preset = Literal["demo", "full"]
DEFAULT_NETWORK = "zoo:reviews-mlstm-bpe"


@dataclass(frozen=True)
class StudyConfig:
    """What to study and how thoroughly."""

    worlds: tuple[str, ...]
    """Review sets, by name: short, imdb, sst."""
    network: str = DEFAULT_NETWORK
    """`zoo:<name>` or the folder of a network."""
    replicas: tuple[str, ...] | None = None
    """Networks from other seeds, which are read in the same way; None: those that the zoo has."""
    data: str | None = None
    """Folder that holds imdb/, sst/ and pang_lee/; None asks the hub."""
    limit: int | None = None
    """Largest number of texts of each part of each review set."""
    seed: int = 0
    """Seed of splits, baselines and generations."""
    hooks: tuple[str, ...] = ("lstm.0.hook_c", "lstm.0.hook_h")
    """Where to look; the paper reads the cell state, so the first decides."""
    random_networks: int = 3
    """Number of untrained networks that are put through the same selection."""
    permutations: int = 100
    """Shuffled labels for the best unit's null distribution."""
    label_seeds: int = 5
    """Draws of training labels for each point of the label curve."""
    prompts: int = 20
    """Review openings that are continued."""
    samples_per_prompt: int = 10
    """Continuations of each opening at each strength."""
    placebo_samples: int = 5
    """Continuations of each opening by each placebo."""
    generated_bytes: int = 200
    """Length of a continuation."""
    strengths: tuple[float, ...] = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
    """Clamps, in standard deviations."""
    placebos: int = 40
    """Placebo features: with 40, a feature that moves further than all of them has p = 0.024, under
    0.05 after correction for two features."""
    ablation_texts: int = 200
    """Test texts that are read with the feature held at its mean."""
    ablation_placebos: int = 5
    """Placebos that are ablated too."""

    def __post_init__(self) -> None:
        at_least = {"random_networks": 1, "permutations": 1, "label_seeds": 1, "prompts": 4}
        at_least |= {"seed": 0, "limit": 1}
        for name, least in at_least.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}; it must be {least} or more")


PRESETS: dict[Preset, StudyConfig] = {
    "demo": StudyConfig(
        worlds=("short",),
        label_seeds=2,
        placebo_samples=2,
        placebos=20,
        generated_bytes=120,
        ablation_texts=100,
        ablation_placebos=3,
    ),
    "full": StudyConfig(worlds=("imdb", "sst", "short")),
}
