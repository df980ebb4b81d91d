"""Figures, drawn once for reports, notebooks and the dashboard.

Each takes plain arrays or tables and returns a plotly figure whose axes name their units.
`text_heatmap` returns HTML, because coloured text must stay text.
"""

from worldscope.figures.curves import (
    emergence_curve,
    ksparse_curve,
    l1_path,
    label_curve,
    loss_curve,
)
from worldscope.figures.effects import cost_curve, steering_curve
from worldscope.figures.heatmap import text_heatmap
from worldscope.figures.look import CONFIG, DIVERGING, NEGATIVE, PALETTE, POSITIVE, template
from worldscope.figures.scores import accuracy_bars, bits_per_byte_bars
from worldscope.figures.units import ranking_bars, ranking_scatter, unit_histograms

__all__ = [
    "CONFIG",
    "DIVERGING",
    "NEGATIVE",
    "PALETTE",
    "POSITIVE",
    "accuracy_bars",
    "bits_per_byte_bars",
    "cost_curve",
    "emergence_curve",
    "ksparse_curve",
    "l1_path",
    "label_curve",
    "loss_curve",
    "ranking_bars",
    "ranking_scatter",
    "steering_curve",
    "template",
    "text_heatmap",
    "unit_histograms",
]
