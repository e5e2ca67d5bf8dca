"""What every attack stands on: a package, a scratch folder, how much of it there shall be, and its one line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from attack.client import Call
from attack.clients import SERVER_CPU, Client, Found, load
from attack.model import Model, picture_object, tensor_object
from attack.process import Predictor
from attack.seeds import dumped

#: A good client's slowest answers may double under attack, and below this nobody calls them slow.
TIMES, FLOOR_MS = 2, 5.0
#: Requests a second of a good client that shall not notice an attack.
CALM = 100


@dataclass(frozen=True)
class Scale:
    """How much of everything.

    Attributes:
        connections: Half-open ones.
        receive_seconds: The time that a request has to arrive.
        flood_bytes: Of a body.
        junk: Requests.
        chunks: Of one byte.
        seconds: Of each measurement.
        leaving: Clients that do not wait.
        restarts: Of one replica.
        drain_seconds: What a replica waits after SIGTERM; the proxy lags up to a second less.
        flips: Of each file.
        soak: Requests.
        warm: Of them, those after which memory is measured first; the store of answers for feedback is full by then.
    """

    connections: int = 1500
    receive_seconds: float = 5
    flood_bytes: int = 2 << 30
    junk: int = 10_000
    chunks: int = 1_000_000
    seconds: float = 8
    leaving: int = 200
    restarts: int = 10
    drain_seconds: float = 6
    flips: int = 5
    soak: int = 1_000_000
    warm: int = 40_000


SMALL = Scale(
    connections=60, receive_seconds=1, flood_bytes=64 << 20, junk=300, chunks=20_000, seconds=1, leaving=40, restarts=1,
    drain_seconds=1, flips=1, soak=4_000, warm=1_000,
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """The line of an attack."""

    measured: str
    target: str
    passed: bool


class Ground:
    """What an attack has to work with.

    Args:
        package: What the predictor serves.
        folder: Scratch.
        scale: How much.
    """

    def __init__(self, package: Path, folder: Path, scale: Scale) -> None:
        self.package, self.folder, self.scale = package, folder, scale
        self.model = Model.open(package)

    def start(self, *flags: str, package: Path | None = None, name: str = "predictor") -> Predictor:
        """Start a predictor on the CPU for servers."""
        return Predictor(package or self.package, self.folder, *flags, cpu=SERVER_CPU, name=name)

    def good(self, rows: int = 1) -> Call:
        """Return a good call with this many rows; to a model of pictures they are sent as its clients do, encoded."""
        if self.model.picture:
            tensor = next(iter(self.model.inputs.values()))
            encoded = [self.model.encoded(row % len(self.model.scores)) for row in range(rows)]
            return Call("POST", self.model.path, dumped({"inputs": [picture_object(tensor, encoded)]}))
        inputs = [
            tensor_object(tensor, self.model.rows[name][[row % len(self.model.scores) for row in range(rows)]])
            for name, tensor in self.model.inputs.items()
        ]
        return Call("POST", self.model.path, dumped({"inputs": inputs}))

    def bad(self) -> list[Call]:
        """Return calls that are refused, each for another reason."""
        bodies = (b"", b"{", b'{"inputs":[]}', b"[" * 500, self.good().body.replace(b"shape", b"form"), b"\xff" * 100)
        calls = [Call("POST", self.model.path, body) for body in bodies]
        return [*calls, Call("POST", "/v2/models/other/infer", b"{}"), Call("GET", self.model.path)]

    def bystander(self, predictor: Predictor, seconds: float) -> Client:
        """Start a good client that measures what an attack does to it."""
        return Client.start(self.folder, predictor.http, [self.good()], seconds, rate=CALM)

    def beside(self, predictor: Predictor, attack: Callable[[], object], seconds: float) -> "Beside":
        """Attack beside a good client, after it has measured the calm."""
        load(self.folder, predictor.http, [self.good()], 1, rate=CALM)
        calm = load(self.folder, predictor.http, [self.good()], self.scale.seconds, rate=CALM)
        client = self.bystander(predictor, seconds)
        attack()
        return Beside(calm, client.found())


@dataclass(frozen=True)
class Beside:
    """What a good client saw, in calm and under attack."""

    calm: Found
    attacked: Found

    @property
    def unharmed(self) -> bool:
        """Whether it had its answers in the usual time."""
        return not self.attacked.failed and self.attacked.cut("200", "p99") < self.bound

    @property
    def bound(self) -> float:
        """How slow the slowest hundredth may be, in ms."""
        return max(TIMES * self.calm.cut("200", "p99"), FLOOR_MS)

    def __str__(self) -> str:
        before, after = self.calm.cut("200", "p99"), self.attacked.cut("200", "p99")
        return f"good client's p99 {before:.1f} -> {after:.1f} ms, {self.attacked.failed} failed"
