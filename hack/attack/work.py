"""Attacks on the work: too much of it, work that nobody waits for, pictures that explode, and work without end."""

import asyncio
import base64
import json
import time

from attack import pictures
from attack.client import Call
from attack.clients import Client, Found, load
from attack.flood import ask
from attack.ground import Ground, Outcome
from attack.process import HOST, Predictor
from attack.seeds import dumped

#: The peak must be slow enough for one client process to send three times as much.
SLOW_ENOUGH, MOST_ROWS = 400, 256
OVER = (1, 2, 3)
CLOSED_CONNECTIONS, OPEN_CONNECTIONS = 32, 900
GOODPUT, REFUSAL_MS, PROBE_MS = 0.9, 50, 50
PROBE = Call("GET", "/v2/health/live")
BOMB_MB, BOMBS_AT_ONCE = 150, 8
GROWTH = 0.02
SOAK_CONNECTIONS, WATCH_SECONDS = 8, 1.0
#: Work that is queued when its clients leave may delay the next request by what is running, and by this.
LATE_MS = 100
#: How large a request is whose client leaves, and how long the client waits at most.
LEFT_BYTES, MOST_SECONDS = 1 << 18, 2.0


def overload(ground: Ground) -> Outcome:
    """Send up to three times as much as the server can take."""
    with ground.start() as predictor:
        call, peak = _peak(ground, predictor)
        found = {
            times: load(
                ground.folder, predictor.http, [call], ground.scale.seconds, rate=times * peak,
                connections=OPEN_CONNECTIONS, probe=PROBE, skip=ground.scale.seconds / 4,
            )
            for times in OVER
        }  # fmt: skip
    goodput = found[OVER[-1]].rate / peak
    refusal = max(each.cut("503", "max") for each in found.values())
    probe = max(each.cut("probe", "p99") for each in found.values())
    wrong = sum(each.dropped + sum(count for status, count in each.statuses.items() if status not in ("200", "503"))
                for each in found.values())  # fmt: skip
    return Outcome(
        f"peak {peak:.0f}/s; " + "; ".join(f"{times}x: {_told(each)}" for times, each in found.items())
        + f"; goodput at 3x {goodput:.2f} of the peak, slowest refusal {refusal:.0f} ms, probe p99 {probe:.1f} ms, "
        f"{wrong} without an answer of 200 or 503",
        f">= {GOODPUT}, <= {REFUSAL_MS} ms, < {PROBE_MS} ms, 0",
        goodput >= GOODPUT and refusal <= REFUSAL_MS and probe < PROBE_MS and not wrong,
    )  # fmt: skip


def _peak(ground: Ground, predictor: Predictor) -> tuple[Call, float]:
    """Return a call that is work enough, and how many of it a second are answered in a closed loop."""
    rows = 1
    while True:
        call = ground.good(rows)
        rate = load(ground.folder, predictor.http, [call], min(1, ground.scale.seconds), connections=16).rate
        if rate < SLOW_ENOUGH or rows >= MOST_ROWS:
            break
        rows *= 2
    closed = load(ground.folder, predictor.http, [call], ground.scale.seconds, connections=CLOSED_CONNECTIONS)
    return call, closed.rate


def _told(found: Found) -> str:
    refused = found.statuses.get("503", 0)
    return (
        f"{found.rate:.0f}/s good, p99 {found.cut('200', 'p99'):.0f} ms, {refused} refused, p99 "
        f"{found.cut('503', 'p99'):.1f} ms, {found.behind} sent late"
    )


def abandoned(ground: Ground) -> Outcome:
    """Send a lot of work, and leave."""
    with ground.start() as predictor:
        rows = ground.model.limits["max_rows"]
        while len((call := ground.good(rows)).body) > LEFT_BYTES:
            rows //= 2
        alone = min(_seconds(predictor, call) for _ in range(5))
        asyncio.run(
            _leave(predictor, call, ground.scale.leaving, after=min(MOST_SECONDS, ground.scale.leaving * alone / 4))
        )
        delayed = _seconds(predictor, ground.good())
        left = predictor.samples().get('slipway_requests_total{code="499",protocol="rest"}', 0)
    bound = alone * 1000 * 3 + LATE_MS
    return Outcome(
        f"{ground.scale.leaving} clients left work of {ground.scale.leaving * alone:.1f} s, {left:.0f} were noticed, "
        f"the next request took {delayed * 1000:.0f} ms",
        f"> 0, < {bound:.0f} ms",
        left > 0 and delayed * 1000 < bound,
    )


