"""Checkpoints: what training goes on from after its process is lost, in a folder or an object store.

One file is one checkpoint: numbers as safetensors, which holds no code, under a name that carries its own SHA-256. It
is written beside training, whole or not at all, and the one before stays until it is there.
"""

import hashlib
import json
import re
import signal
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from safetensors.torch import load, save
from torch import Tensor

from components.console import say
from components.errors import Stopped, StoreError
from components.store import open_store

NAME = re.compile(r"(\d{12})-([0-9a-f]{16})\.safetensors")
KEPT = 2
PROGRESS = "progress"

State = tuple[dict[str, Tensor], dict[str, Any]]


class Keeper:
    """Keeps the checkpoints of one training, and hears SIGTERM until its ``with`` block ends.

    Args:
        uri: The training's own folder in a store; none keeps nothing.
        seconds: From one checkpoint to the next; zero keeps none.
    """

    def __init__(self, uri: str | None, seconds: float) -> None:
        self._uri = uri if seconds > 0 else None
        self._store = open_store(self._uri) if self._uri else None
        self._seconds, self._told = seconds, time.monotonic()
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None
        self._before: Any = None
        self.stopping = False
        self.last: str | None = None

    def __enter__(self) -> Self:
        """Hear SIGTERM, where there is a checkpoint to be made of it."""
        if self._store and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is being written."""
        self._writer.shutdown()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (Python's signature)
        self.stopping = True

    def latest(self) -> bytes | None:
        """Return the latest whole checkpoint; a damaged one is told and passed over.

        Raises:
            StoreError: The store can't be read.
        """
        if self._store is None:
            return None
        with tempfile.TemporaryDirectory() as scratch:
            for key in reversed(self._keys()):
                try:
                    self._store.get(key, Path(scratch) / key)
                except StoreError:
                    if self._store.exists(key):
                        raise
                    continue  # a process that is on its way out has removed it meanwhile
                content = (Path(scratch) / key).read_bytes()
                if _digest(content) == NAME.fullmatch(key)[2]:  # type: ignore[index]  # _keys has only such
                    self.last = f"{self._uri}/{key}"
                    return content
                say(f"{self._uri}/{key} is damaged; going on from the one before")
                # It would count as the latest for ever.
                self._store.remove(key)
        return None

    def due(self) -> bool:
        """Tell whether it is time for a checkpoint, and the one before is written."""
        written = self._writing is None or self._writing.done()
        return self._store is not None and written and time.monotonic() - self._told >= self._seconds

    def keep(self, step: int, state: State, *, wait: bool = False) -> None:
        """Copy a state now and write it beside what follows.

        A store that refuses costs the checkpoint, not the training.

        Args:
            step: Where training stands.
            state: Tensors by name, and what JSON can hold.
            wait: Return when it is written.
        """
        if self._store is None:
            return
        tensors, notes = state
        copied = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        self._told = time.monotonic()
        self._writing = self._writer.submit(self._write, step, copied, json.dumps(notes))
        if wait:
            self.wait()

    def heed(self) -> None:
        """End, if SIGTERM came: what was kept last is what a retry goes on from.

        Raises:
            Stopped: It came.
        """
        if self.stopping:
            self.wait()
            say(f"stopped by SIGTERM; a retry goes on from {self.last or 'the start'}")
            raise Stopped

    def wait(self) -> None:
        """Wait for what is being written."""
        if self._writing:
            self._writing.result()

    def _keys(self) -> list[str]:
        return [key for key in self._store.keys("") if NAME.fullmatch(key)] if self._store else []

    def _write(self, step: int, tensors: dict[str, Tensor], notes: str) -> None:
        if self._store is None:
            return
        content = save(tensors, {PROGRESS: notes})
        key = f"{step:012d}-{_digest(content)}.safetensors"
        try:
            with tempfile.TemporaryDirectory() as scratch:
                path = Path(scratch) / key
                path.write_bytes(content)
                self._store.put(key, path)
            self.last = f"{self._uri}/{key}"
            others = [other for other in self._keys() if other != key]
            # Of two of the same step, as at an epoch's end, the names do not tell which is the later one.
            earlier = [other for other in others if not other.startswith(f"{step:012d}-")]
            for old in set(others).difference(earlier[1 - KEPT :]):
                self._store.remove(old)
        except Exception as error:  # noqa: BLE001 (whatever it is, the training is worth more)
            say(f"no checkpoint of step {step}: {error}; training goes on")


def read(content: bytes) -> State:
    """Return the state that a checkpoint holds."""
    # The format of safetensors: the header's length in eight bytes, the header as JSON, then the numbers.
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    return load(content), json.loads(header["__metadata__"][PROGRESS])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
