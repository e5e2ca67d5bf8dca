"""``slipway data push | list | pull | verify | diff``: versions of data sets; imports wait until they are needed."""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.config import Data
    from components.store import Store
    from components.versions.manifest import Summary

#: Of a picture, the digest covers the file: the pixels themselves are not wanted here, so few are made.
PIXELS = 16
#: What can't be used is told and not refused: how much of it is too much is for a run to say.
SET_ASIDE = 0.99
MOST_CLASSES_SHOWN = 4
#: How many files `diff` names.
MOST_FILES = 20


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", profile: argparse.ArgumentParser
) -> None:
    """Register ``data`` and its commands."""
    data = commands.add_parser("data", help="keep versions of data sets in the object store")
    data.set_defaults(store=None)
    verbs = data.add_subparsers(required=True, metavar="COMMAND")
    store = argparse.ArgumentParser(add_help=False, parents=[profile])
    store.add_argument("--store", metavar="URI", help="default: SLIPWAY_STORE, or the folder of this machine")
    ref = "NAME, or NAME@DIGEST with at least 6 digits"

    push = verbs.add_parser("push", parents=[store], help="store a version of a data set")
    push.add_argument("source", help="as data.source takes it: a path, file://, s3://, https://")
    push.add_argument("name", help="the data set: lower-case letters, digits and dashes")
    push.add_argument("--label", metavar="COLUMN", help="tables: the column that is learned")
    push.add_argument("--format", choices=("csv", "parquet", "idx", "pictures"), help="where it can't be told")
    push.set_defaults(command=_push)

    list_ = verbs.add_parser("list", parents=[store], help="show the versions, the newest last")
    list_.add_argument("name", nargs="?", help="one data set instead of all")
    list_.set_defaults(command=_list)

    pull = verbs.add_parser("pull", parents=[store], help="bring a version into a folder")
    pull.add_argument("ref", help=ref)
    pull.add_argument("folder", type=Path, nargs="?", help="new or empty; default: the name of the data set")
    pull.set_defaults(command=_pull)

    verify = verbs.add_parser("verify", parents=[store], help="read every file of a version and hold it to its digest")
    verify.add_argument("ref", help=ref)
    verify.set_defaults(command=_verify)

    diff = verbs.add_parser("diff", parents=[store], help="show what differs between two versions")
    diff.add_argument("ref", help=ref)
    diff.add_argument("other", help=ref)
    diff.set_defaults(command=_diff)


def _push(options: argparse.Namespace) -> int:
    from components.config import Data
    from components.section import validate
    from components.versions import push
    from components.versions.manifest import check_name
    from components.versions.transfer import describe, readable, scan

    check_name(options.name)
    store = _store(options)
    asked = {"source": options.source, "label": options.label, "format": options.format}
    data = validate(Data, {**asked, "size": PIXELS, "set_aside": SET_ASIDE}, "data")
    place = _located(data)
    # Taken before the rows are read: what changes between that and the upload is noticed.
    seen = describe(scan(place))
    digest, summary = _read(data, place)
    pushed = push(store, options.name, place, digest=digest, summary=summary, seen=seen, say=_tell)
    manifest = pushed.manifest
    if pushed.new:
        size = readable(manifest.bytes)
        _tell(f"pushed    {manifest.ref}: {manifest.rows:,} rows, {_files(len(manifest.files))}, {size}")
    elif pushed.uploaded:
        _tell(f"mended    {manifest.ref}: {_files(pushed.uploaded)} came back")
    else:
        _tell(f"unchanged {manifest.ref} is in {store.uri} already")
    _tell(f"use it    data.source=data://{manifest.name}@{manifest.digest}")
    return 0


def _located(data: "Data") -> Path:
    """Return where a source is on this machine, fetched if it is elsewhere."""
    from components.destination import cache_folder
    from components.errors import ConfigError
    from components.ingest import locate
    from pipelines.home import Home

    if data.source.startswith("builtin://"):
        raise ConfigError(f"{data.source} comes with Slipway and needs no push; name it as data.source in a run")
    return locate(data, cache_folder(Home().path))


