"""Ask over REST for a while and tell how it went: load.py URL BODY_FILE SECONDS CLIENTS [PAUSE_MS] [FRESH_EVERY].

Every client keeps its connection and opens a fresh one after so many requests, or when the server says that it closes,
as clients behind a Service do. Nothing is asked twice: a request without an answer of 200 is a failed request. At most
``SECONDS`` and ``MOST`` requests, and no longer than somebody holds its standard input open. Prints one JSON object.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

MOST = 500_000
PATIENCE = 15.0


class Load:
    def __init__(self, url: str, body: bytes, seconds: float, pause: float, fresh: int) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.pause, self.fresh = parts.hostname, parts.port or 80, pause, fresh
        self.request = (
            f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode() + body
        self.end = time.monotonic() + seconds
        self.asked = 0
        self.codes: Counter[str] = Counter()
        self.packages: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.answered, self.gap = time.monotonic(), 0.0
        self.faults: list[str] = []

    async def client(self) -> None:
        reader = writer = None
        asked = 0
        while time.monotonic() < self.end and self.asked < MOST:
            self.asked += 1
            begun = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    if writer is None:
                        reader, writer = await asyncio.open_connection(self.host, self.port)
                        asked = 0
                    writer.write(self.request)
                    code, content, closing = await self.answer(reader)
                asked += 1
                self.codes[code] += 1
                if code == "200":
                    self.gap = max(self.gap, time.monotonic() - self.answered)
                    self.answered = time.monotonic()
                    self.packages[json.loads(content)["parameters"]["package"]] += 1
                else:
                    self.note(f"{code} {content[:200].decode(errors='replace')}")
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError, KeyError) as error:
                self.codes["failed"] += 1
                self.note(f"{type(error).__name__}: {error} after {asked} requests on the connection")
                closing = True
            self.latencies.append(time.monotonic() - begun)
            if writer is not None and (closing or asked >= self.fresh):
                writer.close()
                reader = writer = None
            if self.pause:
                await asyncio.sleep(self.pause)

    def note(self, fault: str) -> None:
        if len(self.faults) < 20:
            self.faults.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {fault}")

    async def until_let_go(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()
        self.end = 0.0

    async def answer(self, reader: asyncio.StreamReader) -> tuple[str, bytes, bool]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        content = await reader.readexactly(int(headers["content-length"]))
        return head[0].split()[1], content, headers.get("connection") == "close"


async def main(url: str, body: bytes, seconds: str, clients: str, pause: str = "0", fresh: str = "50") -> None:
    load = Load(url, body, float(seconds), float(pause) / 1000, int(fresh))
    begun = time.monotonic()
    held = asyncio.create_task(load.until_let_go())
    await asyncio.gather(*(load.client() for _ in range(int(clients))))
    held.cancel()
    times = sorted(load.latencies) or [0.0]
    print(
        json.dumps(
            {
                "requests": sum(load.codes.values()),
                "failed": sum(count for code, count in load.codes.items() if code != "200"),
                "codes": load.codes,
                "packages": load.packages,
                "seconds": round(time.monotonic() - begun, 1),
                "p50_ms": round(times[len(times) // 2] * 1000, 1),
                "p99_ms": round(times[int(len(times) * 0.99)] * 1000, 1),
                "max_ms": round(times[-1] * 1000, 1),
                "gap_ms": round(load.gap * 1000, 1),
                "faults": load.faults,
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes(), *sys.argv[3:]))
