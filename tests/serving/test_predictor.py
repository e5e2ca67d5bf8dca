"""One request from its v2 object to scores, in an event loop, without a network."""

import asyncio
import threading
from contextlib import asynccontextmanager

import numpy as np
import pytest
import slow
import tiny
from prometheus_client import CollectorRegistry

from modelpackage import Golden, GoldenError
from serving.codec.answer import Scores
from serving.errors import ExpiredError, InvalidInputError, NotReadyError, OverloadedError, UnknownModelError
from serving.monitoring.metrics import Metrics
from serving.monitoring.monitor import Visit
from serving.monitoring.observers import Observers
from serving.predictor import LARGE_BYTES, Predictor
from serving.settings import Settings

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}


def make(package, **changes):
    return Predictor(package, Settings(**{"threads": 1, "max_rows": 8} | changes), Metrics())


@asynccontextmanager
async def started(package, **changes):
    """A predictor that answers, and what its observers are given."""
    records: list = []

    class Watcher:
        def take(self, taken):
            records.extend(taken)

    predictor = make(package, **changes)
    predictor.load()
    observers = Observers([Watcher()])
    predictor.start(observers)
    try:
        yield predictor, lambda: (observers._hand_on(), records)[1]
    finally:
        predictor.stop()
        observers.close()


def ask(predictor, fields, seconds=None, size=100):
    """Submit; return the ticket and a future of what comes of it: scores or an error."""
    future = asyncio.get_running_loop().create_future()
    predictor.admit()

    def done(outcome):
        future.set_result(outcome[1] if isinstance(outcome, tuple) else outcome)

    return predictor.submit(lambda: fields, Visit("rest"), done, size=size, seconds=seconds), future


async def result(future):
    async with asyncio.timeout(15):
        return await future


def sample(predictor, name, labels=None):
    registry = CollectorRegistry()
    registry.register(predictor.metrics)
    return registry.get_sample_value(name, labels or {})


def test_an_answer_is_what_the_model_says(sealed):
    async def run():
        async with started(sealed) as (predictor, records):
            images = tiny.rows(3, seed=2)
            _, future = ask(predictor, {"inputs": [IMAGE | {"shape": [3, 2, 2], "data": images.ravel().tolist()}]})
            scores = await result(future)
            np.testing.assert_allclose(scores.outputs["probabilities"], tiny.answers(images), atol=1e-6)
            assert predictor.pending == 0
            (record,) = records()
            assert record.classes.tolist() == tiny.answers(images).argmax(axis=1).tolist()

    asyncio.run(run())


def test_each_stage_that_was_reached_is_timed(sealed):
    async def run():
        async with started(sealed) as (predictor, _):
            await result(ask(predictor, {"inputs": [IMAGE]})[1])
            with pytest.raises(InvalidInputError):
                ask(predictor, {"inputs": []})
            counts = [
                sample(predictor, f"request_{stage}_seconds_count", {"model_name": "tiny"})
                for stage in ("preprocess", "predict")
            ]
            assert counts == [1, 1]
            assert sample(predictor, "slipway_queue_seconds_count") == 1
            assert predictor.pending == 0

    asyncio.run(run())


def test_nothing_is_answered_before_the_start_or_after_the_stop(sealed):
    async def run():
        predictor = make(sealed)
        with pytest.raises(NotReadyError, match="'tiny' is not ready"):
            predictor.admit()
        assert not predictor.ready
        async with started(sealed) as (begun, _):
            assert begun.ready
            assert begun.inviting
        assert not begun.ready
        with pytest.raises(NotReadyError):
            begun.admit()
        begun.stop()

    asyncio.run(run())


def test_a_package_that_does_not_reproduce_itself_never_gets_ready(place):
    golden = Golden(inputs={"image": tiny.rows()}, outputs={"probabilities": 1 - tiny.answers(tiny.rows())})
    predictor = make(tiny.seal(place, golden=golden))
    with pytest.raises(GoldenError):
        predictor.load()
    assert not predictor.ready


def test_a_draining_predictor_invites_nobody_and_still_answers(sealed):
    async def run():
        async with started(sealed) as (predictor, _):
            predictor.draining = True
            assert predictor.ready
            assert not predictor.inviting
            assert isinstance(await result(ask(predictor, {"inputs": [IMAGE]})[1]), Scores)

    asyncio.run(run())


