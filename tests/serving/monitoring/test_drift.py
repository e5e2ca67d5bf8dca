"""Drift: what is said, how often it is wrong, and how surely a shift is seen."""

import json
from itertools import count

import numpy as np
import pytest
import tiny
import tiny_table
from prometheus_client import CollectorRegistry, generate_latest

from modelpackage import Reference, count_texts, describe, histogram
from serving.monitoring.drift import EFFECT, FALSE_ALARMS, MIN_ROWS, MOST_QUANTITIES, WINDOW, Drift
from serving.monitoring.record import Record

TOWNS = np.array(["", *(f"town {index}" for index in range(40))], object)
TOWN_SHARES = 1 / np.arange(1, len(TOWNS) + 1)
TOWN_SHARES /= TOWN_SHARES.sum()
TENTHS = tuple(index / 10 for index in range(11))
ids = count()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return tiny_table.seal(tmp_path_factory.mktemp("table") / "package")


def draw_table(rng, rows, shift=0.0):
    """Ages with gaps, whole visits with gaps, towns by rank; a shift moves the ages by standard deviations."""
    age, visits = rng.normal(40 + 10 * shift, 10, rows), rng.poisson(2, rows).astype(float)
    age[rng.random(rows) < 0.1], visits[rng.random(rows) < 0.02] = np.nan, np.nan
    towns = rng.choice(TOWNS, rows, p=TOWN_SHARES)
    return {"numbers": np.stack([age, visits], axis=1).astype(np.float32), "categories": towns[:, None]}


def draw_pictures(rng, rows, shift=0.0):
    light = rng.normal(8 + 2 * shift, 2, (rows, 1, 1))
    return {"image": np.clip(light + rng.normal(0, 1, (rows, 2, 2)), 0, 16).astype(np.float32)}


def draw_answers(rng, rows, classes, shift=0.0):
    confidence = np.clip(rng.beta(8, 2, rows) - shift / 4, 0, 1).astype(np.float32)
    shares = np.arange(classes, 0, -1) / np.arange(1, classes + 1).sum()
    return rng.choice(classes, rows, p=shares), confidence


def record(rng, rows, draw, classes, shift=0.0):
    predicted, confidence = draw_answers(rng, rows, classes, shift)
    return Record(str(next(ids)), 0.0, draw(rng, rows, shift), predicted, confidence)


def refer(rng, rows, draw, labels):
    """Count rows as training does."""
    inputs, (predicted, confidence) = draw(rng, rows), draw_answers(rng, rows, len(labels))
    texts = {"town": count_texts(inputs["categories"][:, 0])} if "categories" in inputs else None
    if texts:
        described = describe(inputs["numbers"], kind="tabular", fields=("age", "visits"))
    else:
        described = describe(inputs["image"], kind="image")
    gaps = {name: int(np.isnan(values).sum()) for name, values in described.items()}
    return Reference(
        rows=rows,
        inputs={name: histogram(values) for name, values in described.items()},
        confidence=histogram(confidence.astype(np.float64), TENTHS),
        classes=dict(zip(labels, np.bincount(predicted, minlength=len(labels)).tolist(), strict=True)),
        missing={name: gap for name, gap in gaps.items() if gap} or None,
        texts=texts,
    )


def samples(drift):
    """Values by metric and labels."""
    return {
        (sample.name.removeprefix("slipway_drift_"), *sample.labels.values()): sample.value
        for family in drift.collect()
        for sample in family.samples
    }


def alarms(drift):
    return {key[2] for key, value in samples(drift).items() if key[0] == "alarm" and value}


def watch(package, draw, rng, *, rows=3000, **settings):
    return Drift(package.descriptor, refer(rng, rows, draw, package.descriptor.labels), **settings)


