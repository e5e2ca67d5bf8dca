"""The profile of a data set: one HTML page that needs nothing else, findings first, for a person to look at.

It shows what a snapshot holds and refuses nothing; everything that comes from the data is escaped. Preprocessing asks
for it.
"""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from components.profile.pictures import render_pictures
from components.profile.svg import bar, number
from components.profile.table import render_columns
from components.snapshot import Finding, Snapshot

#: With more classes colours can't be told apart, and all rows have one.
MOST_COLOURS = 6
#: With more classes, the rest is folded.
MOST_OPEN_CLASSES = 40
STYLE = """
:root { color-scheme: light dark; --page: #fbfbfa; --card: #fff; --ink: #1d2125; --quiet: #646b73; --line: #e4e6e9;
  --warning: #b25e09; --warning-back: #fdf3e4; --note: #35648f; --note-back: #edf3f9;
  --g0: #4477aa; --g1: #e69138; --g2: #3d9b74; --g3: #c65b7c; --g4: #8a6fc2; --g5: #a8a03a;
  --s0: #4477aa; --s1: #86aed4; --s2: #c3d6ea }
@media (prefers-color-scheme: dark) { :root { --page: #14171a; --card: #1c2024; --ink: #e8eaec; --quiet: #9aa2ab;
  --line: #30363c; --warning: #f0b35f; --warning-back: #33281a; --note: #8dbbe6; --note-back: #1b2936;
  --g0: #6a9fd4; --g1: #efa95c; --g2: #5cbd95; --g3: #df7f9d; --g4: #a991de; --g5: #c6be5c;
  --s0: #6a9fd4; --s1: #466f99; --s2: #2f4861 } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 68rem;
  margin: 0 auto; padding: 2.5rem 1.5rem 4rem; overflow-wrap: anywhere; font-variant-numeric: tabular-nums }
h1 { font-size: 2rem; line-height: 1.2; margin: 0; letter-spacing: -.02em }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem } h3 { font-size: 1rem; margin: 0 0 .5rem }
p { margin: .3rem 0 } .quiet, .kind { color: var(--quiet) } .kind { font-weight: 400; font-size: .85rem }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.6rem 0 0 }
.tiles div, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px }
.tiles div { padding: .7rem 1.1rem; min-width: 8rem; flex: 1 } .tiles dt { color: var(--quiet); font-size: .85rem }
.tiles dd { margin: 0; font-size: 1.5rem; font-weight: 600 }
.tiles .version { flex-basis: 100% } .version dd { font: .85rem/1.6 ui-monospace, monospace }
.finding { border-left: 4px solid; border-radius: 6px; padding: .6rem 1rem; margin: .6rem 0 }
.warning { border-color: var(--warning); background: var(--warning-back) } .warning b { color: var(--warning) }
.note { border-color: var(--note); background: var(--note-back) } .note b { color: var(--note) }
.finding b { margin-right: .4rem } summary { cursor: pointer; color: var(--quiet) } .finding ul { margin: .3rem 0 }
table { border-collapse: collapse; width: 100% } td, thead th { text-align: right; padding: .2rem .6rem }
th { font-weight: 400; text-align: left; padding: .2rem .6rem .2rem 0 } thead th { color: var(--quiet) }
.classes tbody tr { border-top: 1px solid var(--line) } .classes td:nth-child(2) { width: 45% }
.classes td { min-width: 5.5rem } thead th:nth-child(-n+2) { text-align: left } thead th:first-child { padding-left: 0 }
.bar { display: block; width: 100%; height: .8rem } .key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem }
.dot { display: inline-block; width: .7rem; height: .7rem; border-radius: 3px; margin-right: .4rem }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(18.5rem, 1fr)); gap: 1rem; margin-top: .8rem }
.card { display: flex; flex-direction: column; padding: 1rem 1.1rem } .card .kind { float: right }
.card dl { display: grid; grid-template-columns: repeat(3, 1fr); gap: .3rem 1rem; margin: auto 0 0; padding-top: .7rem }
.card dd { margin: 0 } .card dl div:last-child { grid-column: span 2 }
.card dt { color: var(--quiet); font-size: .8rem }
.values { table-layout: fixed } .values td { padding: .1rem 0; width: 3.4rem; font-size: .85rem }
.values td:nth-child(2) { width: 30% } .values td:last-child { width: 2.6rem; color: var(--quiet) }
.values th { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; font-size: .9rem; padding: 0 .5rem 0 0 }
figure { margin: 0 }
.histogram svg { display: block; width: 100%; height: 5.5rem; border-bottom: 1px solid var(--line) }
figcaption { display: flex; justify-content: space-between; color: var(--quiet); font-size: .8rem }
.gallery { border-top: 1px solid var(--line); padding: .8rem 0 } .strip { display: flex; flex-wrap: wrap; gap: .5rem }
.strip img { display: block; height: 96px; border-radius: 5px }
.pixelated { image-rendering: pixelated }
@media (max-width: 44rem) { .classes td:nth-child(2), .classes th:nth-child(2) { display: none }
  .classes td { min-width: 0 } .strip img { height: 64px } }
.mean { padding-right: .8rem; margin-right: .3rem; border-right: 1px solid var(--line) }
"""
COLOURS = "".join(
    f".{name}{index} {{ fill: var(--{name}{index}); background: var(--{name}{index}) }}\n"
    for name, many in (("g", MOST_COLOURS), ("s", 3))
    for index in range(many)
)


