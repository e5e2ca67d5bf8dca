"""What training took, and what that cost."""

import json

import pytest

from components.cost import Prices, Took, account, cost, duration, summary
from components.errors import ConfigError
from components.section import validate

TOOK = {"seconds": 5400.0, "device": "NVIDIA H200", "gpus": 2, "processes": 2, "cores": 16.0, "memory_gb": 12.5}


def took(**changes: object) -> Took:
    return Took.model_validate(TOOK | changes)


def test_the_cost_is_hours_times_what_is_priced():
    found = cost(took(), Prices(cpu=0.04, memory=0.005, gpu=2.5, currency="CHF"))
    assert found.amount == pytest.approx(1.5 * (16 * 0.04 + 12.5 * 0.005 + 2 * 2.5))
    assert found.reckoning == "1.5 h x (16 cores x 0.04 + 12.5 GB x 0.005 + 2 GPUs x 2.5) = 8.55 CHF"
    assert str(found) == "8.55 CHF"


def test_what_has_no_price_is_not_in_the_sum():
    assert cost(took(gpus=1), Prices(gpu=2.0)).reckoning == "1.5 h x (1 GPU x 2) = 3.00 USD"
    assert cost(took(), Prices(cpu=0.0)).amount == 0


def test_without_a_price_there_is_no_cost():
    assert cost(took(), None) is None
    assert cost(took(), Prices(currency="EUR")) is None


def test_small_amounts_keep_their_digits():
    assert str(cost(took(seconds=3.6), Prices(cpu=0.04))) == "0.00064 USD"


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        ({"gpu": -1}, "prices.gpu=-1: Input should be greater than or equal to 0"),
        ({"cpu": "much"}, "prices.cpu='much': Input should be a valid number"),
        ({"gpus": 1}, "prices.gpus is not a setting; did you mean prices.gpu?"),
        ({"currency": ""}, "prices.currency='': String should have at least 1 character"),
    ],
)
def test_a_price_that_is_none_is_named(prices, told):
    with pytest.raises(ConfigError, match=told):
        validate(Prices, prices, "prices")


def test_a_person_reads_time_device_and_speed():
    pace = [{"rows_per_second": speed} for speed in (10.0, 20_000.0, 21_000.0)]
    assert account(took(), None, pace) == {
        "time": "1 h 30 min",
        "device": "2 x NVIDIA H200",
        "processes": "2",
        "CPU cores": "16",
        "peak memory": "12.50 GB",
        "rows per second": "20,000",
    }
    assert account(took(), cost(took(), Prices(gpu=1.0)))["cost"] == "1.5 h x (2 GPUs x 1) = 3.00 USD"


def test_one_line_says_it_all():
    assert summary(took(), cost(took(), Prices(gpu=1.0))) == (
        "training took 1 h 30 min on 2 x NVIDIA H200 and cost 3.00 USD"
    )
    assert summary(took(device="cpu", gpus=0), None) == "training took 1 h 30 min on cpu"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.04, "0.0 s"),
        (8.25, "8.2 s"),
        (59.96, "1 min 0 s"),
        (724, "12 min 4 s"),
        (3599.6, "1 h 0 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_times_are_told_as_people_say_them(seconds, told):
    assert duration(seconds) == told


def test_an_account_of_a_later_version_still_reads(tmp_path):
    path = tmp_path / "took.json"
    assert Took.read(path) is None
    path.write_text(json.dumps(TOOK | {"energy_kwh": 3.0}))
    assert Took.read(path) == took()
