"""Cases over REST, on a few kept-alive connections, with a request known good after every few bad ones."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import count
from random import Random
from urllib.parse import unquote

from attack.campaign import Campaign
from attack.client import Answer, Call, DroppedError, Line
from attack.mutate import mutated
from attack.rules import expected
from attack.verdict import answer_fault

LINES, EVERY = 4, 5
#: Answers that the connection gives before anyone knows what is asked.
UNHEARD = {413, 431, 408}


async def fuzz_rest(campaign: Campaign, numbers: Iterable[int]) -> None:
    """Send the cases of these numbers."""
    cases = iter(numbers)
    await asyncio.gather(*(_line(campaign, cases) for _ in range(LINES)))


async def tour(campaign: Campaign) -> None:
    """Get every status once, so that no series of the metrics is new after this."""
    from attack.grpc_fuzz import tour_grpc

    good = campaign.seeds.good(campaign.random("tour"))[0]
    large = b" " * (campaign.model.limits["max_body_bytes"] + 1)
    calls = [
        good, Call("POST", good.path, b"{"), Call("POST", "/nowhere"), Call("GET", good.path),
        Call("POST", good.path, large), Call("POST", good.path, b"{}", {"content-type": "text/plain"}),
        Call("POST", good.path, b"{}", {"x": "y" * 20_000}),
    ]  # fmt: skip
    line = Line(campaign.predictor.http)
    for call in calls:
        answer = await line.ask(call)
        campaign.inferences += _inferred(campaign, call, answer)
    line.close()
    await tour_grpc(campaign)


def case(campaign: Campaign, number: int) -> Call:
    """Return the call of a case."""
    random = campaign.random(f"rest-{number}")
    call, _ = campaign.seeds.good(random)
    return mutated(random, call)


async def _line(campaign: Campaign, cases: Iterator[int]) -> None:
    line = Line(campaign.predictor.http)
    for turn, number in zip(count(1), cases):  # the cases are what ends it
        name = f"rest-{number}"
        call = case(campaign, number)
        campaign.blame(name, await _ask(campaign, line, call))
        if turn % EVERY == 0:
            campaign.blame(f"after {name}", await _good(campaign, line, campaign.random(f"good-{number}")))
    line.close()


async def _ask(campaign: Campaign, line: Line, call: Call) -> str:
    status, why = expected(call, campaign.model)
    campaign.show("sent", call)
    campaign.show("rules", (status, why))
    try:
        answer = await line.ask(call)
    except DroppedError as error:
        return str(error)
    campaign.show("answer", answer)
    campaign.count("rest", answer.status)
    campaign.inferences += _inferred(campaign, call, answer)
    if answer.closes and answer.status not in UNHEARD:
        return f"{answer.status} closes the connection"
    fault = answer_fault(answer, call, status, campaign.model)
    return f"{fault} ({why})" if fault and why else fault


async def _good(campaign: Campaign, line: Line, random: Random) -> str:
    call, rows = campaign.seeds.good(random)
    try:
        answer = await line.ask(call)
    except DroppedError as error:
        return f"a good request: {error}"
    campaign.inferences += 1
    fault = campaign.seeds.wrong(answer, rows)
    return f"a good request: {fault}" if fault else ""


def _inferred(campaign: Campaign, call: Call, answer: Answer) -> bool:
    """Tell whether the inference handlers saw a call: then the log has a line of it."""
    path = unquote(call.path.partition("?")[0])
    start = f"/v2/models/{campaign.model.name}"
    paths = (
        f"{start}/infer", f"{start}/versions/{campaign.model.version}/infer",
        f"/v1/models/{campaign.model.name}:predict",
    )  # fmt: skip
    return path in paths and call.method == "POST" and answer.status not in UNHEARD
