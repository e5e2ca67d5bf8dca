"""Ground truth joins predictions by request id, and the figures follow."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from serving.errors import InvalidInputError, UnknownRequestError
from serving.monitoring.feedback import ROWS_PER_REQUEST, Feedback, parse_feedback
from serving.monitoring.record import Record

LABELS = ("left", "right", "none")


def record(request_id, *classes):
    found = np.array(classes, np.int64)
    return Record(request_id, 0.0, None, found, np.ones(len(found), np.float32))


def feedback(*records, **settings):
    made = Feedback(LABELS, **settings)
    for each in records:
        made.remember(each)
    return made


def samples(watched):
    return {
        (sample.name.removeprefix("slipway_live_"), *sample.labels.values()): sample.value
        for family in watched.collect()
        for sample in family.samples
    }


def test_truth_joins_a_prediction_and_counts():
    watched = feedback(record("a", 0, 1, 1))
    assert watched.judge("a", ["left", "right", "none"]) == {"id": "a", "rows": 3, "correct": 2}
    found = samples(watched)
    assert found["rows",] == 3
    assert found["accuracy",] == pytest.approx(2 / 3)
    assert found["accuracy_low",] < 2 / 3 < found["accuracy_high",]
    assert found["precision", "right"] == 0.5
    assert found["recall", "none"] == 0
    assert ("precision", "none") not in found


def test_before_any_judgement_there_is_nothing_but_zero_rows():
    assert samples(feedback(record("a", 0))) == {("rows",): 0}


def test_a_repeated_judgement_replaces_the_earlier_one():
    watched = feedback(record("a", 0), record("b", 1))
    watched.judge("b", ["left"])
    watched.judge("a", ["right"])
    watched.judge("a", ["left"])
    once = samples(watched)
    watched.judge("a", ["left"])
    assert samples(watched) == once
    assert (once["rows",], once["accuracy",]) == (2, 0.5)


def test_a_repeated_id_is_judged_by_its_latest_answer():
    watched = feedback(record("a", 0, 0), record("a", 1))
    assert watched.judge("a", ["right"])["correct"] == 1


def test_the_oldest_request_is_forgotten_first():
    watched = feedback(record("a", 0), record("b", 0), record("a", 0), record("c", 0), capacity=2)
    assert watched.judge("a", ["left"])["rows"] == 1
    with pytest.raises(UnknownRequestError, match="within 2 requests"):
        watched.judge("b", ["left"])


def test_large_requests_are_forgotten_sooner():
    large = [0] * (2 * ROWS_PER_REQUEST)
    watched = feedback(record("a", *large), record("b", *large), capacity=3)
    with pytest.raises(UnknownRequestError):
        watched.judge("a", ["left"] * len(large))
    assert watched.judge("b", ["left"] * len(large))["correct"] == len(large)


def test_figures_are_over_the_latest_judged_rows():
    watched = feedback(*(record(str(index), 0, 0) for index in range(10)), window=6)
    for index in range(10):
        watched.judge(str(index), ["left" if index > 6 else "right"] * 2)
    assert (samples(watched)["rows",], samples(watched)["accuracy",]) == (6, 1)


def test_an_answer_that_is_forgotten_can_be_judged_again_while_its_judgement_counts():
    watched = feedback(record("a", 0), capacity=1)
    watched.judge("a", ["right"])
    watched.remember(record("b", 0))
    assert watched.judge("a", ["left"])["correct"] == 1
    assert samples(watched)["rows",] == 1


def test_an_unknown_id_is_refused_without_an_echo():
    with pytest.raises(UnknownRequestError) as refusal:
        feedback().judge("secret", ["left"])
    assert "secret" not in str(refusal.value)


def test_another_number_of_labels_is_refused():
    with pytest.raises(InvalidInputError, match="'labels' has 1 labels, the request had 2 rows; give one for each"):
        feedback(record("a", 0, 0)).judge("a", ["left"])


def test_an_unknown_label_is_refused_with_a_word_of_it():
    watched = feedback(record("a", 0))
    with pytest.raises(InvalidInputError) as refusal:
        watched.judge("a", ["upwards and a very long story"])
    assert str(refusal.value) == "the model has no label 'upwards'; it knows 'left', 'right', 'none'"
    with pytest.raises(InvalidInputError, match="no label 'xxxxxxxxxxxxxxxxxxxxxxxx';"):
        watched.judge("a", ["x" * 10_000])
    assert samples(watched)["rows",] == 0


def test_a_refusal_lists_few_of_many_labels():
    many = Feedback([f"class_{index}" for index in range(1000)])
    with pytest.raises(InvalidInputError, match="'class_9', \\.\\.\\.$"):
        many.judge("a", ["left"])


def test_prometheus_can_read_it():
    watched, registry = feedback(record("a", 0)), CollectorRegistry()
    registry.register(watched)
    watched.judge("a", ["left"])
    text = generate_latest(registry).decode()
    assert "slipway_live_accuracy 1.0" in text
    assert 'slipway_live_f1{class="left"} 1.0' in text
    assert 'class="right"' not in text


def test_changes_are_told_once_and_in_whole_when_asked():
    watched = feedback(record("a", 0), record("b", 1))
    watched.judge("a", ["left"])
    assert set(watched.changes().predictions) == {"a", "b"}
    watched.remember(record("c", 2))
    later = watched.changes()
    assert (set(later.predictions), set(later.judgements)) == ({"c"}, set())
    whole = watched.changes(whole=True)
    assert (set(whole.predictions), set(whole.judgements)) == ({"a", "b", "c"}, {"a"})


def test_changes_tell_what_is_forgotten():
    watched = feedback(*(record(str(index), 0) for index in range(9)), capacity=4, window=1)
    for index in (5, 6):
        watched.judge(str(index), ["left"])
    changes = watched.changes()
    assert set(changes.predictions) == {"5", "6", "7", "8"}
    assert changes.oldest_prediction == changes.predictions["5"].number
    assert changes.oldest_judgement == changes.judgements["6"].number


def test_what_is_restored_comes_before_what_is_here():
    watched = feedback(record("new", 0), capacity=2, window=2)
    watched.judge("new", ["left"])
    one, zero = np.array([1], np.int32), np.array([0], np.int32)
    watched.restore({"old": one, "older": one, "new": one}, {"old": (one, zero), "older": (one, one)})
    assert samples(watched)["rows",] == 2
    assert set(watched.changes(whole=True).predictions) == {"older", "new"}
    assert watched.judge("new", ["left"])["correct"] == 1
    watched.remember(record("newer", 0))
    assert set(watched.changes(whole=True).predictions) == {"new", "newer"}


@pytest.mark.parametrize(
    ("predictions", "judgements"),
    [({"a": [3]}, {}), ({"a": [-1]}, {}), ({}, {"a": ([0], [3])}), ({}, {"a": ([0], [0, 0])})],
)
def test_what_is_not_of_this_model_is_not_restored(predictions, judgements):
    watched = feedback(record("here", 0))
    with pytest.raises(ValueError, match="classes beyond|one label for each"):
        watched.restore(
            {key: np.array(value, np.int32) for key, value in predictions.items()},
            {key: (np.array(a, np.int32), np.array(b, np.int32)) for key, (a, b) in judgements.items()},
        )
    assert set(watched.changes().predictions) == {"here"}


def test_a_body_of_an_id_and_labels_is_read():
    assert parse_feedback({"id": "a", "labels": ["left", ""]}, 128) == ("a", ["left", ""])


@pytest.mark.parametrize("longest", [1, 128, 1024])
def test_an_id_is_as_long_as_that_of_a_request_may_be_and_no_longer(longest):
    assert parse_feedback({"id": "x" * longest, "labels": ["a"]}, longest)[0] == "x" * longest
    with pytest.raises(InvalidInputError, match=f"a string of 1 to {longest} characters"):
        parse_feedback({"id": "x" * (longest + 1), "labels": ["a"]}, longest)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "'id' must be that of an answer, a string of 1 to 128 characters"),
        ({"id": "", "labels": ["a"]}, "'id' must be"),
        ({"id": 7, "labels": ["a"]}, "'id' must be"),
        ({"id": "x" * 129, "labels": ["a"]}, "'id' must be"),
        ({"id": "a"}, "'labels' must be a list of strings, the true label of each row of the request"),
        ({"id": "a", "labels": "left"}, "'labels' must be"),
        ({"id": "a", "labels": []}, "'labels' must be"),
        ({"id": "a", "labels": ["a", 1]}, "'labels' must be"),
        ({"id": "a", "labels": ["a"], "lables and more": 1}, "there is no field 'lables' in feedback"),
    ],
)
def test_every_other_body_is_refused_with_one_sentence(fields, sentence):
    with pytest.raises(InvalidInputError) as refusal:
        parse_feedback(fields, 128)
    assert str(refusal.value).startswith(sentence)
