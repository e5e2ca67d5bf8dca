"""Micro-batches: who runs with whom, who gets what, and who is not run."""

import asyncio
import random
import threading
from contextlib import contextmanager
from time import perf_counter

import numpy as np
import pytest

from serving.batching import WAKE_SECONDS, Batcher, Job, Pace
from serving.codec.answer import Scores
from serving.errors import ExpiredError, InvalidInputError

POISON = 666.0
#: Of a graph that is run in the worker, and of one that is run in place.
SLOW, FAST = Pace(0.001, 0.0), Pace(0.0, 0.0)


class Graph:
    """Doubles its rows; waits where it is told to, fails for a poisonous row, and never runs twice at one time."""

    def __init__(self):
        self.batches: list[list[float]] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.seconds_per_row = 0.0
        self.in_place: list[bool] = []
        self.running = threading.Lock()

    def __call__(self, inputs):
        assert self.running.acquire(blocking=False)
        try:
            return self.score(inputs["x"])
        finally:
            self.running.release()

    def score(self, rows):
        self.in_place.append(threading.current_thread() is threading.main_thread())
        self.batches.append(rows[:, 0].tolist())
        self.entered.set()
        assert self.open.wait(15)
        if self.seconds_per_row:
            end = perf_counter() + self.seconds_per_row * len(rows)
            while perf_counter() < end:
                pass
        if (rows == POISON).any():
            raise ValueError("poison")
        doubled = rows * 2
        classes = np.nan_to_num(doubled[:, 0], posinf=0).astype(np.int64)
        return Scores({"y": doubled}, classes, doubled[:, 0])


@contextmanager
def batching(graph, **changes):
    """A batcher in the running loop, and what it told of its batches."""
    told = []
    settings = {"pace": SLOW, "max_rows": 8, "seconds": 10.0} | changes
    batcher = Batcher(
        graph,
        loop=asyncio.get_running_loop(),
        batched=told.append,
        **settings,
    )
    try:
        yield batcher, told
    finally:
        graph.open.set()
        batcher.close()


def submit(batcher, values, deadline=15.0, *, gather=True):
    """Queue a job of some rows; return it and a future of its result."""
    future = asyncio.get_running_loop().create_future()
    rows = np.float32([[value] for value in values])
    job = Job({"x": rows}, len(values), perf_counter() + deadline, lambda _, result: future.set_result(result))
    batcher.submit(job, gather=gather)
    return job, future


async def gathered(*futures):
    async with asyncio.timeout(15):
        return await asyncio.gather(*futures)


def rows_of(result):
    return result.outputs["y"][:, 0].tolist()


async def busy(batcher, graph):
    """Let one job into the graph and hold it there."""
    graph.open.clear()
    graph.entered.clear()
    first = submit(batcher, [0])
    assert await asyncio.to_thread(graph.entered.wait, 15)
    return first[1]


def test_a_job_that_is_alone_runs_at_once_and_alone():
    async def run():
        graph = Graph()
        with batching(graph) as (batcher, told):
            job, future = submit(batcher, [1, 2])
            (result,) = await gathered(future)
            assert rows_of(result) == [2, 4]
            assert graph.batches == [[1, 2]]
            assert told == [2]
            assert job.queued <= job.started <= job.ended

    asyncio.run(run())


def test_what_comes_while_one_runs_runs_together_in_order():
    async def run():
        graph = Graph()
        with batching(graph) as (batcher, told):
            first = await busy(batcher, graph)
            later = [submit(batcher, [number])[1] for number in range(1, 6)]
            graph.open.set()
            results = await gathered(first, *later)
            assert [rows_of(result) for result in results] == [[number * 2] for number in range(6)]
            assert graph.batches == [[0], [1, 2, 3, 4, 5]]
            assert told == [1, 5]

    asyncio.run(run())


def test_what_one_turn_of_the_event_loop_brings_runs_together():
    async def run():
        graph = Graph()
        with batching(graph) as (batcher, _):
            await gathered(*(submit(batcher, [number])[1] for number in range(4)))
            assert graph.batches == [[0, 1, 2, 3]]

    asyncio.run(run())


def test_a_batch_has_no_more_rows_than_it_may_and_a_larger_job_runs_alone():
    async def run():
        graph = Graph()
        with batching(graph, max_rows=4) as (batcher, _):
            first = await busy(batcher, graph)
            sizes = [3, 1, 1, 9, 2, 2, 1]
            later = [submit(batcher, [size] * size)[1] for size in sizes]
            graph.open.set()
            results = await gathered(first, *later)
            assert [len(rows_of(result)) for result in results[1:]] == sizes
            assert [len(batch) for batch in graph.batches] == [1, 4, 1, 9, 4, 1]

    asyncio.run(run())