def render_profile(
    name: str, snapshot: Snapshot, counts: Mapping[str, Mapping[str, int]], findings: Sequence[Finding]
) -> str:
    """Return the profile as HTML without a single outside reference.

    Args:
        name: Of the model that the data is for.
        snapshot: The data.
        counts: Rows by split and class.
        findings: What the reader and :func:`components.validate.validate` found.
    """
    labels = snapshot.rows.labels
    coloured = len(labels) <= MOST_COLOURS
    groups = snapshot.y if coloured else np.zeros_like(snapshot.y)
    pictures = snapshot.rows.kind == "image"
    body = [
        f"<header><h1>{escape(name)}</h1><p class=quiet>{_what(snapshot)}</p>{_tiles(snapshot, counts)}</header>",
        f"<main><h2>Findings</h2>{_findings(findings)}",
        f"<h2>Classes</h2>{_classes(labels, counts)}",
        f"<h2>{'Pictures' if pictures else 'Columns'}</h2>{_key('g', labels) if coloured else ''}",
        (render_pictures if pictures else render_columns)(snapshot, groups),
    ]
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{escape(name)}: the data</title><style>{STYLE}{COLOURS}</style>{''.join(body)}</main></html>\n"
    )


def _what(snapshot: Snapshot) -> str:
    rows = snapshot.rows
    if rows.kind == "tabular":
        columns = len(rows.numbers) + len(rows.categories)
        return f"a table of {columns} columns: {len(rows.numbers)} number, {len(rows.categories)} category"
    colour = "in colour" if len(rows.shape) > 2 else "grey"  # noqa: PLR2004 (height, width, channels)
    span = f"{number(rows.minimum or 0.0)} to {number(rows.maximum or 1.0)}"
    return f"pictures of {rows.shape[0]} by {rows.shape[1]} pixels, {colour}, values from {span}"


def _tiles(snapshot: Snapshot, counts: Mapping[str, Mapping[str, int]]) -> str:
    used = sum(sum(split.values()) for split in counts.values())
    tiles = {
        "rows read": f"{snapshot.read:,}",
        "rows used": f"{used:,}",
        "rows set aside": f"{snapshot.read - used:,}",
        "classes": f"{len(snapshot.rows.labels):,}",
    }
    drawn = "".join(f"<div><dt>{title}</dt><dd>{value}</dd></div>" for title, value in tiles.items())
    version = f'<div class="version"><dt>version of the data</dt><dd>sha256:{snapshot.digest()}</dd></div>'
    return f'<dl class="tiles">{drawn}{version}</dl>'


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p>Nothing in these rows asks for attention.</p>"
    # Warnings first; within a severity the order stays.
    return "".join(map(_finding, sorted(findings, key=lambda finding: finding.severity != "warning")))


def _finding(finding: Finding) -> str:
    examples = ""
    if finding.examples:
        listed = "".join(f"<li>{escape(example)}</li>" for example in finding.examples)
        word = "example" if len(finding.examples) == 1 else "examples"
        examples = f"<details><summary>{len(finding.examples)} {word}</summary><ul>{listed}</ul></details>"
    return f'<div class="finding {finding.severity}"><b>{finding.severity}</b>{escape(finding.text)}{examples}</div>'


def _classes(labels: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> str:
    commonest = max((sum(split.get(label, 0) for split in counts.values()) for label in labels), default=0)
    rows = [_class(index, label, len(labels), counts, commonest) for index, label in enumerate(labels)]
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in ("class", "rows by split", *counts, "all"))
    first, rest = rows[:MOST_OPEN_CLASSES], rows[MOST_OPEN_CLASSES:]
    table = '<table class="classes"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>'
    folded = f"<details><summary>{len(rest)} more classes</summary>{table.format(heads, ''.join(rest))}</details>"
    return _key("s", list(counts)) + table.format(heads, "".join(first)) + (folded if rest else "")


def _class(index: int, label: str, classes: int, counts: Mapping[str, Mapping[str, int]], commonest: int) -> str:
    split = [rows.get(label, 0) for rows in counts.values()]
    drawn = bar([(f"s{place}", rows) for place, rows in enumerate(split)], commonest)
    dot = f'<span class="dot g{index}"></span>' if classes <= MOST_COLOURS else ""
    cells = "".join(f"<td>{rows:,}</td>" for rows in (*split, sum(split)))
    return f'<tr><th scope="row">{dot}{escape(label)}</th><td>{drawn}</td>{cells}</tr>'


def _key(colours: str, names: Sequence[str]) -> str:
    entries = "".join(
        f'<span><span class="dot {colours}{index}"></span>{escape(name)}</span>' for index, name in enumerate(names)
    )
    return f'<p class="key">{entries}</p>'
