"""A gRPC client that keeps some calls in flight: grpc_load.py PORT BODY CLIENTS SECONDS. Prints what post.lua prints.

The body is a serialised ModelInferRequest; answers are counted and not parsed.
"""

import asyncio
import json
import statistics
import sys
import time
from pathlib import Path

import grpc

METHOD = "/inference.GRPCInferenceService/ModelInfer"


async def load(port: str, body: bytes, clients: int, seconds: float) -> dict[str, float]:
    """Return the figures; any refused call ends the load with its reason."""
    latencies: list[float] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(METHOD)
        await call(body)
        begun = time.perf_counter()

        async def ask() -> None:
            while (start := time.perf_counter()) < begun + seconds:
                await call(body)
                latencies.append(time.perf_counter() - start)

        await asyncio.gather(*(ask() for _ in range(clients)))
        passed = time.perf_counter() - begun
    cuts = statistics.quantiles(latencies, n=100)
    figures = {f"p{percent}": cuts[percent - 1] * 1000 for percent in (50, 95, 99)}
    return {"count": len(latencies), "seconds": passed, **figures, "refused": 0, "broken": 0}


if __name__ == "__main__":
    sent = Path(sys.argv[2]).read_bytes()
    print(json.dumps(asyncio.run(load(sys.argv[1], sent, int(sys.argv[3]), float(sys.argv[4])))))
