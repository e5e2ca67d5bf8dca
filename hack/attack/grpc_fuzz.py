"""Cases over gRPC, and cases over both protocols, whose verdicts must be the same."""

import asyncio
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import grpc
from attack.campaign import Campaign
from attack.client import DroppedError, Line
from attack.messages import METHOD, SAME, as_call, expected, good_message, mutated_bytes, mutated_message
from attack.process import HOST
from attack.verdict import sentence_fault
from grpc import aio

from serving.rpc.messages import pb

CALLS, EVERY = 8, 10
PATIENCE = 30


async def fuzz_grpc(campaign: Campaign, numbers: Iterable[int]) -> None:
    """Send the cases of these numbers over gRPC."""
    cases = iter(numbers)
    async with aio.insecure_channel(f"{HOST}:{campaign.predictor.grpc}") as channel:
        ask = channel.unary_unary(METHOD)
        await asyncio.gather(*(_worker(campaign, ask, cases) for _ in range(CALLS)))


async def fuzz_pairs(campaign: Campaign, numbers: Iterable[int]) -> None:
    """Send the cases of these numbers over both protocols."""
    cases = iter(numbers)
    async with aio.insecure_channel(f"{HOST}:{campaign.predictor.grpc}") as channel:
        ask = channel.unary_unary(METHOD)
        await asyncio.gather(*(_pairs(campaign, ask, cases) for _ in range(CALLS // 2)))


async def tour_grpc(campaign: Campaign) -> None:
    """Get every status once."""
    good, _ = good_message(campaign.random("tour"), campaign.seeds)
    async with aio.insecure_channel(f"{HOST}:{campaign.predictor.grpc}") as channel:
        ask = channel.unary_unary(METHOD)
        for content in (good.SerializeToString(), b"", b"\xff"):
            await _send(campaign, ask, content)


async def _worker(campaign: Campaign, ask: Any, cases: Iterator[int]) -> None:
    for number in cases:
        name = f"grpc-{number}"
        random = campaign.random(name)
        message, _ = good_message(random, campaign.seeds)
        by_byte = random.random() < 0.3
        content = mutated_bytes(random, message) if by_byte else mutated_message(random, message).SerializeToString()
        status, why = expected(content, campaign.seeds)
        campaign.show("sent", message if not by_byte else content)
        code, said = await _send(campaign, ask, content)
        campaign.show("answer", (code, said, "rules", status, why))
        campaign.count("grpc", code)
        campaign.blame(name, _fault(code, said, content, status, why))
        if number % EVERY == 0:
            campaign.blame(f"after {name}", await _good(campaign, ask, random))


async def _pairs(campaign: Campaign, ask: Any, cases: Iterator[int]) -> None:
    line = Line(campaign.predictor.http)
    for number in cases:
        name = f"pairs-{number}"
        random = campaign.random(name)
        call = None
        while call is None:  # until it is one that JSON has words for
            message = mutated_message(random, good_message(random, campaign.seeds)[0])
            call = as_call(message)
        campaign.show("sent", message)
        campaign.show("sent", call)
        code, said = await _send(campaign, ask, message.SerializeToString())
        try:
            answer = await line.ask(call)
        except DroppedError as error:
            campaign.blame(name, str(error))
            continue
        campaign.inferences += answer.status not in (404, 413)
        campaign.show("answers", (answer, code, said))
        campaign.count("both", f"{answer.status} {code}")
        if SAME.get(answer.status) != code:
            campaign.blame(name, f"REST says {answer.status} {answer.body[:200]!r}, gRPC {code} {said!r:.200}")
    line.close()


async def _send(campaign: Campaign, ask: Any, content: bytes) -> tuple[str, str | bytes]:
    """Return the status of a call and its message, or the answer."""
    try:
        answer: bytes = await ask(content, timeout=PATIENCE)
    except grpc.RpcError as error:
        campaign.inferences += error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED
        return error.code().name, error.details() or ""
    campaign.inferences += 1
    return "OK", answer


async def _good(campaign: Campaign, ask: Any, random: Random) -> str:
    message, rows = good_message(random, campaign.seeds)
    code, said = await _send(campaign, ask, message.SerializeToString())
    if code != "OK" or not isinstance(said, bytes):
        return f"a good request: {code} {said!r}"
    label = next(item for item in pb.ModelInferResponse.FromString(said).outputs if item.name == "label")
    return "" if list(label.shape) == [len(rows)] else f"a good request: labels of shape {list(label.shape)}"


def _fault(code: str, said: str | bytes, content: bytes, status: str, why: str) -> str:
    if code != status:
        return f"{code} {said!r:.200}, the rules say {status} ({why})"
    return sentence_fault(said, content) if isinstance(said, str) and code != "RESOURCE_EXHAUSTED" else ""