def windows(package, draw, rows, *, shift, times, seed, reference_rows=3000):
    """Yield the alarms of windows drawn independently; the fewer rows a reference has, the sooner comes a new one."""
    rng, classes = np.random.default_rng(seed), len(package.descriptor.labels)
    each = reference_rows // 1000
    for _ in range(times // each):
        reference = refer(rng, reference_rows, draw, package.descriptor.labels)
        drift = Drift(package.descriptor, reference, window=rows)
        for _ in range(each):
            drift.take([record(rng, rows, draw, classes, shift)])
            yield alarms(drift)


@pytest.mark.parametrize(("rows", "times"), [(MIN_ROWS, 2000), (WINDOW, 500)])
@pytest.mark.parametrize("reference_rows", [1000, 10_000])
@pytest.mark.parametrize("kind", ["table", "pictures"])
def test_without_a_shift_at_most_the_stated_share_of_windows_raises_any_alarm(
    kind, rows, times, reference_rows, table, sealed
):
    package, draw = (table, draw_table) if kind == "table" else (sealed, draw_pictures)
    found = list(windows(package, draw, rows, shift=0, times=times, seed=11, reference_rows=reference_rows))
    assert sum(map(bool, found)) <= FALSE_ALARMS * len(found) == FALSE_ALARMS * times


@pytest.mark.parametrize(("rows", "shift"), [(MIN_ROWS, 0.75), (WINDOW, 0.5)])
def test_a_shift_of_part_of_a_standard_deviation_is_seen_nearly_always_and_where_it_is(rows, shift, table, sealed):
    found = list(windows(table, draw_table, rows, shift=shift, times=99, seed=2))
    assert sum({"age", "confidence"} <= each for each in found) >= 94
    assert sum(bool(each & {"visits", "town", "class"}) for each in found) <= 1
    pictures = list(windows(sealed, draw_pictures, rows, shift=shift, times=99, seed=3))
    assert sum("brightness" in each for each in pictures) >= 94


def served(draw, rng, **changes):
    """One window of rows with some arrays or fields replaced."""
    base = record(rng, WINDOW, draw, 2)
    return Record(
        base.id,
        base.time,
        (base.inputs or {}) | changes.get("inputs", {}),
        changes.get("classes", base.classes),
        changes.get("confidence", base.confidence),
    )


def test_each_kind_of_shift_alarms_under_its_own_name(table):
    rng = np.random.default_rng(4)
    drift = watch(table, draw_table, rng)
    usual = draw_table(rng, WINDOW)
    gaps, towns = usual["numbers"].copy(), usual["categories"].copy()
    gaps[:300, 1] = np.nan
    towns[:300] = "a town nobody saw"
    for changes, name in (
        ({"inputs": {"numbers": gaps}}, "visits"),
        ({"inputs": {"categories": towns}}, "town"),
        ({"classes": np.ones(WINDOW, np.int64)}, "class"),
        ({"confidence": np.full(WINDOW, 0.4, np.float32)}, "confidence"),
    ):
        drift.take([served(draw_table, rng, **changes)])
        assert alarms(drift) == {name}


def test_a_constant_that_moves_alarms(table):
    rng = np.random.default_rng(5)

    def steady(rng, rows, shift=0.0):
        inputs = draw_table(rng, rows)
        inputs["numbers"][:, 0] = 40 + shift
        return inputs

    drift = watch(table, steady, rng)
    drift.take([served(steady, rng)])
    assert samples(drift)["psi", "input", "age"] == 0
    assert not alarms(drift)
    drift.take([served(steady, rng, inputs=steady(rng, WINDOW, 1.0))])
    assert alarms(drift) == {"age"}


def test_below_the_least_number_of_rows_nothing_is_said(table):
    rng = np.random.default_rng(6)
    drift = watch(table, draw_table, rng)
    drift.take([record(rng, 1, draw_table, 2, shift=9) for _ in range(MIN_ROWS - 1)])
    assert samples(drift) == {("rows", "input"): MIN_ROWS - 1, ("rows", "output"): MIN_ROWS - 1}
    drift.take([record(rng, 1, draw_table, 2, shift=9)])
    assert alarms(drift) == {"age", "confidence"}


def test_a_reference_of_few_rows_says_nothing(sealed):
    drift = Drift(sealed.descriptor, sealed.reference())
    drift.take([record(np.random.default_rng(7), WINDOW, draw_pictures, 3)])
    assert samples(drift) == {("rows", "input"): WINDOW, ("rows", "output"): WINDOW}


def test_the_window_holds_the_last_rows_however_they_come(table):
    rng = np.random.default_rng(8)
    drift = watch(table, draw_table, rng)
    drift.take([record(rng, WINDOW + 700, draw_table, 2, shift=9)])
    assert alarms(drift)
    drift.take([record(rng, 300, draw_table, 2) for _ in range(3)])
    drift.take([record(rng, 1, draw_table, 2) for _ in range(100)])
    assert not alarms(drift)
    assert samples(drift)["rows", "input"] == WINDOW


def test_rows_without_inputs_count_for_the_answers_alone(table):
    rng = np.random.default_rng(9)
    drift = watch(table, draw_table, rng)
    predicted, confidence = draw_answers(rng, WINDOW, 2, shift=3)
    drift.take([Record("a", 0.0, None, predicted, confidence)])
    assert samples(drift)["rows", "input"] == 0
    assert alarms(drift) == {"confidence"}


def test_the_bar_of_an_alarm_falls_with_the_rows_down_to_the_smallest_effect(table):
    rng = np.random.default_rng(10)
    drift = watch(table, draw_table, rng)
    drift.take([record(rng, MIN_ROWS, draw_table, 2)])
    small = samples(drift)["bar", "input", "age"]
    drift.take([record(rng, WINDOW, draw_table, 2)])
    assert small > samples(drift)["bar", "input", "age"] == EFFECT


def test_a_column_called_confidence_is_told_from_the_confidence(table):
    rng = np.random.default_rng(11)
    fields = {"fields": ("confidence", "class")}
    numbers, _ = table.descriptor.signature.inputs
    signature = table.descriptor.signature.model_copy(update={"inputs": (numbers.model_copy(update=fields),)})
    descriptor = table.descriptor.model_copy(update={"signature": signature})
    kept = refer(rng, 3000, draw_table, tiny_table.LABELS)
    renamed = {"confidence": kept.inputs["age"], "class": kept.inputs["visits"]}
    drift = Drift(descriptor, kept.model_copy(update={"inputs": renamed, "missing": None, "texts": None}))
    drift.take([record(rng, WINDOW, draw_table, 2)])
    told = {key[1:] for key in samples(drift) if key[0] == "psi"}
    assert told == {(side, name) for side in ("input", "output") for name in ("confidence", "class")}


def test_of_a_wide_table_the_first_columns_are_watched(table):
    width = MOST_QUANTITIES + 50
    fields = tuple(f"c{index}" for index in range(width))
    numbers = table.descriptor.signature.inputs[0].model_copy(update={"fields": fields, "shape": (width,)})
    signature = table.descriptor.signature.model_copy(update={"inputs": (numbers,)})
    rng = np.random.default_rng(12)
    trained, kept = rng.normal(size=(3000, width)), refer(rng, 3000, draw_table, tiny_table.LABELS)
    inputs = {name: histogram(trained[:, index]) for index, name in enumerate(fields)}
    drift = Drift(
        table.descriptor.model_copy(update={"signature": signature}), kept.model_copy(update={"inputs": inputs})
    )
    predicted, confidence = draw_answers(rng, WINDOW, 2)
    arrays = {"numbers": rng.normal(size=(WINDOW, width)).astype(np.float32)}
    drift.take([Record("a", 0.0, arrays, predicted, confidence)])
    told = [key[2] for key in samples(drift) if key[:2] == ("psi", "input")]
    assert told == list(fields[:MOST_QUANTITIES])


def test_prometheus_can_read_it(table):
    rng = np.random.default_rng(13)
    drift, registry = watch(table, draw_table, rng), CollectorRegistry()
    registry.register(drift)
    drift.take([record(rng, WINDOW, draw_table, 2)])
    text = generate_latest(registry).decode()
    assert 'slipway_drift_alarm{quantity="town",side="input"} 0.0' in text
    assert 'slipway_drift_rows{side="output"} 1000.0' in text


def test_a_snapshot_restores_what_was_said(table):
    rng = np.random.default_rng(14)
    kept = refer(rng, 3000, draw_table, tiny_table.LABELS)
    drift, later = Drift(table.descriptor, kept), Drift(table.descriptor, kept)
    drift.take([record(rng, 700, draw_table, 2, shift=1)])
    assert later.restore(json.loads(json.dumps(drift.snapshot()))) is None
    assert samples(later) == samples(drift)
    later.take([record(rng, 500, draw_table, 2)])
    assert samples(later)["rows", "input"] == WINDOW


def test_restored_rows_come_before_those_that_are_here(table):
    rng = np.random.default_rng(15)
    kept = refer(rng, 3000, draw_table, tiny_table.LABELS)
    earlier, drift = Drift(table.descriptor, kept), Drift(table.descriptor, kept)
    earlier.take([record(rng, WINDOW, draw_table, 2, shift=9)])
    drift.take([record(rng, WINDOW, draw_table, 2)])
    assert drift.restore(earlier.snapshot()) is None
    assert not alarms(drift)


def test_the_snapshot_of_another_package_is_refused(table, sealed):
    rng = np.random.default_rng(16)
    drift, other = watch(table, draw_table, rng), watch(sealed, draw_pictures, rng)
    assert drift.restore(other.snapshot()) == "the drift window is that of another package"
    assert drift.restore({}) == "the drift window is that of another package"


@pytest.mark.parametrize(
    "damage",
    [
        lambda snapshot: snapshot.pop("input"),
        lambda snapshot: snapshot.update(output=[]),
        lambda snapshot: snapshot["input"].update(quantities=["age"]),
        lambda snapshot: snapshot["input"].update(bins="no base64"),
        lambda snapshot: snapshot["input"].update(bins=snapshot["input"]["bins"][:-8]),
        lambda snapshot: snapshot["output"].update(bins=snapshot["input"]["bins"]),
        lambda snapshot: snapshot["output"].update(bins=None),
    ],
)
def test_a_damaged_snapshot_is_refused_whole(table, damage):
    rng = np.random.default_rng(17)
    drift = watch(table, draw_table, rng)
    drift.take([record(rng, 101, draw_table, 2)])
    snapshot = drift.snapshot()
    damage(snapshot)
    assert drift.restore(snapshot) == "the drift window is damaged"
    assert samples(drift)["rows", "input"] == samples(drift)["rows", "output"] == 101


def test_a_snapshot_holds_no_value_of_a_client(table):
    rng = np.random.default_rng(18)
    drift = watch(table, draw_table, rng)
    drift.take([served(draw_table, rng, inputs={"categories": np.full((WINDOW, 1), "a secret", object)})])
    kept = drift.snapshot()
    assert {name: set(part) for name, part in kept.items() if name != "package"} == {
        "input": {"quantities", "bins"},
        "output": {"quantities", "bins"},
    }
    assert "secret" not in json.dumps(kept)


def test_pictures_of_the_tiny_model_are_watched(sealed):
    rng = np.random.default_rng(19)
    drift = watch(sealed, draw_pictures, rng)
    drift.take([Record("a", 0.0, {"image": tiny.rows(WINDOW)}, *draw_answers(rng, WINDOW, 3))])
    assert "contrast" in alarms(drift)
