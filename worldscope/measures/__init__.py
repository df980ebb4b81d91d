"""What every number in a table rests on: group splits, intervals, corrections, the tidy table.

table.py        a measurement, and measurements as a data frame
groups.py       rows belong to groups; splits that keep groups whole
labels.py       binary labels, and their permutations over groups
ranks.py        area under the ROC curve
intervals.py    bootstrap intervals over groups
corrections.py  permutation p-values, Benjamini-Hochberg
"""

from worldscope.measures.corrections import (
    CorrectedPValues,
    benjamini_hochberg,
    permutation_p_value,
)
from worldscope.measures.groups import group_codes, split_groups
from worldscope.measures.intervals import (
    Interval,
    auroc_interval,
    bootstrap_interval,
    mean_interval,
    paired_interval,
)
from worldscope.measures.labels import (
    check_labels,
    label_permutations,
)
from worldscope.measures.ranks import auroc
from worldscope.measures.table import Measurement, measurements_table

__all__ = [
    "CorrectedPValues",
    "Interval",
    "Measurement",
    "auroc",
    "auroc_interval",
    "benjamini_hochberg",
    "bootstrap_interval",
    "check_labels",
    "group_codes",
    "label_permutations",
    "mean_interval",
    "measurements_table",
    "paired_interval",
    "permutation_p_value",
    "split_groups",
]
