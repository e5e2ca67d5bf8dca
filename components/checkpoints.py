"""What a training leaves for the one that would go on from it, and its end: once the model is sealed, nobody will.

Not when training ends: a step can be lost between its last line and the moment when what it wrote is safe.
"""

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from components.console import say
from components.errors import StoreError
from components.store import open_store

#: In the folder of a model: where its checkpoints lie.
PLACE = "checkpoints.txt"


def note_place(model: Path, uri: str | None) -> None:
    """Note beside a model where its checkpoints lie, if they lie somewhere."""
    if uri:
        (model / PLACE).write_text(uri, encoding="utf-8")


def clear(model: Path) -> None:
    """Remove what the training of a model left; a store that refuses costs nothing but room."""
    if not (model / PLACE).is_file():
        return
    uri = (model / PLACE).read_text(encoding="utf-8")
    try:
        store = open_store(uri)
        for key in store.keys(""):
            store.remove(key)
    except StoreError as error:
        say(f"the checkpoints in {uri} stay there, until slipway gc: {error}")
        return
    if uri.startswith("file:"):
        # Whatever a killed process left half-written goes as well.
        shutil.rmtree(unquote(urlsplit(uri).path), ignore_errors=True)