def test_a_graph_that_takes_no_time_runs_in_place():
    async def run():
        graph = Graph()
        with batching(graph, pace=FAST) as (batcher, _):
            await gathered(submit(batcher, [1])[1], submit(batcher, [2])[1])
            _, future = submit(batcher, [3], gather=False)
            assert rows_of(future.result()) == [6]
        assert graph.batches == [[1, 2], [3]]
        assert all(graph.in_place)

    asyncio.run(run())


def test_a_graph_that_takes_longer_than_it_should_leaves_the_event_loop_until_it_is_fast_again():
    async def run():
        graph = Graph()
        with batching(graph, pace=FAST) as (batcher, _):
            graph.seconds_per_row = 0.02
            for _ in range(3):
                await gathered(submit(batcher, [1])[1])
            assert graph.in_place == [True, False, False]
            graph.seconds_per_row = 0
            for _ in range(1000):
                await gathered(submit(batcher, [1])[1])
            assert any(graph.in_place[1:])

    asyncio.run(run())


def test_jobs_in_place_and_jobs_in_the_worker_take_turns():
    """Small jobs run in place, large ones in the worker, and both come all the time."""
    graph = Graph()

    async def caller(batcher, number):
        for turn in range(200):
            values = [number] * (1 if (number + turn) % 3 else 20)
            (result,) = await gathered(submit(batcher, values, gather=bool(turn % 2))[1])
            assert rows_of(result) == [number * 2] * len(values)

    async def run():
        with batching(graph, pace=Pace(0.0, WAKE_SECONDS / 10), max_rows=64) as (batcher, _):
            await asyncio.gather(*(caller(batcher, number) for number in range(3)))
        assert set(graph.in_place) == {True, False}

    asyncio.run(run())


def test_one_row_at_most_runs_each_job_alone():
    async def run():
        graph = Graph()
        with batching(graph, max_rows=1) as (batcher, _):
            await gathered(*(submit(batcher, [number])[1] for number in range(3)))
            assert graph.batches == [[0], [1], [2]]

    asyncio.run(run())


def test_a_batch_holds_no_more_than_runs_in_its_time():
    async def run():
        graph = Graph()
        graph.seconds_per_row = 0.02
        with batching(graph, pace=Pace(0.02, 0.02), max_rows=64, seconds=0.05) as (batcher, _):
            await gathered(*(submit(batcher, [number])[1] for number in range(9)))
            assert [len(batch) for batch in graph.batches] == [2, 2, 2, 2, 1]

    asyncio.run(run())


def test_a_row_that_takes_longer_than_a_batch_may_still_runs():
    async def run():
        graph = Graph()
        graph.seconds_per_row = 0.01
        with batching(graph, pace=Pace(0.01, 0.01), seconds=0.001) as (batcher, _):
            results = await gathered(*(submit(batcher, [number])[1] for number in range(3)))
            assert [rows_of(result) for result in results] == [[0], [2], [4]]

    asyncio.run(run())


@pytest.mark.parametrize("poison", [POISON, float("nan"), float("inf")])
def test_a_job_that_fails_fails_alone(poison):
    async def run():
        graph = Graph()
        with batching(graph) as (batcher, _):
            results = await gathered(*(submit(batcher, values)[1] for values in ([1], [2, poison], [3], [4, 5])))
            assert [rows_of(results[number]) for number in (0, 2, 3)] == [[2], [6], [8, 10]]
            assert isinstance(results[1], ValueError if poison == POISON else InvalidInputError)
            assert "poison" in str(results[1]) or "no finite answer" in str(results[1])
            (after,) = await gathered(submit(batcher, [7])[1])
            assert rows_of(after) == [14]

    asyncio.run(run())


def test_a_job_whose_time_is_over_is_not_run():
    async def run():
        graph = Graph()
        with batching(graph) as (batcher, _):
            first = await busy(batcher, graph)
            late, good = submit(batcher, [1], deadline=-1)[1], submit(batcher, [2])[1]
            graph.open.set()
            results = await gathered(first, late, good)
            assert isinstance(results[1], ExpiredError)
            assert rows_of(results[2]) == [4]
            assert graph.batches == [[0], [2]]

    asyncio.run(run())


