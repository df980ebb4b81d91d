"""Online code length: how many bits the labels cost, given the activations and a probe.

Labels are sent block by block. Each block is coded with the probabilities of a probe fitted on
all blocks before it, the first one with equal probabilities. A state that is easy to read is
learnt from few rows, and the rest costs little; what a large probe has to learn, it pays for.

Source: Voita and Titov 2020, section 3.2.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64, Int64, Integer
from torch import Tensor

from probes.class_ranking import check_classes
from worldscope.measures import group_codes

FRACTIONS: tuple[float, ...] = tuple(
    percent / 100 for percent in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.25, 12.5, 25, 50, 100)
)
"""Share of the rows where each block ends."""

Acts = Float[np.ndarray, "n d"] | Float[Tensor, "n d"]
Predict = Callable[[Acts], Float[np.ndarray, "n classes"] | Float[Tensor, "n classes"]]
"""From activations to log-probabilities, natural logarithm, of each class."""
Fit = Callable[[Acts, Integer[np.ndarray, " n"]], Predict]
"""From activations and their classes to a probe of them."""


@dataclass(frozen=True)
class CodeBlock:
    """The labels that were sent with one probe."""

    fitted_rows: int
    """Rows before the block: what its probe was fitted on."""
    rows: int
    """Rows of the block."""
    uniform: bool
    """Whether it was coded with equal probabilities, as the rows before it lack a class."""
    bits: float
    """What its labels cost."""


@dataclass(frozen=True)
class DescriptionLength:
    """What all labels cost."""

    bits: float
    """Bits of the online code. Infinite if a probe gave some label the probability 0."""
    uniform_bits: float
    """Bits with equal probabilities: rows times log2(classes)."""
    blocks: tuple[CodeBlock, ...]
    """Where the bits went, in the order of sending."""

    @property
    def compression(self) -> float:
        """Uniform bits over bits: 1 for activations that tell nothing, more the more they tell."""
        return self.uniform_bits / self.bits

    def table(self) -> pd.DataFrame:
        """A row for each block: fitted_rows, rows, uniform, bits, bits_per_row."""
        table = pd.DataFrame(list(self.blocks))
        return table.assign(bits_per_row=table["bits"] / table["rows"])


def online_code_length(
    acts: Acts,
    labels: Integer[np.ndarray, " n"],
    groups: Iterable[Hashable],
    fit: Fit,
    *,
    seed: int,
    fractions: Sequence[float] = FRACTIONS,
) -> DescriptionLength:
    """Bits that the labels cost in an online code.

    Groups are sent whole, in random order. A block ends with the first group at which its
    fraction of the rows is reached; blocks that come out empty, as the small ones of few rows do,
    are left out. Scaling and the choice of a strength belong into `fit`, which sees nothing but
    the rows already sent.

    A block is coded with equal probabilities as long as the rows before it lack a class, which
    whoever decodes it knows too.

    Args:
        acts: Activations of the training part.
        labels: Class of each row: 0, 1 and so on.
        groups: Group of each row.
        fit: Called once for each block that is not coded with equal probabilities.
        seed: Seed of the order of the groups.
        fractions: Ascending shares of the rows, above 0, of which the last is 1.

    Raises:
        ValueError: If labels, groups or fractions do not fit, or the predictions of a probe are
            not the logarithms of probabilities that add up to 1 for each row.
    """
    check_classes(labels, rows=len(acts))
    _check_fractions(fractions)
    order, ends_of_groups = _sending_order(groups, rows=len(labels), seed=seed)
    acts, labels = acts[order], labels[order]
    classes = int(labels.max()) + 1
    blocks = []
    for start, end in pairwise(_cuts(ends_of_groups, fractions)):
        uniform = len(np.unique(labels[:start])) < classes
        if uniform:
            bits = (end - start) * np.log2(classes)
        else:
            log_probs = fit(acts[:start], labels[:start])(acts[start:end])
            bits = _code(_checked(log_probs, (end - start, classes), start), labels[start:end])
        blocks.append(CodeBlock(start, end - start, uniform, float(bits)))
    bits = sum(block.bits for block in blocks)
    return DescriptionLength(bits, float(len(labels) * np.log2(classes)), tuple(blocks))


def _check_fractions(fractions: Sequence[float]) -> None:
    if not fractions or any(later <= earlier for earlier, later in pairwise((0, *fractions))):
        raise ValueError(f"The fractions are {tuple(fractions)}: they must ascend from above 0.")
    if fractions[-1] != 1:
        raise ValueError(f"The last fraction is {fractions[-1]}: it must be 1, for all rows.")


def _sending_order(
    groups: Iterable[Hashable], *, rows: int, seed: int
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " groups"]]:
    """(row numbers, groups in random order and whole; where each group ends)."""
    codes, names = group_codes(groups)
    if len(codes) != rows:
        raise ValueError(
            f"There are {rows} labels and {len(codes)} groups: give one of each a row."
        )
    place_of_group = np.random.default_rng(seed).permutation(len(names))
    places = place_of_group[codes]
    return np.argsort(places, kind="stable"), np.cumsum(np.bincount(places))


def _cuts(ends_of_groups: Int64[np.ndarray, " groups"], fractions: Sequence[float]) -> list[int]:
    """Where the blocks start and the last one ends."""
    rows = int(ends_of_groups[-1])
    # A fraction of the rows may be rounded up beyond the whole number that it stands for.
    reached = np.searchsorted(ends_of_groups, np.multiply(fractions, rows) - 1e-6)
    return [0, *np.unique(ends_of_groups[reached]).tolist()]


def _checked(
    log_probs: np.ndarray | Tensor, shape: tuple[int, int], fitted_rows: int
) -> Float64[np.ndarray, "n classes"]:
    """The predictions of the probe that was fitted on so many rows, in double precision."""
    wide = torch.as_tensor(log_probs).detach().double().cpu()
    probe = f"the probe fitted on {fitted_rows} rows"
    if wide.shape != shape:
        raise ValueError(
            f"The log-probabilities of {probe} have shape {tuple(wide.shape)}: "
            f"they must be (rows, classes), here {shape}."
        )
    wrong = torch.nonzero(~(wide.logsumexp(dim=1).abs() < 1e-3))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"The probabilities of {probe} add up to {float(wide[row].exp().sum()):g} for one row: "
            "`fit` must give logarithms of probabilities that add up to 1."
        )
    return wide.numpy()


def _code(
    log_probs: Float64[np.ndarray, "n classes"], labels: Integer[np.ndarray, " n"]
) -> np.floating:
    """Bits of the labels."""
    return -log_probs[np.arange(len(labels)), labels].sum() / np.log(2)