async def _leave(predictor: Predictor, call: Call, count: int, after: float) -> None:
    """Send a call on many connections, and end them all at once while most of the work waits."""
    content = call.raw()
    pairs = [await asyncio.open_connection(HOST, predictor.http) for _ in range(count)]
    for _, writer in pairs:
        writer.write(content)
    await asyncio.gather(*(writer.drain() for _, writer in pairs))
    await asyncio.sleep(after)
    for _, writer in pairs:
        writer.transport.abort()


def _seconds(predictor: Predictor, call: Call) -> float:
    begun = time.perf_counter()
    if (status := ask(predictor, call)) != 200:
        raise SystemExit(f"a good request was answered {status}")
    return time.perf_counter() - begun


def bomb(ground: Ground) -> Outcome:
    """Send pictures that are small, and not when they are decoded."""
    package = ground.package if ground.model.picture else pictures.seal(ground.folder / "pictures")
    again = Ground(package, ground.folder, ground.scale)
    with ground.start(package=package) as predictor:
        ask(predictor, again.good())
        said, passed = [], True
        for name, content in pictures.bombs().items():
            before = predictor.memory()
            predictor.forget_peak()
            statuses = asyncio.run(_at_once(predictor, _picture(again, content)))
            rise = predictor.memory(peak=True) - before
            said.append(f"{name} of {len(content)} bytes {'/'.join(map(str, sorted(set(statuses))))} {rise:+.0f} MB")
            passed = passed and set(statuses) == {400} and rise < BOMB_MB
    return Outcome(f"{', '.join(said)}, {BOMBS_AT_ONCE} at once", f"400, < {BOMB_MB} MB", passed)


async def _at_once(predictor: Predictor, call: Call) -> list[int]:
    return await asyncio.gather(*(asyncio.to_thread(ask, predictor, call) for _ in range(BOMBS_AT_ONCE)))


def _picture(ground: Ground, content: bytes) -> Call:
    name = next(iter(ground.model.inputs))
    data = [base64.b64encode(content).decode()]
    item = {"name": name, "datatype": "BYTES", "shape": [1], "data": data}
    return Call("POST", ground.model.path, dumped({"inputs": [item]}))


def soak(ground: Ground) -> Outcome:
    """Send requests for a long time, a tenth of them bad, and watch the memory."""
    scale = ground.scale
    shown: list[str] = []
    with ground.start("--log", "errors") as predictor:
        _some(ground, predictor, scale.warm)
        warm = predictor.memory()
        client = Client.start(
            ground.folder, predictor.http, [ground.good(), ground.good(3)], 3600, count=scale.soak - scale.warm,
            connections=SOAK_CONNECTIONS, bad=ground.bad(),
        )  # fmt: skip
        begun = time.monotonic()
        while client.process.poll() is None:
            time.sleep(WATCH_SECONDS)
            shown.append(f"{predictor.memory():.1f}")
        found = client.found()
        grown = predictor.memory() / warm - 1
    wrong = found.dropped + sum(count for status, count in found.statuses.items() if status[0] == "5")
    every = max(1, len(shown) // 20)
    rate = found.sent / (time.monotonic() - begun)
    return Outcome(
        f"{scale.soak} requests at {rate:.0f}/s, {json.dumps(found.statuses)}, memory {warm:.1f} MB {grown:+.2%} "
        f"(over time: {' '.join(shown[::every])})",
        f"< {GROWTH:.0%}, no 5xx, none lost",
        grown < GROWTH and not wrong,
    )


def _some(ground: Ground, predictor: Predictor, count: int) -> None:
    load(ground.folder, predictor.http, [ground.good(), ground.good(3)], 600, count=count,
         connections=SOAK_CONNECTIONS, bad=ground.bad())  # fmt: skip
