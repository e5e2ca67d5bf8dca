"""The report of a run: one HTML file that needs nothing else, to be mailed, archived and read."""

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from components.config import Config
from components.dataset import SPLITS, Splits

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
figure { margin: 0 } figcaption { font-weight: 600 } svg { max-width: 100%; height: auto }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee }
  svg { background: #fff } .verdict { color: #111 } }
"""


def render_report(config: Config, splits: Splits, evaluation: "Evaluation", drawn: dict[str, Path]) -> str:
    """Return the report as HTML without a single outside reference.

    Args:
        config: The run.
        splits: The data.
        evaluation: What was measured.
        drawn: SVG files by title.
    """
    measured = evaluation.metrics
    headline = (
        f"accuracy {measured['accuracy']:.4f}, 95 % interval {measured['accuracy_low']:.4f} to "
        f"{measured['accuracy_high']:.4f}, on {measured['test_rows']:.0f} test rows"
    )
    rows = {name: f"{len(splits.y(name))} rows" for name in SPLITS}
    body = [
        f"<h1>{escape(config.name)}</h1><p class=quiet>{escape(config.train.model)}, {escape(headline)}</p>",
        f"<p class='verdict {evaluation.verdict}'><b>{evaluation.verdict}:</b> {escape(evaluation.reason)}</p>",
        f"<div class=columns>{''.join(_figure(title, path) for title, path in drawn.items())}</div>",
        "<h2>Per class</h2>",
        _table(("label", "precision", "recall", "f1", "support"), _class_rows(evaluation)),
        "<h2>Metrics</h2>",
        _table(("metric", "value"), [(name, f"{value:.4g}") for name, value in sorted(measured.items())]),
        "<h2>Data</h2>",
        _table(("what", "value"), [("version", f"sha256:{splits.rows.digest}"), *rows.items()]),
        "<h2>Configuration</h2>",
        _table(("setting", "value"), list(config.flat().items())),
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(config.name)}: {evaluation.verdict}</title><style>{STYLE}</style>{''.join(body)}</html>\n"
    )


def _figure(title: str, path: Path) -> str:
    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    # Several figures in one page: their inner names must not meet.
    prefix = path.stem
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    return f"<figure><figcaption>{escape(title)}</figcaption>{svg}</figure>"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
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
