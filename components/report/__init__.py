"""The report of a run: one HTML file that needs nothing else, to be mailed, archived and read."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.config import Config
from components.dataset import SPLITS, Splits
from components.preprocess import read_findings
from components.report.mistakes import Mistake

if TYPE_CHECKING:
    from components.evaluate import Evaluation

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2024; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin-top: 2.2rem } .quiet { color: #60646c }
.verdict { padding: .7rem 1rem; border-left: 5px solid; margin: 1.2rem 0 }
.passed { border-color: #2b9a66; background: #e9f6ef } .refused { border-color: #ce2c31; background: #feebec }
table { border-collapse: collapse } th, td { padding: .25rem .8rem; text-align: right }
th, td { border-bottom: 1px solid #e6e8eb }
th:first-child, td:first-child { text-align: left } .columns { display: flex; flex-wrap: wrap; gap: 2rem }
.wide { overflow-x: auto } td { overflow-wrap: anywhere }
figure { margin: 0 } figcaption { font-weight: 600 } svg { max-width: 100%; height: auto }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee }
  svg { background: #fff } .verdict { color: #111 } }
"""

PRICELESS = (
    "To see what it cost, set what an hour costs: prices.cpu of a core, prices.memory of a GB, prices.gpu of a GPU."
)


def render_report(
    config: Config,
    splits: Splits,
    evaluation: "Evaluation",
    drawn: Mapping[str, Path],
    mistakes: Sequence[Mistake],
    trials: Sequence[Mapping[str, Any]],
    took: Mapping[str, str],
    curves: Mapping[str, Path],
) -> str:
    """Return the report as HTML without a single outside reference.

    Args:
        config: The run.
        splits: The data.
        evaluation: What was measured.
        drawn: SVG files by title.
        mistakes: The most confident ones.
        trials: The account of a sweep, or none.
        took: What training took, by name; empty where it left no account.
        curves: SVG files of how training went on, by title.
    """
    measured = evaluation.metrics
    headline = (
        f"accuracy {measured['accuracy']:.4f}, 95 % interval {measured['accuracy_low']:.4f} to "
        f"{measured['accuracy_high']:.4f}, on {measured['test_rows']:.0f} test rows"
    )
    body = [
        f"<h1>{escape(config.name)}</h1><p class=quiet>{escape(config.train.model)}, {escape(headline)}</p>",
        f"<p class='verdict {evaluation.verdict}'><b>{evaluation.verdict}:</b> {escape(evaluation.reason)}</p>",
        *_comparison(evaluation),
        _figures(drawn),
        *_mistakes(mistakes),
        "<h2>Per class</h2>",
        _table(("label", "precision", "recall", "f1", "support"), _class_rows(evaluation)),
        *_slices(evaluation),
        *_trials(trials),
        *_training(took, curves, sweep=bool(trials)),
        "<h2>Metrics</h2>",
        _table(("metric", "value"), [(name, f"{value:.4g}") for name, value in sorted(measured.items())]),
        *_data(splits),
        "<h2>Configuration</h2>",
        _table(("setting", "value"), list(config.flat().items())),
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(config.name)}: {evaluation.verdict}</title><style>{STYLE}</style>{''.join(body)}</html>\n"
    )


def _comparison(evaluation: "Evaluation") -> list[str]:
    found = evaluation.comparison
    if found is None:
        return []
    led = {
        "promote": "becomes champion",
        "challenge": "is published as challenger, the champion stays",
        "refuse": "is not published",
    }
    after = led[found.action] if evaluation.verdict == "passed" else led["refuse"]
    return [f"<p>Beside the champion: {escape(found.reason)}. This model {after}.</p>"]


def _mistakes(mistakes: Sequence[Mistake]) -> list[str]:
    """Show the mistakes as rows of a table; pictures are a figure."""
    rows = [mistake for mistake in mistakes if mistake.values]
    if not rows:
        return []
    head = ("is", "taken for", "sure", *rows[0].values)
    cells = [(row.truth, row.predicted, f"{row.confidence:.0%}", *row.values.values()) for row in rows]
    return ["<h2>Most confident mistakes</h2>", f"<div class=wide>{_table(head, cells)}</div>"]


def _slices(evaluation: "Evaluation") -> list[str]:
    body = []
    for column, values in evaluation.slices.items():
        rows = [(name, f"{row['accuracy']:.4f}", _interval(row), f"{row['rows']:.0f}") for name, row in values.items()]
        body += [f"<h2>By {escape(column)}</h2>", _table((column, "accuracy", "95 % interval", "rows"), rows)]
    return body


def _interval(row: Mapping[str, float]) -> str:
    return f"{row['accuracy_low']:.4f} to {row['accuracy_high']:.4f}"


def _trials(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    if not trials:
        return []
    rows = [
        (
            *trial["settings"].values(),
            f"{trial['validation']['accuracy']:.4f}",
            f"{trial['validation']['log_loss']:.4f}",
            "chosen" if trial["chosen"] else "",
        )
        for trial in trials
    ]
    head = (*trials[0]["settings"], "validation accuracy", "log loss", "")
    return [
        "<h2>Trials</h2><p class=quiet>Compared on validation rows; only the chosen one met the test rows.</p>",
        _table(head, rows),
    ]


def _training(took: Mapping[str, str], curves: Mapping[str, Path], *, sweep: bool) -> list[str]:
    if not took:
        return []
    return [
        "<h2>What training took</h2>",
        "<p class=quiet>The chosen trial alone.</p>" if sweep else "",
        _table(("what", "value"), list(took.items())),
        "" if "cost" in took else f"<p class=quiet>{PRICELESS}</p>",
        _figures(curves),
    ]


def _data(splits: Splits) -> list[str]:
    rows = {name: f"{len(splits.part(name))} rows" for name in SPLITS}
    found = read_findings(splits.directory)
    items = "".join(
        f"<li><b>{finding.severity}:</b> {escape(finding.text)}"
        + (f" <span class=quiet>({escape('; '.join(finding.examples))})</span>" if finding.examples else "")
        for finding in found
    )
    return [
        "<h2>Data</h2>",
        _table(("what", "value"), [("version", f"sha256:{splits.rows.digest}"), *rows.items()]),
        f"<ul>{items}</ul>" if items else "<p>Nothing was set aside, and validation found nothing to mention.</p>",
    ]


def _figures(drawn: Mapping[str, Path]) -> str:
    return f"<div class=columns>{''.join(_figure(title, path) for title, path in drawn.items())}</div>"


def _figure(title: str, path: Path) -> str:
    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    # Several figures in one page: their inner names must not meet.
    prefix = path.stem
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    return f"<figure><figcaption>{escape(title)}</figcaption>{svg}</figure>"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>{cells}</table>"


def _class_rows(evaluation: "Evaluation") -> list[tuple[str, ...]]:
    return [
        (
            label,
            f"{row['precision']:.4f}",
            f"{row['recall']:.4f}",
            f"{row['f1']:.4f}",
            f"{row['support']:.0f}",
        )
        for label, row in evaluation.per_class.items()
    ]
