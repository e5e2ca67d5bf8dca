"""The report of a run: a table per workload, the goals, and a picture of the ratios."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.goals import goals
from bench.results import Key, Results
from bench.workloads import Workload

OURS, THEIRS = "#0b6e75", "#b8c4c6"
CLIENTS = 16


def write(results: Results, workloads: Sequence[Workload], head: str, folder: Path) -> str:
    """Write ``report.md``, ``figures.json`` and ``ratios.png``; return the report."""
    parts = [head, *(table(results, workload) for workload in workloads), goals_table(results)]
    text = "\n\n".join(parts) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text)
    (folder / "figures.json").write_text(json.dumps(results.plain(), indent=1))
    draw(results, workloads, folder / "ratios.png")
    return text


def table(results: Results, workload: Workload) -> str:
    """Return the figures of a workload as a table, the fastest first."""
    titles = [
        "peer",
        "view",
        *(title for title, _, _ in _columns(workload)),
        "x kserve JSON",
        "PSS MB",
        "first answer s",
    ]
    lines = [f"### {workload.title}\n", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    lines += [_row(results, workload, peer, view) for peer, view in _contestants(results, workload)]
    for batch in ("1", "8"):
        if rates := results.limits.get((workload.name, batch)):
            lines.append(f"\nIn process, batches of {batch}: {_shown(median(rates))} rows/s.")
    return "\n".join(lines)


def goals_table(results: Results) -> str:
    """Return what was to be reached and what was measured."""
    lines = ["### Goals\n", "| goal | floor | better | measured | |", "|---|---|---|---|---|"]
    for goal in goals(results):
        sign = "<=" if goal.smaller else ">="
        found = "" if goal.found is None else f"{goal.found:.2f}"
        lines.append(f"| {goal.text} | {sign} {goal.floor} | {sign} {goal.better} | {found} | {goal.verdict()} |")
    return "\n".join(lines)


def draw(results: Results, workloads: Sequence[Workload], path: Path) -> None:
    """Draw requests per second of 16 clients as multiples of bare kserve's, a panel per workload."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    panels = [(workload.title, list(_ratios(results, workload))) for workload in workloads]
    heights = [max(1, len(bars)) for _, bars in panels]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(8, 1.2 * len(panels) + 0.3 * sum(heights)), height_ratios=heights, squeeze=False
    )
    for axis, (title, bars) in zip(axes[:, 0], panels, strict=True):
        names, values = [name for name, _ in bars], [value for _, value in bars]
        drawn = axis.barh(names, values, color=[OURS if name.startswith("slipway") else THEIRS for name in names])
        axis.bar_label(drawn, fmt="%.2f", padding=3)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.invert_yaxis()
        axis.margins(x=0.12)
        axis.set_title(title, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("requests/s of 16 clients, as multiples of bare kserve's JSON")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _columns(workload: Workload) -> Iterator[tuple[str, str, int]]:
    """Give the title of a column, its figure and how many clients asked."""
    yield from ((f"req/s, {clients}", "rate", clients) for clients in workload.clients)
    yield "p50 ms, 1", "p50", 1
    yield f"p95, {CLIENTS}", "p95", CLIENTS
    yield from ((f"p99, {clients}", "p99", clients) for clients in workload.clients if clients >= CLIENTS)
    yield "CPU s/1,000", "cpu", CLIENTS


def _row(results: Results, workload: Workload, peer: str, view: str) -> str:
    name = workload.name
    figures = [results.middle((name, peer, view, clients), figure) for _, figure, clients in _columns(workload)]
    ratio = results.ratio("rate", (name, peer, view, CLIENTS), (name, "kserve", "json", CLIENTS))
    figures += [ratio, results.memory.get((name, peer)), median(results.starts[name, peer])]
    return f"| {' | '.join((peer, view, *map(_shown, figures)))} |"


def _contestants(results: Results, workload: Workload) -> list[tuple[str, str]]:
    found = dict.fromkeys((peer, view) for name, peer, view, _ in results.windows if name == workload.name)

    def rate(contestant: tuple[str, str]) -> float:
        return results.middle((workload.name, *contestant, CLIENTS), "rate") or 0

    return sorted(found, key=rate, reverse=True)


def _ratios(results: Results, workload: Workload) -> Iterator[tuple[str, float]]:
    base: Key = (workload.name, "kserve", "json", CLIENTS)
    for peer, view in _contestants(results, workload):
        ratio = results.ratio("rate", (workload.name, peer, view, CLIENTS), base)
        if ratio is not None:
            yield f"{peer} {view}", ratio


def _shown(value: float | None) -> str:
    """Return a figure with as many digits as it is worth."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
