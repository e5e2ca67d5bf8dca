"""Findings that stay, each with the reason; a waiver that waives nothing is a finding itself.

The file is a list of mappings ``{rule, object, overlay, reason}``. ``object`` is ``kind/name`` or
``kind/name[container]`` with ``*`` for anything, and without a container it means all of them; ``overlay`` may be left
out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from manifests.documents import Finding, matches

FIELDS = frozenset({"rule", "object", "reason"})


class WaiverError(Exception):
    """The file of waivers says what no waiver can say; the message names the entry."""


@dataclass(frozen=True)
class Waiver:
    """One reason to leave findings as they are.

    Attributes:
        rule: That it is about.
        place: Pattern of ``kind/name`` or ``kind/name[container]``.
        reason: In a sentence.
        overlay: That alone it is about; any, if empty.
        used: In which overlays it has waived something.
    """

    rule: str
    place: str
    reason: str
    overlay: str = ""
    used: set[str] = field(default_factory=set, compare=False)

    def covers(self, rule: str, where: str, overlay: str) -> bool:
        """Return whether it is about a finding, and remember that."""
        places = {where, where.partition("[")[0]}
        meant = (
            self.rule == rule and self.overlay in {"", overlay} and any(matches(self.place, each) for each in places)
        )
        if meant:
            self.used.add(overlay)
        return meant


def read_waivers(path: Path, rules: Iterable[str]) -> list[Waiver]:
    """Return the waivers of some rules; the file may hold those of other programs.

    Raises:
        WaiverError: An entry lacks a field or its reason, or has a field that waivers have not.
    """
    meant = set(rules)
    entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    if not isinstance(entries, list):
        raise WaiverError(f"{path} must be a list of waivers")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not entry.keys() >= FIELDS or not entry.keys() <= FIELDS | {"overlay"}:
            raise WaiverError(f"{path}: waiver {number} must have rule, object, reason and perhaps overlay: {entry}")
        if not all(isinstance(value, str) and value.strip() for value in entry.values()):
            raise WaiverError(f"{path}: waiver {number} says nothing in one of its fields: {entry}")
    return [
        Waiver(each["rule"], each["object"], each["reason"], each.get("overlay", ""))
        for each in entries
        if each["rule"] in meant
    ]


def kept(findings: Iterable[Finding], waivers: list[Waiver], overlay: str) -> list[Finding]:
    """Return the findings that nothing waives; every waiver that covers one counts as used."""
    return [
        finding
        for finding in findings
        if not any([waiver.covers(finding.rule, finding.where, overlay) for waiver in waivers])  # noqa: C419 (all count)
    ]


def unused(waivers: list[Waiver], overlays: Iterable[str], file: str, *, all_of_them: bool) -> list[Finding]:
    """Return a finding for each waiver that has waived nothing.

    Args:
        waivers: After :func:`kept`.
        overlays: That were looked at.
        file: Name of the waivers' file.
        all_of_them: Whether there are no other overlays; only then a waiver that names none must have waived something.
    """
    looked = set(overlays)
    return [
        Finding("waiver-unused", f"{file}/{waiver.rule}[{waiver.place}]", "waives nothing", "take it out")
        for waiver in waivers
        if not waiver.used and (waiver.overlay in looked or (all_of_them and not waiver.overlay))
    ]
