"""What every number in a table rests on: group splits, intervals, corrections, the tidy table.

table.py            a measurement, and measurements as a data frame
groups.py           rows belong to groups; splits that keep groups whole
labels.py           binary labels, and their permutations over groups
ranks.py            area under the ROC curve
intervals.py        bootstrap intervals over groups
corrections.py      permutation p-values, Benjamini-Hochberg
calibration.py      reliability, calibration error, Brier score, log loss, confusion matrix
duplicates.py       rows that occur in more than one part of a split
near_duplicates.py  texts that are alike
"""

from worldscope.measures.calibration import (
    Reliability,
    brier_score,
    confusion_matrix,
    log_loss,
    reliability,
)
from worldscope.measures.corrections import (
    CorrectedPValues,
    benjamini_hochberg,
    permutation_p_value,
)
from worldscope.measures.duplicates import (
    Leak,
    LeakReport,
    find_row_leaks,
    find_text_leaks,
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
    "Leak",
    "LeakReport",
    "Measurement",
    "Reliability",
    "auroc",
    "auroc_interval",
    "benjamini_hochberg",
    "bootstrap_interval",
    "brier_score",
    "check_labels",
    "confusion_matrix",
    "find_row_leaks",
    "find_text_leaks",
    "group_codes",
    "label_permutations",
    "log_loss",
    "mean_interval",
    "measurements_table",
    "paired_interval",
    "permutation_p_value",
    "reliability",
    "split_groups",
]