def _read(data: "Data", place: Path) -> "tuple[str, Summary]":
    """Return the version of the data, as a run computes it, and what reading it gave."""
    from components.ingest import guess, ingest
    from components.versions.manifest import Summary

    chosen = data.format or guess(place)
    _need_label(data, chosen, place)
    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        local = data.model_copy(update={"source": str(place), "format": chosen})
        snapshot = ingest(local, Path(scratch), Path(scratch))
        for finding in snapshot.found:
            _tell(f"{finding.severity:9} {finding.text}")
        classes = snapshot.rows.labels
        labels = {label: int((snapshot.y == index).sum()) for index, label in enumerate(classes)}
        summary = Summary.model_validate(
            {"format": chosen, "kind": snapshot.rows.kind, "label": data.label, "rows": len(snapshot), "labels": labels}
        )
        return snapshot.digest(), summary


def _need_label(data: "Data", chosen: str, place: Path) -> None:
    from components.errors import ConfigError

    table = chosen in ("csv", "parquet")
    if table and data.label is None:
        from components.sources.columns import read_columns

        names = ", ".join(column.name for column in read_columns(place, chosen))
        raise ConfigError(f"{data.source} is a table, of which the version covers the label; --label one of {names}")
    if data.label is not None and not table:
        raise ConfigError(f"--label={data.label} is a column of a table, {data.source} is {chosen}; leave it out")


def _list(options: argparse.Namespace) -> int:
    from components.versions import versions
    from components.versions.transfer import readable

    store = _store(options)
    rows = [("VERSION", "PUSHED (UTC)", "ROWS", "FILES", "SIZE", "CLASSES")]
    for version in versions(store, options.name):
        manifest = version.manifest
        pushed = f"{version.pushed:%Y-%m-%d %H:%M}"
        counts = (f"{manifest.rows:,}", f"{len(manifest.files):,}", readable(manifest.bytes))
        rows.append((manifest.ref, pushed, *counts, _classes(manifest.labels)))
    if len(rows) == 1:
        _tell(f"no versions{f' of {options.name}' if options.name else ''} in {store.uri}; slipway data push makes one")
        return 0
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [text.ljust(widths[n]) if n in (0, 1, 5) else text.rjust(widths[n]) for n, text in enumerate(row)]
        _tell("  ".join(cells).rstrip())
    return 0


def _classes(labels: dict[str, int]) -> str:
    if len(labels) > MOST_CLASSES_SHOWN:
        return f"{len(labels)} classes, {min(labels.values()):,} to {max(labels.values()):,} rows"
    return ", ".join(f"{label} {count:,}" for label, count in labels.items())


def _pull(options: argparse.Namespace) -> int:
    from components.versions.manifest import resolve
    from components.versions.transfer import bring

    store = _store(options)
    manifest = resolve(store, options.ref)
    folder = bring(store, manifest, options.folder or Path(manifest.name), _tell, replace=False)
    _tell(f"{manifest.ref} is whole in {folder}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from components.versions import verify
    from components.versions.manifest import resolve

    store = _store(options)
    manifest = resolve(store, options.ref)
    problems = verify(store, f"{manifest.name}@{manifest.digest}", _tell)
    for problem in problems:
        _tell(problem)
    told = f"{len(problems):,} damaged" if problems else "whole and unchanged"
    _tell(f"{manifest.ref}: {_files(len(manifest.files))}, {told}")
    return 1 if problems else 0


def _diff(options: argparse.Namespace) -> int:
    from components.versions import diff

    found = diff(_store(options), options.ref, options.other)
    marked = [("+", found.added), ("-", found.removed), ("~", found.changed)]
    lines = sorted((path, sign) for sign, paths in marked for path in paths)
    for path, sign in lines[:MOST_FILES]:
        _tell(f"{sign} {path}")
    if len(lines) > MOST_FILES:
        _tell(f"  and {len(lines) - MOST_FILES:,} more files")
    for folder, (added, removed, changed) in found.folders().items():
        _tell(f"files in {folder}: {added:,} added, {removed:,} removed, {changed:,} changed")
    for label, (before, after) in found.labels.items():
        _tell(f"rows of {label}: {before:,} before, {after:,} after")
    if not lines:
        _tell("the same files")
    return 0


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _store(options: argparse.Namespace) -> "Store":
    from components.store import open_store
    from pipelines.home import Home

    return open_store(options.store or Home().destinations()["SLIPWAY_STORE"])


def _tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (the command line prints)
