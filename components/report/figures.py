"""Figures that a person wants to look at, as SVG: what the model does, and what its training did to the machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from components.dataset import Part
from components.metrics import calibration, confusion
from components.report.mistakes import Mistake, worst

BLUE, ORANGE, GREY = "#1f5f99", "#d9730d", "#8a8f98"
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e8eb",
    "svg.fonttype": "none",  # text stays text: selectable, small, in the reader's own font
    "svg.hashsalt": "slipway",
}
#: Beyond this many classes numbers in the cells can't be read.
MOST_NUMBERED_CLASSES = 20
#: A curve of one point is none.
FEWEST_POINTS = 2
#: What of the machine is drawn below what: title, and for each sample's name the label, the colour and the unit.
MACHINE = {
    "CPU in %\n(100: one core)": {"cpu_percent": ("CPU", BLUE, 1.0)},
    "GPU in %": {"gpu_percent": ("GPU", ORANGE, 1.0)},
    "memory in GB": {"memory_mb": ("main memory", BLUE, 1e3), "gpu_memory_mb": ("GPU memory", ORANGE, 1e3)},
}
#: The unit of a time axis, and from how many seconds on it is used.
UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


def draw_all(
    directory: Path,
    test: Part,
    probabilities: NDArray[np.float32],
    history: Sequence[dict[str, float]],
    trials: Sequence[dict[str, Any]],
) -> dict[str, Path]:
    """Draw what there is to see.

    Args:
        directory: Created.
        test: The test rows.
        probabilities: Shape (test rows, classes).
        history: One entry per epoch, or none.
        trials: One entry per trial of a sweep, or none.

    Returns:
        The SVG file of each figure, by title, in the order in which a reader wants them.
    """
    truth, rows = test.y, test.rows
    drawn = {
        "Confusion matrix": _confusion(confusion(truth, probabilities), rows.labels),
        "Calibration": _calibration(calibration(truth, probabilities)),
    }
    if history:
        drawn["Learning curve"] = _learning_curve(history)
    if trials:
        drawn["Trials"] = _trials(trials)
    mistakes = worst(test, probabilities)
    if rows.kind == "image" and mistakes:
        drawn["Most confident mistakes"] = _mistakes(test, mistakes)
    return _save(directory, drawn)


def draw_training(
    directory: Path, pace: Sequence[Mapping[str, float]], usage: Sequence[Mapping[str, float]]
) -> dict[str, Path]:
    """Draw how training went on.

    Args:
        directory: Created.
        pace: Samples of the loop; nothing is drawn of fewer than two.
        usage: Samples of what it took of the machine, likewise.

    Returns:
        The SVG file of each figure, by title.
    """
    drawn = {}
    if len(pace) >= FEWEST_POINTS:
        drawn["Throughput"] = _throughput(pace)
        drawn["Loss and gradient norm"] = _descent(pace)
    if len(usage) >= FEWEST_POINTS:
        drawn["Machine"] = _machine(usage)
    return _save(directory, drawn)


def _save(directory: Path, drawn: Mapping[str, Figure]) -> dict[str, Path]:
    directory.mkdir(parents=True, exist_ok=True)
    paths = {}
    for title, figure in drawn.items():
        paths[title] = directory / f"{title.lower().replace(' ', '-')}.svg"
        with mpl.rc_context(STYLE):
            figure.savefig(paths[title], metadata={"Date": None}, bbox_inches="tight")
    return paths


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        return figure, figure.subplots()


def _confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    counts = np.asarray(matrix)
    side = max(3.6, 0.42 * len(labels) + 1)
    figure, axes = _axes(side, side)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=90 if max(map(len, labels)) > 2 else 0)  # noqa: PLR2004
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.grid(visible=False)
    if len(labels) <= MOST_NUMBERED_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                dark = shares[row, column] > 0.5  # noqa: PLR2004 (half-way of the colour scale)
                axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    return figure


def _calibration(bins: Sequence[tuple[float, float, int]]) -> Figure:
    figure, axes = _axes(4.2, 3.6)
    confidence, accuracy, rows = (np.asarray(column) for column in zip(*bins, strict=True))
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfectly calibrated")
    axes.scatter(confidence, accuracy, s=20 + 180 * rows / rows.sum(), color=BLUE, label="test rows (area: how many)")
    axes.set_xlim(0, 1.03)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.legend(loc="lower right", frameon=False)
    return figure


def _learning_curve(history: Sequence[dict[str, float]]) -> Figure:
    figure, axes = _axes(5.4, 3.6)
    epochs = [entry["epoch"] for entry in history]
    axes.plot(epochs, [entry["train_loss"] for entry in history], color=GREY, label="training")
    axes.plot(epochs, [entry["loss"] for entry in history], color=BLUE, label="validation")
    best = min(history, key=lambda entry: entry["loss"])
    axes.scatter([best["epoch"]], [best["loss"]], color=ORANGE, zorder=3, label=f"kept: epoch {best['epoch']:.0f}")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.legend(frameon=False)
    return figure


def _throughput(pace: Sequence[Mapping[str, float]]) -> Figure:
    figure, axes = _axes(5.4, 3.6)
    axes.plot([sample["step"] for sample in pace], [sample["rows_per_second"] for sample in pace], color=BLUE)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel("rows per second")
    return figure


def _descent(pace: Sequence[Mapping[str, float]]) -> Figure:
    figure, panels = _panels(2)
    steps = [sample["step"] for sample in pace]
    for axes, name, colour in zip(panels, ("loss", "gradient_norm"), (BLUE, ORANGE), strict=True):
        values = [sample[name] for sample in pace]
        axes.plot(steps, values, color=colour)
        axes.set_yscale("log" if min(values) > 0 else "linear")
        axes.set_ylabel(name.replace("_", " "))
    panels[-1].set_xlabel("step")
    return figure


def _machine(usage: Sequence[Mapping[str, float]]) -> Figure:
    shown = {title: lines for title, lines in MACHINE.items() if any(set(lines) & sample.keys() for sample in usage)}
    figure, panels = _panels(len(shown))
    unit, length = next((unit for unit in UNITS if usage[-1]["seconds"] >= 2 * unit[1]), UNITS[-1])
    for axes, (title, lines) in zip(panels, shown.items(), strict=True):
        for name, (label, colour, scale) in lines.items():
            seen = [(sample["seconds"] / length, sample[name] / scale) for sample in usage if name in sample]
            if seen:
                axes.plot(*zip(*seen, strict=True), color=colour, label=label)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(title)
    panels[-1].legend(frameon=False)
    panels[-1].set_xlabel(unit)
    return figure


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    """Return two axes or more, one above the other, with one horizontal scale."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 1 + 1.5 * count))
        return figure, figure.subplots(count, 1, sharex=True)


