"""The report of the sentiment study: one self-contained page."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from experiments.sentiment_neuron.config import StudyConfig
from experiments.sentiment_neuron.decoding import Decoded
from experiments.sentiment_neuron.steering import first_seeds, strengths_of
from experiments.sentiment_neuron.verdict import verdict_on, verdicts_on_steering
from probes.labels import LabelPoint
from worldscope import figures
from worldscope.activations.text import read_text
from worldscope.features.feature import load_feature
from worldscope.networks.mlstm import MLSTM
from worldscope.report import Report
from worldscope.runs import Run

PUBLISHED = {"Radford et al. 2017, SST, 4,096 units": 0.918}
"""Their network read 82 million reviews: thousands of times the text of the shipped ones."""
EXAMPLE = (
    "The first hour is a mess. The jokes fall flat and the lead cannot act. Then, out of nowhere, "
    "the story finds its heart, and the ending is one of the most beautiful things I have seen."
)
DEFINITIONS = {
    "interval": "95 % percentile bootstrap, 2,000 resamples of groups (films; for generations, "
    "prompts) with the fitted thing held fixed.",
    "random-init baseline": "Untrained networks of the same configuration through the same "
    "reading, probe and selection; mean and maximum over seeds.",
    "raw-input baseline": "The best linear model of the text. Reported, never a condition.",
    "shuffled-label baseline": "Labels permuted over groups in training, scored on the true test "
    "labels.",
    "sd": "Standard deviation over all symbols of training text.",
    "clamp": "Hold a feature at its mean plus so many sd, at every step.",
    "placebo": "A unit that does not track sentiment, or for the probe's direction, and where such "
    "units are too few, a random direction as the activations spread; moved equally far on each "
    "row (equal norm) or by equally many of its own sd (equal sd).",
    "judged share": "Share of continuations that a judge calls positive. Judges never read the "
    "network.",
    "moved": "Judged share at the strength `up` minus that at `down`: on each side the largest "
    "whose cost is within the budget, fixed on the other half of the prompts.",
    "moved fraction": "`moved` over the judge's separation on real text: 1 is as far apart as real "
    "praise and real blame.",
    "separation": "Share of real praise that a judge calls positive, minus that of real blame.",
    "largest, p value": "|moved| of the placebo that moved most; the chance of a placebo that "
    "moves as far as the feature, given as many samples.",
    "cost": "Bits per byte of the steered text under the unsteered network, minus those of "
    "unsteered text.",
}


_VERDICT = ["feature", "kind", "judge", "down", "up", "value", "low", "high", "moved_fraction"]
_VERDICT += ["cost_down", "cost_up", "largest", "p_value"]


def write_report(
    run: Run, network: MLSTM, decoded: Sequence[Decoded], chosen: Decoded, config: StudyConfig
) -> None:
    """Draws every figure, saves it with the run and writes report.html."""
    report = Report(
        "The sentiment unit", subtitle=f"{config.network} · {', '.join(config.worlds)} · {run.name}"
    )
    measured = run.measurements
    _verdicts(report, run, decoded)
    _scores(report, run, measured)
    for found in decoded:
        if found.site.hook == config.hooks[0]:
            _site(report, run, found)
    _emergence(report, run)
    _replicas(report, run)
    _heatmap(report, run, network, chosen)
    _steering(report, run)
    report.definitions(DEFINITIONS)
    report.write(run.report_path)


def _verdicts(report: Report, run: Run, decoded: Sequence[Decoded]) -> None:
    report.section("What was found")
    for found in decoded:
        report.paragraph(verdict_on(found, run.measurements))
    if "steering_verdict" in run.saved("tables"):
        judged = run.load_table("steering_verdict"), run.load_table("judges")
        for sentence in verdicts_on_steering(*judged):
            report.paragraph(sentence)


def _scores(report: Report, run: Run, measured: pd.DataFrame) -> None:
    report.section("Reading sentiment from states")
    report.paragraph(
        "The paper reads the cell state c, so c decides; the output h is beside it. Units, "
        "thresholds and strengths of penalties are chosen on training and dev text; every score is "
        "on test text."
    )
    sites = dict.fromkeys(zip(measured["hook"], measured["position"], strict=True))
    of_text = measured.query("hook == ''")
    for hook, position in filter(all, sites):
        rows = measured.query("hook == @hook and position == @position")
        figure = figures.accuracy_bars(pd.concat([rows, of_text]), published=PUBLISHED)
        run.figure(f"scores-{hook.rpartition('_')[2]}-{position}", figure)
        report.figure(figure, caption=f"{hook}, {position} state")
    shown = ["data", "hook", "position", "method", "value", "low", "high", "n", "groups", "note"]
    report.table(measured.filter(shown), caption="Every score: accuracy on test text")


def _site(report: Report, run: Run, found: Decoded) -> None:
    site = found.site
    slug = f"{site.texts.name}-{site.hook.rpartition('_')[2]}-{site.position}"
    report.section(f"{site.texts.name}: {site.hook}, {site.position} state")
    ranking = found.ranking.table(len(found.ranking.auroc))
    acts, labels = site.of("test")
    drawn = {
        "ranking": figures.ranking_scatter(ranking),
        "histogram": figures.unit_histograms(
            acts[:, found.unit],
            labels,
            threshold=float(found.ranking.threshold[found.unit]),
            unit_name=f"unit {found.unit}, {site.position} state, test texts",
        ),
        "ksparse": figures.ksparse_curve(
            np.array(list(found.ksparse_accuracy)),
            {"test": np.array([interval.value for interval in found.ksparse_accuracy.values()])},
            references={"L1 probe": found.probe_accuracy.value},
        ),
        "l1-path": figures.l1_path(
            np.array(found.probe.strengths),
            np.array(found.probe.dev_scores),
            np.array(found.probe.nonzeros),
            chosen=found.probe.strength,
        ),
        "labels": figures.label_curve(*_label_curve(found.labels)),
    }
    for name, figure in drawn.items():
        run.figure(f"{slug}-{name}", figure)
        report.figure(figure, caption=CAPTIONS[name])
    report.table(ranking.head(10), caption="The ten best units, on training text")


def _label_curve(points: Sequence[LabelPoint]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Numbers of labels, and a row of accuracies for each seed."""
    table = pd.DataFrame([asdict(point) for point in points])
    wide = table.pivot(index="seed", columns="labels", values="accuracy")
    return wide.columns.to_numpy(), {"L1 probe": wide.to_numpy()}