def test_a_job_of_many_rows_runs_in_parts_and_is_dropped_between_them():
    async def run():
        graph = Graph()
        with batching(graph, pace=Pace(1.0, 1.0), seconds=3.0) as (batcher, _):
            (result,) = await gathered(submit(batcher, range(8))[1])
            assert rows_of(result) == [2 * number for number in range(8)]
            assert result.classes.tolist() == [2 * number for number in range(8)]
            assert graph.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]
            graph.open.clear()
            graph.entered.clear()
            job, silent = submit(batcher, range(8))
            await asyncio.to_thread(graph.entered.wait, 15)
            job.cancelled = True
            graph.open.set()
            (after,) = await gathered(submit(batcher, [9])[1])
            assert rows_of(after) == [18]
            assert not silent.done()
            assert graph.batches[3:] == [[0, 1, 2], [9]]

    asyncio.run(run())


def test_an_answer_that_comes_too_late_is_none():
    async def run():
        graph = Graph()
        with batching(graph) as (batcher, _):
            graph.open.clear()
            _, future = submit(batcher, [1], deadline=0.1)
            assert await asyncio.to_thread(graph.entered.wait, 15)
            await asyncio.sleep(0.15)
            graph.open.set()
            (result,) = await gathered(future)
            assert isinstance(result, ExpiredError)

    asyncio.run(run())


def test_a_cancelled_job_is_neither_run_nor_answered():
    async def run():
        graph = Graph()
        with batching(graph) as (batcher, _):
            first = await busy(batcher, graph)
            gone, silent = submit(batcher, [1])
            _, good = submit(batcher, [2])
            gone.cancelled = True
            graph.open.set()
            await gathered(first, good)
            assert not silent.done()
            assert graph.batches == [[0], [2]]

    asyncio.run(run())


def test_a_job_that_is_cancelled_while_it_runs_is_not_answered():
    async def run():
        graph = Graph()
        with batching(graph) as (batcher, _):
            graph.open.clear()
            gone, silent = submit(batcher, [1])
            assert await asyncio.to_thread(graph.entered.wait, 15)
            gone.cancelled = True
            graph.open.set()
            await gathered(submit(batcher, [2])[1])
            assert not silent.done()

    asyncio.run(run())


def test_whoever_fails_to_take_its_result_keeps_nobody_from_theirs(capfd):
    async def run():
        graph = Graph()
        with batching(graph) as (batcher, _):
            first = await busy(batcher, graph)

            def fail(_job, _result):
                raise RuntimeError("no hands")

            batcher.submit(Job({"x": np.float32([[1]])}, 1, perf_counter() + 15, fail), gather=True)
            _, good = submit(batcher, [2])
            graph.open.set()
            results = await gathered(first, good)
            assert rows_of(results[1]) == [4]

    asyncio.run(run())
    assert "no hands" in capfd.readouterr().out


def test_the_end_waits_for_what_runs_and_runs_nothing_more():
    async def run():
        graph = Graph()
        with batching(graph) as (batcher, _):
            first = await busy(batcher, graph)
            _, never = submit(batcher, [1])
            threading.Timer(0.05, graph.open.set).start()
            batcher.close()
            await gathered(first)
            assert not never.done()
            assert graph.batches == [[0]]
            assert not batcher._worker.is_alive()

    asyncio.run(run())


@pytest.mark.parametrize("pace", [SLOW, FAST, Pace(0.0, WAKE_SECONDS / 4)])
@pytest.mark.parametrize("seed", range(3))
def test_of_many_callers_at_once_each_gets_its_own_rows(seed, pace):
    """Sizes, pauses, poison and leaving at random; a neighbour's fate never shows."""
    chance = random.Random(seed)  # noqa: S311  # reproducible, and no secret
    graph = Graph()

    async def caller(batcher, number):
        for turn in range(8):
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.003]))
            values = [number * 1000 + turn * 10 + row for row in range(chance.choice([1, 1, 2, 5, 12]))]
            kind = chance.choice(["good", "good", "good", "poison", "late", "leaves"])
            if kind == "poison":
                values[chance.randrange(len(values))] = POISON
            job, future = submit(batcher, values, deadline=-1 if kind == "late" else 15)
            if kind == "leaves":
                job.cancelled = True
                continue
            (result,) = await gathered(future)
            if kind == "good":
                assert rows_of(result) == [value * 2 for value in values]
                assert result.classes.tolist() == [value * 2 for value in values]
            else:
                assert isinstance(result, ValueError if kind == "poison" else ExpiredError)

    async def run():
        with batching(graph, pace=pace) as (batcher, told):
            await gathered(*(caller(batcher, number) for number in range(40)))
            assert len(told) < len(graph.batches) + 40
            assert max(told) > 1

    asyncio.run(run())