def _trials(trials: Sequence[dict[str, Any]]) -> Figure:
    figure, axes = _axes(5.4, max(2.4, 0.3 * len(trials) + 1))
    names = [", ".join(f"{name}={value}" for name, value in trial["settings"].items()) for trial in trials]
    places = range(len(trials))
    colours = [ORANGE if trial["chosen"] else BLUE for trial in trials]
    axes.scatter([trial["validation"]["accuracy"] for trial in trials], places, color=colours, zorder=3)
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("accuracy on validation rows (orange: chosen)")
    return figure


def _mistakes(test: Part, mistakes: Sequence[Mistake]) -> Figure:
    columns = min(6, len(mistakes))
    lines = -(-len(mistakes) // columns)
    figure = Figure(figsize=(1.3 * columns, 1.7 * lines))
    for axes, mistake in zip(figure.subplots(lines, columns, squeeze=False).flat, mistakes, strict=False):
        # Ink is dark where the range of grey says nothing else; photographs are light where they are light.
        axes.imshow(test.x[mistake.row], cmap="gray" if test.rows.picture else "gray_r")
        axes.set_title(f"{mistake.truth} read as {mistake.predicted}\n{mistake.confidence:.0%} sure", fontsize=8)
    for axes in figure.axes:
        axes.axis("off")
    return figure