CAPTIONS = {
    "ranking": "Every unit's AUROC on training text",
    "histogram": "The best unit on test texts of both classes",
    "ksparse": "A probe that may read k units only: one unit, or many?",
    "l1-path": "L1 probe: accuracy on dev and number of weights for each C",
    "labels": "Accuracy on test against the number of training labels",
}


def _emergence(report: Report, run: Run) -> None:
    table = run.load_table("emergence")
    if table.empty:
        return
    report.section("Over the training")
    for position, rows in table.groupby("position", sort=False):
        wide = rows.pivot(index="bytes", columns="method", values="value")
        scores = {method: wide[method].to_numpy() for method in wide}
        figure = figures.emergence_curve(wide.index.to_numpy(), scores)
        run.figure(f"emergence-{position}", figure)
        report.figure(
            figure,
            caption=f"{position} state: test accuracy of checkpoints (8-bit weights) and, last, of "
            "the network itself",
        )


def _replicas(report: Report, run: Run) -> None:
    table = run.load_table("replicas")
    if table.empty:
        return
    report.section("Does it happen again?")
    report.paragraph("The same selection on networks that were trained from other seeds.")
    report.table(table, caption="Accuracy on test text")


def _heatmap(report: Report, run: Run, network: MLSTM, chosen: Decoded) -> None:
    unit = load_feature(run.path / "features" / f"unit-{chosen.unit}")
    read = read_text(network, EXAMPLE, [unit.hook])
    values = unit.sign * (unit.values(read.acts[unit.hook].numpy()) - unit.mean) / unit.sd
    report.section("The unit over a text")
    report.heatmap(read.pieces, values, unit="sd towards positive", title=f"unit {chosen.unit}")


def _steering(report: Report, run: Run) -> None:
    report.section("Steering")
    for refused in run.load_examples("refused_judges"):
        report.paragraph(f"A judge is left out: {refused['reason']}.")
    if "steering" not in run.saved("tables"):
        report.paragraph("No judge is left, so nothing was steered.")
        return
    table, means = run.load_table("steering"), run.load_table("steering_placebos")
    report.table(
        run.load_table("judges"),
        caption="The judges on real text, cut to the generated length where it is longer",
    )
    report.table(
        run.load_table("steering_verdict").rename(columns={"moved": "value"}).filter(_VERDICT),
        caption="Moved, at strengths fixed on half of the prompts, reported on the other half",
    )
    steered = table.query("kind == 'feature'")
    for name in dict.fromkeys(steered["feature"]):
        rows, placebos = steered.query("feature == @name"), means.query("feature == @name")
        both = pd.concat([rows.assign(steered=name), placebos.assign(steered=placebos["kind"])])
        of_one_judge = rows.query("judge == @rows.judge.iloc[0]")
        renamed = {"cost_bits_per_byte": "cost", "cost_low": "low", "cost_high": "high"}
        costs = of_one_judge.drop(columns=["low", "high"]).rename(columns=renamed)
        drawn = {
            "steering": figures.steering_curve(both),
            "cost": figures.cost_curve(costs.assign(steered=name)),
        }
        for kind, figure in drawn.items():
            run.figure(f"{kind}-{str(name).replace(' ', '-')}", figure)
            report.figure(figure, caption=f"{name}: {kind}")
    shown = ["feature", "strength", "judge", "share", "low", "high", "shift", "moved_fraction", "n"]
    costs = [
        "cost_bits_per_byte",
        "text_cost_bits_per_byte",
        "distinct_1",
        "distinct_2",
        "distinct_3",
    ]
    report.table(steered.filter(shown + costs), caption="Every strength")
    report.table(
        run.load_table("ablation"),
        caption="Held at its mean: bits per byte of test text, and what the L1 probe still reads",
    )
    _generations(report, run)


def _generations(report: Report, run: Run) -> None:
    generations = run.load_examples("generations")
    report.section("What it writes: the first ten seeds, unselected")
    for feature in dict.fromkeys(row["feature"] for row in generations):
        for strength in [None, *strengths_of(generations)]:
            said = "unsteered" if strength is None else f"clamped at {strength:+g} sd"
            report.samples(
                first_seeds(generations, strength, feature), caption=f"{feature}, {said}"
            )
