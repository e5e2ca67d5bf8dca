"""Runs of this machine side by side: settings that differ first, then results, what is equal folded away.

It reads what ``slipway run`` left and refuses what is no finished run. The command line may import it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from components.report import STYLE
from pipelines.errors import RunError
from pipelines.home import Home
from pipelines.runs import Run, find_run, read_run

ABSENT, NO_RESULT = "-", "no result"
FEWEST_RUNS = 2
#: In this order, the rest below.
HEADLINES = ("accuracy", "f1_macro", "precision_macro", "recall_macro", "log_loss", "calibration_error")
BLUE, GREY, INK = "#1f5f99", "#8a8f98", "#1c2024"
#: The picture, in pixels: where its columns begin, how wide the scales are, and the height of a row.
DOTS_FROM, DOTS_WIDE, COST_FROM, COST_WIDE, ROW_HIGH = 230, 380, 650, 120, 34
LONGEST_NAME = 26


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: As they were asked for.
        differing: Settings that differ, one value per run.
        equal: Settings that all runs share.
        results: What was measured, one text per run.
        remarks: What can and what can't be concluded, one sentence each.
    """

    runs: tuple[Run, ...]
    differing: Mapping[str, tuple[str, ...]]
    equal: Mapping[str, str]
    results: Mapping[str, tuple[str, ...]]
    remarks: tuple[str, ...]


def compare(runs: Sequence[Path]) -> Comparison:
    """Put runs side by side.

    Args:
        runs: Their folders, their names, or the last part of their names.

    Raises:
        RunError: A run is unknown, ambiguous or not finished, or there is only one.
    """
    home = Home().path / "runs"
    found = tuple(read_run(directory) for directory in dict.fromkeys(find_run(run, home) for run in runs))
    if len(found) < FEWEST_RUNS:
        raise RunError(f"{found[0].name if found else 'nothing'} can't be compared alone; name two runs or more")
    known = [run for run in found if run.settings]
    names = dict.fromkeys(name for run in known for name in run.settings)
    table = {name: tuple(run.settings.get(name, ABSENT) for run in found) for name in names}
    equal = {name for name in names if len({run.settings.get(name) for run in known}) == 1}
    return Comparison(
        runs=found,
        differing={name: values for name, values in table.items() if name not in equal},
        equal={name: known[0].settings[name] for name in names if name in equal},
        results=_results(found),
        remarks=(*_older(found), *_conclusions([run for run in found if run.metrics])),
    )