def test_as_many_requests_wait_as_may(place):
    async def run():
        async with started(slow.seal(place), max_queue=2) as (predictor, _):
            waiting = [ask(predictor, slow.fields(1)) for _ in range(2)]
            with pytest.raises(OverloadedError, match="try again"):
                ask(predictor, slow.fields(0))
            await asyncio.gather(*(result(future) for _, future in waiting))
            assert predictor.pending == 0
            assert isinstance(await result(ask(predictor, slow.fields(0))[1]), Scores)

    asyncio.run(run())


def test_whoever_leaves_is_told_nothing_and_makes_room(place):
    async def run():
        async with started(slow.seal(place), max_queue=2) as (predictor, records):
            _, running = ask(predictor, slow.fields(1, request_id="stays"))
            ticket, silent = ask(predictor, slow.fields(16, request_id="leaves"))
            ticket.cancel()
            ticket.cancel()
            assert predictor.pending == 1
            _, third = ask(predictor, slow.fields(0))
            await asyncio.gather(result(running), result(third))
            assert not silent.done()
            assert predictor.pending == 0
            assert len(records()) == 2

    asyncio.run(run())


def test_a_request_that_is_not_answered_in_its_time_is_refused(place):
    async def run():
        async with started(slow.seal(place), max_batch_rows=1, predict_seconds=0.1) as (predictor, _):
            _, running = ask(predictor, slow.fields(4))
            _, own = ask(predictor, slow.fields(0), seconds=60)
            await asyncio.sleep(0.15)
            predictor.expire()
            assert isinstance(own.result(), ExpiredError)
            assert isinstance(await result(running), ExpiredError)
            assert predictor.pending == 0

    asyncio.run(run())


def test_a_client_may_wait_for_less_time_than_there_is(place):
    async def run():
        async with started(slow.seal(place), max_batch_rows=1) as (predictor, _):
            _, running = ask(predictor, slow.fields(1))
            _, hasty = ask(predictor, slow.fields(0), seconds=0.01)
            assert isinstance(await result(hasty), ExpiredError)
            assert isinstance(await result(running), Scores)

    asyncio.run(run())


def test_the_name_is_the_packages_own_or_the_given_one(sealed):
    assert make(sealed).name == "tiny"
    assert make(sealed, name="other").name == "other"


def test_only_this_model_in_this_version_is_known(sealed):
    predictor = make(sealed)
    for version in (None, "", sealed.digest[:12]):
        predictor.check("tiny", version)
    with pytest.raises(UnknownModelError, match="this server has 'tiny'"):
        predictor.check("other", None)
    with pytest.raises(UnknownModelError, match=f"this server has '{sealed.digest[:12]}'"):
        predictor.check("tiny", "1")


def test_loading_publishes_which_package_is_served(sealed):
    predictor = make(sealed)
    predictor.load()
    labels = {"name": "tiny", "digest": sealed.digest, "format": str(sealed.descriptor.format)}
    assert sample(predictor, "slipway_package_info", labels) == 1
    assert 0 < sample(predictor, "slipway_load_seconds") < 10


def test_a_large_message_is_read_in_a_thread_and_a_small_one_at_once(sealed):
    async def run():
        async with started(sealed) as (predictor, _):
            readers = []
            for size in (LARGE_BYTES - 1, LARGE_BYTES):
                future = asyncio.get_running_loop().create_future()

                def read():
                    readers.append(threading.current_thread() is threading.main_thread())
                    return {"inputs": [IMAGE]}

                predictor.submit(read, Visit("rest"), future.set_result, size=size)
                query, scores = await result(future)
                assert query.rows == len(scores.classes) == 1
            assert readers == [True, False]
            assert predictor.pending == 0

    asyncio.run(run())


def test_a_fault_of_a_large_message_is_told_like_that_of_a_small_one(sealed):
    async def run():
        async with started(sealed) as (predictor, _):
            wrong = {"inputs": [IMAGE | {"shape": [1, 4]}]}
            with pytest.raises(InvalidInputError) as small:
                ask(predictor, wrong)
            _, large = ask(predictor, wrong, size=LARGE_BYTES)
            assert str(await result(large)) == str(small.value)
            assert predictor.pending == 0

    asyncio.run(run())


def test_a_large_message_of_a_client_that_left_is_not_answered(sealed):
    async def run():
        async with started(sealed) as (predictor, records):
            ticket, future = ask(predictor, {"inputs": [IMAGE]}, size=LARGE_BYTES)
            ticket.cancel()
            _, later = ask(predictor, {"inputs": [IMAGE]}, size=LARGE_BYTES)
            await result(later)
            assert not future.done()
            assert (predictor.pending, len(records())) == (0, 1)

    asyncio.run(run())
