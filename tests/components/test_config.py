"""The configuration says what is wrong, in one line, before anything runs."""

from pathlib import Path

import pytest
from stages import DIGITS

from components.config import Cnn, Config, Forest, read_config
from components.errors import ConfigError

GOOD = {
    "name": "digits",
    "data": {"source": "builtin://digits"},
    "train": {"model": "forest"},
    "gate": {"minimum": 0.9},
}


def test_the_shipped_configuration_is_valid():
    assert read_config(DIGITS).train == Forest()


def test_numbers_that_became_floats_on_the_way_through_a_pipeline_parameter_are_whole_again():
    config = Config.build(GOOD | {"seed": 3.0, "train": {"model": "cnn", "epochs": 5.0}})
    assert (config.seed, config.train.epochs) == (3, 5)
    assert isinstance(config.seed, int)


def test_a_plain_configuration_builds_the_same_configuration():
    config = read_config(DIGITS, ["train.model=cnn", "train.epochs=3"])
    assert Config.build(config.plain()) == config


def test_flat_settings_are_what_set_takes():
    config = read_config(DIGITS, ["train.trees=7", "seed=2"])
    again = read_config(DIGITS, [f"{name}={value}" for name, value in config.flat().items()])
    assert again == config


def test_another_model_starts_from_its_own_defaults_whatever_the_order():
    for overrides in (["train.model=cnn", "train.epochs=3"], ["train.epochs=3", "train.model=cnn"]):
        assert read_config(DIGITS, overrides).train == Cnn(epochs=3)


def test_settings_of_the_model_that_was_replaced_do_not_get_in_the_way(tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_text(DIGITS.read_text().replace("model: forest", "model: forest\n  trees: 500"))
    assert read_config(path).train == Forest(trees=500)
    assert read_config(path, ["train.model=cnn"]).train == Cnn()
    assert read_config(path, ["train.model=forest"]).train == Forest(trees=500)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gait": 1}, "gait is not a setting; did you mean gate?"),
        ({"train": {"model": "forest", "tree": 3}}, "train.tree is not a setting; did you mean train.trees?"),
        ({"train": {"model": "cnn", "epoch": 3}}, "train.epoch is not a setting; did you mean train.epochs?"),
        (
            {"train": {"model": "forest", "epochs": 3}},
            "train.epochs is a setting of train.model=cnn, not of this model",
        ),
        ({"train": {"model": "svm"}}, "train.model=svm is not a model; choose one of forest, cnn"),
        ({"train": {"model": "forest", "trees": 0}}, "train.trees=0: Input should be greater than or equal to 1"),
        ({"train": {"model": "forest", "trees": 2.5}}, "train.trees=2.5: Input should be a valid integer"),
        ({"gate": {"minimum": 1.5}}, "gate.minimum=1.5: Input should be less than or equal to 1"),
        ({"gate": {"minimum": float("nan")}}, "gate.minimum=nan: Input should be a finite number"),
        ({"gate": {}}, "gate.minimum is missing"),
        ({"name": "Not A Name"}, "name='Not A Name': use lower-case letters, digits and dashes"),
        ({"split": {"validation": 0.5, "test": 0.45}}, "leaves under a tenth for training"),
        ({"data": {"source": "nowhere"}}, "data.source='nowhere': the only source so far is builtin://digits"),
        ({"seed": -1}, "seed=-1: Input should be greater than or equal to 0"),
    ],
)
def test_a_broken_rule_is_named_in_one_line(changes, told):
    with pytest.raises(ConfigError) as caught:
        Config.build(GOOD | changes)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.model", "must look like"),
        ("=3", "must look like"),
        ("seed.deep=3", "seed is a value, it has no deep"),
        ("seed=[1", "is not a YAML value"),
    ],
)
def test_a_malformed_override_is_named(override, told):
    with pytest.raises(ConfigError, match=f"--set.*{told}"):
        read_config(DIGITS, [override])


@pytest.mark.parametrize(
    ("content", "told"), [("- a", "must be a mapping"), ("a: [", "is not YAML"), (None, "can't read")]
)
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, content, told):
    path = tmp_path / "run.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=told):
        read_config(path)


def test_a_file_that_is_not_text_is_named(tmp_path: Path):
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match="is not text; name a file like"):
        read_config(tmp_path / "run.yaml")