def _results(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    measured = {name for run in runs for name in run.metrics}
    names = [name for name in HEADLINES if name in measured]
    names += sorted(measured - {*names, "accuracy_low", "accuracy_high"})
    rows = {name: tuple(_figure(run.metrics.get(name)) for run in runs) for name in names}
    spans = tuple("{:.4f} to {:.4f}".format(*run.interval()) if run.metrics else ABSENT for run in runs)
    first = {"verdict": tuple(run.verdict for run in runs)}
    if measured:
        accuracy = tuple(
            value if run.metrics else NO_RESULT for run, value in zip(runs, rows.pop("accuracy"), strict=True)
        )
        first |= {"accuracy": accuracy, "95 % interval": spans}
    cost = {
        "seconds": tuple(f"{run.seconds:.1f}" for run in runs),
        "peak MB": tuple(f"{run.peak_mb}" for run in runs),
    }
    return first | rows | cost


def _figure(value: float | None) -> str:
    if value is None:
        return ABSENT
    return f"{value:.0f}" if value > 1 and value == int(value) else f"{value:.4f}"


def _older(runs: Sequence[Run]) -> list[str]:
    names = [run.name for run in runs if not run.settings]
    return [f"{', '.join(names)}: made by an older version, which kept no settings and no metrics"] if names else []


def _conclusions(judged: Sequence[Run]) -> list[str]:
    if len(judged) < FEWEST_RUNS:
        return ["fewer than two runs have a result, so there is nothing to conclude"]
    if any(run.data is None for run in judged) or len({_test_rows(run) for run in judged}) > 1:
        return [
            "the runs were judged on other test rows (data, seed or split differ), so their metrics can't be compared"
        ]
    best = max(judged, key=lambda run: run.metrics["accuracy"])
    pairs = [_pair(best, run) for run in judged if run is not best]
    return [f"same test rows, {best.metrics['test_rows']:.0f} of them; best accuracy: {best.name}", *pairs]


def _test_rows(run: Run) -> tuple[Any, ...]:
    """Return what decides which rows a run was judged on."""
    dealt = tuple(sorted(item for item in run.settings.items() if item[0].partition(".")[0] in ("seed", "split")))
    return run.data, run.metrics["test_rows"], dealt


def _pair(best: Run, other: Run) -> str:
    if other.interval()[1] >= best.interval()[0]:
        return f"{other.name} and {best.name}: cannot tell them apart, their 95 % intervals overlap"
    return f"{other.name} is worse than {best.name}: their 95 % intervals do not overlap"


def render_text(comparison: Comparison) -> str:
    """Return the comparison for a terminal."""
    runs = comparison.runs
    legend = [f"{_mark(index)}  {run.name}" for index, run in enumerate(runs)]
    rows = [("", *(_mark(index) for index in range(len(runs))))]
    rows += [(name, *values) for name, values in comparison.differing.items()]
    rows += [(name, *values) for name, values in comparison.results.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(f"{cell:<{wide}}" for cell, wide in zip(row, widths, strict=True)).rstrip() for row in rows]
    table.insert(1 + len(comparison.differing), "")
    equal = f"{len(comparison.equal)} settings are equal" if comparison.equal else ""
    return "\n".join([*legend, "", *table, "", *filter(None, (equal, *comparison.remarks))])


def render_html(comparison: Comparison) -> str:
    """Return the comparison as one HTML page without a single outside reference."""
    runs = comparison.runs
    head = ("", *(_mark(index) for index in range(len(runs))))
    remarks = "".join(f"<li>{escape(remark)}" for remark in comparison.remarks)
    body = [
        f"<h1>{len(runs)} runs</h1><ul>{remarks}</ul>",
        f"<div class=wide>{_picture(runs)}</div>",
        "<h2>What differs</h2>" if comparison.differing else "<h2>No setting differs</h2>",
        _table(head, comparison.differing) if comparison.differing else "",
        "<h2>Results</h2>",
        _table(head, comparison.results),
        f"<details><summary>{len(comparison.equal)} settings are equal</summary>",
        _table(("setting", "value"), {name: (value,) for name, value in comparison.equal.items()}),
        "</details>",
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{len(runs)} runs compared</title><style>{STYLE}details {{ margin-top: 2.2rem }}</style>"
        f"{''.join(body)}</html>\n"
    )


def _mark(index: int) -> str:
    return f"#{index + 1}"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _table(head: tuple[str, ...], rows: Mapping[str, tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    cells = (f"<tr><td>{escape(name)}{''.join(f'<td>{escape(v)}' for v in values)}" for name, values in rows.items())
    return f"<div class=wide><table><tr>{titles}</tr>{''.join(cells)}</table></div>"


def _picture(runs: Sequence[Run]) -> str:
    """Draw each run: its accuracy as a dot on its interval, and the seconds that it took."""
    ends = [end for run in runs if run.metrics for end in run.interval()] or [0.0, 1.0]
    step = _step(max(ends) - min(ends))
    low, high = math.floor(min(ends) / step) * step, math.ceil(max(ends) / step) * step
    bottom = ROW_HIGH * (len(runs) + 1)

    def place(value: float) -> float:
        return DOTS_FROM + (value - low) / (high - low) * DOTS_WIDE

    parts = [_text(DOTS_FROM, 14, "accuracy, 95 % interval", GREY), _text(COST_FROM, 14, "seconds", GREY)]
    for tick in range(round((high - low) / step) + 1):
        value = low + tick * step
        parts.append(f"<path d='M{place(value):.1f} 24V{bottom}' stroke='#e6e8eb'/>")
        parts.append(_text(place(value), bottom + 16, f"{value:.4g}", GREY, anchor="middle"))
    longest = max(run.seconds for run in runs) or 1.0
    for index, run in enumerate(runs):
        middle = ROW_HIGH * (index + 1) + 6
        parts.append(_text(0, middle + 4, f"{_mark(index)} {_short(run.name)}", INK))
        parts.append(_dot(run, place, middle))
        wide = run.seconds / longest * COST_WIDE
        parts.append(f"<rect x='{COST_FROM}' y='{middle - 7}' width='{wide:.1f}' height='14' fill='{GREY}' rx='2'/>")
        parts.append(_text(COST_FROM + wide + 6, middle + 4, f"{run.seconds:.1f}", INK))
    size = f"{COST_FROM + COST_WIDE + 60} {bottom + 24}"
    return (
        f"<svg viewBox='0 0 {size}' font-size='13' role='img' aria-label='accuracy and seconds'>{''.join(parts)}</svg>"
    )


def _step(span: float) -> float:
    """Return the distance of ticks: 1, 2 or 5 times a power of ten, at most six of them over the span."""
    least = max(span, 0.001) / 5
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _dot(run: Run, place: Callable[[float], float], y: int) -> str:
    if not run.metrics:
        return _text(DOTS_FROM, y + 4, NO_RESULT, GREY)
    low, high = (f"{place(end):.1f}" for end in run.interval())
    bar = f"<path d='M{low} {y}H{high}' stroke='{BLUE}' stroke-width='5' stroke-opacity='.3' stroke-linecap='round'/>"
    return f"{bar}<circle cx='{place(run.metrics['accuracy']):.1f}' cy='{y}' r='5' fill='{BLUE}'/>"


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return f"<text x='{x:.1f}' y='{y}' fill='{colour}' text-anchor='{anchor}'>{escape(text)}</text>"
