"""Registered models: one version for each package, and the aliases that say which of them is served.

Several processes may register one package at once: the store decides who creates its version.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from mlflow.exceptions import MlflowException

from components.record import Note
from components.store import Store
from components.tracking import Tracking, pages

CHAMPION, CHALLENGER = "champion", "challenger"
DIGEST_TAG, BEFORE_TAG, WHY_TAG = "slipway.digest", "slipway.before", "slipway.why"
#: How long another process may take to create a version before it counts as gone.
#: What MLflow keeps of a tag.
MOST_TAG = 5000
PATIENCE_SECONDS, POLL_SECONDS = 15.0, 0.3


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a registered model.

    Attributes:
        name: The model's.
        version: Its number.
        aliases: Those that point to it.
        digest: Of its package.
        uri: The package's folder, ending in a slash.
        run_id: MLflow's id of the run that made it.
        created: Seconds since the epoch.
        tags: All of them.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    digest: str
    uri: str
    run_id: str
    created: float
    tags: Mapping[str, str]


class Registry:
    """The registered models of an MLflow.

    Args:
        tracking: The connection.
    """

    def __init__(self, tracking: Tracking) -> None:
        self._tracking, self._client = tracking, tracking.client

    def versions(self, name: str | None = None) -> list[Version]:
        """Return the versions of one model or of all, the newest first.

        Raises:
            TrackingError: MLflow refused or can't be reached.
        """
        return self._tracking.call(lambda: self._versions(f"name = '{name}'" if name else ""))

    def champion(self, name: str) -> Version | None:
        """Return the version that is champion.

        Raises:
            TrackingError: MLflow refused or can't be reached.
        """
        return next((version for version in self.versions(name) if CHAMPION in version.aliases), None)

    def register(self, note: Note, run_id: str, store: Store) -> Version:
        """Return the version of a package at its place; create it on first sight.

        Args:
            note: Of a run that passed.
            run_id: MLflow's id of the run.
            store: Decides between several processes that see it first at once.

        Raises:
            StoreError: The store can't be reached.
            TrackingError: MLflow refused or can't be reached in time.
        """
        return self._tracking.call(lambda: self._once(note, run_id, store))

    def crown(self, version: Version, note: Note) -> tuple[str, ...]:
        """Move the aliases to a version as its comparison with the champion says, and return those that moved.

        A champion that is another by now than the one it was compared with stays.

        Raises:
            TrackingError: MLflow refused or can't be reached.
        """
        return self._tracking.call(lambda: self._crown(version, note))

    def roll_back(self, champion: Version, version: Version, reason: str) -> None:
        """Make another version champion, and add to both why; going back once more undoes a choice out of turn.

        Args:
            champion: The one that is champion now.
            version: The one that shall be.
            reason: In the words of whoever does it.

        Raises:
            TrackingError: MLflow refused or can't be reached.
        """

        def move() -> None:
            moment = datetime.now(UTC).isoformat(timespec="seconds")
            ways = ((champion, f"rolled back to {version.version}"), (version, f"back from {champion.version}"))
            for held, way in ways:
                told = "\n".join([*filter(None, [held.tags.get(WHY_TAG)]), f"{moment} {way}: {reason}"])
                self._client.set_model_version_tag(held.name, held.version, WHY_TAG, told[-MOST_TAG:])
            if champion.tags.get(BEFORE_TAG) != version.version:
                self._client.set_model_version_tag(version.name, version.version, BEFORE_TAG, champion.version)
            self._client.set_registered_model_alias(version.name, CHAMPION, version.version)

        self._tracking.call(move)

    def _versions(self, where: str) -> list[Version]:
        aliases: dict[str, dict[str, list[str]]] = {}
        found = []
        for item in pages(partial(self._client.search_model_versions, where or None)):
            if item.name not in aliases:
                aliases[item.name] = {}
                # The versions of a search have no aliases; their model has.
                for alias, number in self._client.get_registered_model(item.name).aliases.items():
                    aliases[item.name].setdefault(str(number), []).append(alias)
            found.append(_version(item, aliases[item.name].get(str(item.version), [])))
        return sorted(found, key=lambda version: (version.name, -int(version.version)))

    def _find(self, note: Note) -> Version | None:
        where = f"name = '{note.name}' and tags.`{DIGEST_TAG}` = '{note.package}'"
        same = [version for version in self._versions(where) if version.uri == note.uri]
        return same[-1] if same else None

    def _once(self, note: Note, run_id: str, store: Store) -> Version:
        """Find the version, or be the only process that creates it."""
        attempt = 0
        while not (found := self._find(note)):
            key = f"{note.name}/registering/{note.package}.{attempt}"
            if _claim(store, key):
                try:
                    return self._find(note) or self._create(note, run_id)
                finally:
                    store.remove(key)
            until = time.monotonic() + PATIENCE_SECONDS
            while time.monotonic() < until and not (found := self._find(note)) and store.exists(key):
                time.sleep(POLL_SECONDS)
            if found:
                break
            # Whoever holds the claim is gone; of those who wait, one takes the next.
            attempt += store.exists(key)
        return found

    def _create(self, note: Note, run_id: str) -> Version:
        try:
            self._client.create_registered_model(note.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        figures = {name: f"{note.metrics[name]:.4f}" for name in ("accuracy", "accuracy_low", "accuracy_high")}
        tags = {DIGEST_TAG: note.package, "run": note.run, **figures, **note.tags()}
        created = self._client.create_model_version(
            note.name, source=note.uri, run_id=run_id, tags=tags, await_creation_for=None
        )
        return _version(created, [])

    def _crown(self, version: Version, note: Note) -> tuple[str, ...]:
        now = next((found for found in self._versions(f"name = '{note.name}'") if CHAMPION in found.aliases), None)
        compared = note.comparison.version if note.comparison else None
        wanted = note.comparison.action if note.comparison else "promote"
        moved = []
        if wanted == "promote" and (now.version if now else None) in (compared, version.version):
            if not now or now.version != version.version:
                self._set_champion(version, note.reason)
            moved = [CHAMPION]
        # Last, so that a repeated step that ended in between still moves what is left.
        self._client.set_registered_model_alias(note.name, CHALLENGER, version.version)
        return (*moved, CHALLENGER)

    def _set_champion(self, version: Version, why: str) -> None:
        now = next((found for found in self._versions(f"name = '{version.name}'") if CHAMPION in found.aliases), None)
        tags = {WHY_TAG: why, **({BEFORE_TAG: now.version} if now and now.version != version.version else {})}
        for name, value in tags.items():
            self._client.set_model_version_tag(version.name, version.version, name, value)
        self._client.set_registered_model_alias(version.name, CHAMPION, version.version)


def _version(item: Any, aliases: list[str]) -> Version:
    tags = dict(item.tags)
    return Version(
        name=item.name,
        version=str(item.version),
        aliases=tuple(sorted(aliases)),
        digest=tags.get(DIGEST_TAG, ""),
        uri=str(item.source),
        run_id=str(item.run_id or ""),
        created=item.creation_timestamp / 1000,
        tags=tags,
    )


def _claim(store: Store, key: str) -> bool:
    with NamedTemporaryFile() as file:
        file.write(b"{}")
        file.flush()
        return store.create(key, Path(file.name))
