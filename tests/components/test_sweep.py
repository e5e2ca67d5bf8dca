"""A sweep becomes trials that are each valid, and the best of them on validation rows goes on."""

import json

import pytest
from stages import DIGITS

from components.config import Config, read_config
from components.errors import ConfigError
from components.sweep import choose, difference, read_trials, trials


def sweep(**changes) -> Config:
    content = read_config(DIGITS).plain() | {
        "sweep": {"settings": {"trees": [10, 20], "max_depth": [3, 4, 5]}} | changes
    }
    return Config.build(content)


def test_a_run_without_a_sweep_is_its_own_only_trial():
    config = read_config(DIGITS)
    assert trials(config) == [config]


def test_a_grid_is_every_combination_once_and_no_trial_has_a_sweep():
    found = trials(sweep())
    assert [(trial.train.trees, trial.train.max_depth) for trial in found] == [
        (trees, depth) for trees in (10, 20) for depth in (3, 4, 5)
    ]
    assert all(trial.sweep is None for trial in found)


def test_a_sweep_can_try_models_each_with_its_own_defaults():
    config = sweep(settings={"model": ["random_forest", "gradient_boosting"]})
    assert [trial.train.model for trial in trials(config)] == ["random_forest", "gradient_boosting"]


def test_a_random_search_draws_within_its_ranges_and_is_seeded():
    ranges = {
        "trees": {"low": 10, "high": 40, "whole": True},
        "min_samples_leaf": [1, 2, 3],
    }
    config = sweep(search="random", trials=20, settings=ranges)
    found = trials(config)
    assert len(found) == 20
    assert all(10 <= trial.train.trees <= 40 and trial.train.min_samples_leaf in (1, 2, 3) for trial in found)
    assert len({trial.train.trees for trial in found}) > 5
    assert trials(config) == found
    assert trials(config.model_copy(update={"seed": 1})) != found


def test_a_logarithmic_range_spends_as_many_draws_on_each_power_of_ten():
    values = {"c": {"low": 1e-4, "high": 1e4, "log": True}}
    config = sweep(search="random", trials=100, settings=values)
    config = config.model_copy(update={"train": read_config(DIGITS, ["train.model=logistic_regression"]).train})
    below = sum(trial.train.c < 1 for trial in trials(config))
    assert 30 < below < 70


def test_a_trial_that_breaks_a_rule_is_named_before_anything_is_trained():
    with pytest.raises(ConfigError, match="train.trees=0: Input should be greater"):
        trials(sweep(settings={"trees": [5, 0]}))
    with pytest.raises(ConfigError, match="train.epochs is a setting of train.model=mnist_cnn"):
        trials(sweep(settings={"epochs": [5]}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"settings": {"trees": {"low": 1, "high": 2}}}, "sweep.settings.trees is a range; list its values"),
        ({"settings": {"trees": list(range(1, 12)), "max_depth": list(range(1, 11))}}, "makes 110 trials, 1 to 100"),
        ({"settings": {"trees": []}}, "makes 0 trials"),
    ],
)
def test_a_grid_that_can_not_be_tried_is_refused(changes, told):
    with pytest.raises(ConfigError, match=told):
        trials(sweep(**changes))


def trained(directory, accuracy: float, log_loss: float):
    directory.mkdir()
    (directory / "graph.onnx").write_bytes(directory.name.encode())
    (directory / "training.json").write_text(json.dumps({"validation": {"accuracy": accuracy, "log_loss": log_loss}}))
    return directory


def test_the_best_on_validation_rows_is_chosen_and_ties_go_to_the_smaller_loss(tmp_path):
    scores = [(0.9, 0.5), (0.95, 0.4), (0.95, 0.3), (0.8, 0.1), (0.95, 0.3), (0.1, 9.0)]
    models = [trained(tmp_path / f"trial-{number}", *score) for number, score in enumerate(scores)]
    config = sweep()
    chosen = choose(config, models, tmp_path / "model")
    assert chosen == trials(config)[2]
    assert (tmp_path / "model" / "graph.onnx").read_bytes() == b"trial-2"
    account = read_trials(tmp_path / "model")
    assert [entry["chosen"] for entry in account] == [False, False, True, False, False, False]
    assert account[2]["settings"] == {"trees": "10", "max_depth": "5"} == difference(config, chosen)
    by_loss = choose(sweep(metric="log_loss"), models, tmp_path / "other")
    assert by_loss == trials(config)[3]


def test_a_model_of_a_plain_run_has_no_trials(tmp_path):
    assert read_trials(tmp_path) == []
