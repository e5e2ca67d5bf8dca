"""The configuration says what is wrong, in one line, before anything runs."""

from pathlib import Path

import pytest
from stages import CONFIGS, DIGITS

from components.config import Config, read_config
from components.errors import ConfigError
from components.models.settings import MnistCnn, RandomForest

GOOD = {
    "name": "digits",
    "data": {"source": "builtin://digits"},
    "train": {"model": "random_forest"},
    "gate": {"minimum": 0.9},
}


def test_the_shipped_configurations_are_valid():
    assert read_config(DIGITS).train == RandomForest()
    assert {read_config(path).name for path in CONFIGS.glob("*.yaml")} == {"digits", "iris", "mnist", "cats-dogs"}


def test_one_number_is_the_side_of_a_square():
    assert Config.build(GOOD | {"data": {"source": "x", "size": 96.0}}).data.size == (96, 96)


def test_where_the_data_lay_is_no_part_of_what_a_model_is():
    one, other = (
        Config.build(GOOD | {"data": {"source": source, "label": "y"}}) for source in ("a.csv", "s3://b/a.csv")
    )
    assert one != other
    assert one.identity() == other.identity()
    assert one.identity()["data"]["label"] == "y"


def test_prices_are_no_part_of_what_a_model_is():
    config = Config.build(GOOD | {"prices": {"gpu": 2.5, "currency": "CHF"}})
    assert config.flat()["prices.gpu"] == "2.5"
    assert config.identity() == Config.build(GOOD).identity()
    assert "prices" not in Config.build(GOOD).plain()


def test_numbers_that_became_floats_on_the_way_through_a_pipeline_parameter_are_whole_again():
    config = Config.build(GOOD | {"seed": 3.0, "train": {"model": "mnist_cnn", "epochs": 5.0}})
    assert (config.seed, config.train.epochs) == (3, 5)
    assert isinstance(config.seed, int)


def test_a_plain_configuration_builds_the_same_configuration():
    config = read_config(DIGITS, ["train.model=mnist_cnn", "train.epochs=3"])
    assert Config.build(config.plain()) == config


def test_flat_settings_are_what_set_takes():
    config = read_config(DIGITS, ["train.trees=7", "seed=2"])
    again = read_config(DIGITS, [f"{name}={value}" for name, value in config.flat().items()])
    assert again == config


def test_another_model_starts_from_its_own_defaults_whatever_the_order():
    for overrides in (["train.model=mnist_cnn", "train.epochs=3"], ["train.epochs=3", "train.model=mnist_cnn"]):
        assert read_config(DIGITS, overrides).train == MnistCnn(epochs=3)


def test_settings_of_the_model_that_was_replaced_do_not_get_in_the_way(tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_text(DIGITS.read_text().replace("model: random_forest", "model: random_forest\n  trees: 500"))
    assert read_config(path).train == RandomForest(trees=500)
    assert read_config(path, ["train.model=mnist_cnn"]).train == MnistCnn()
    assert read_config(path, ["train.model=random_forest"]).train == RandomForest(trees=500)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gait": 1}, "gait is not a setting; did you mean gate?"),
        ({"train": {"model": "random_forest", "tree": 3}}, "train.tree is not a setting; did you mean train.trees?"),
        ({"train": {"model": "mnist_cnn", "epoch": 3}}, "train.epoch is not a setting; did you mean train.epochs?"),
        (
            {"train": {"model": "random_forest", "epochs": 3}},
            "train.epochs is a setting of train.model=mnist_cnn and simple_cnn and improved_cnn and resnet18, not of",
        ),
        ({"train": {"model": "svm"}}, "train.model=svm is not a model; choose one of random_forest, logistic_"),
        ({"train": {"trees": 3}}, "train.model is missing; choose one of random_forest"),
        ({"train": 3}, "train=3: Input should be a valid dictionary"),
        (
            {"train": {"model": "mnist_cnn", "augment": {"flop": True}}},
            "train.augment.flop is not a setting; did you mean train.augment.flip?",
        ),
        ({"sweep": {"settings": {}}}, "sweep.settings={}: Dictionary should have at least 1 item"),
        ({"sweep": {"serch": "grid"}}, "sweep.serch is not a setting; did you mean sweep.search?"),
        ({"sweep": {"settings": {"trees": {"low": 3, "high": 2}}}}, "low=3 must be below high=2"),
        ({"data": {"source": "x", "checksum": "abc"}}, "data.checksum='abc': use the 64 hexadecimal digits"),
        ({"data": {"source": "x", "size": 0}}, "data.size.0=0: Input should be greater than or equal to 1"),
        (
            {"train": {"model": "random_forest", "trees": 0}},
            "train.trees=0: Input should be greater than or equal to 1",
        ),
        ({"train": {"model": "random_forest", "trees": 2.5}}, "train.trees=2.5: Input should be a valid integer"),
        ({"gate": {"minimum": 1.5}}, "gate.minimum=1.5: Input should be less than or equal to 1"),
        ({"gate": {"minimum": float("nan")}}, "gate.minimum=nan: Input should be a finite number"),
        ({"gate": {}}, "gate.minimum is missing"),
        ({"name": "Not A Name"}, "name='Not A Name': use lower-case letters, digits and dashes"),
        ({"split": {"validation": 0.5, "test": 0.45}}, "leaves under a tenth for training"),
        ({"data": {"source": ""}}, "data.source='': String should have at least 1 character"),
        ({"prices": {"gpu": -2.5}}, "prices.gpu=-2.5: Input should be greater than or equal to 0"),
        ({"prices": {"disk": 1}}, "prices.disk is not a setting; known here: cpu, currency, gpu, memory"),
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
    with pytest.raises(ConfigError, match=told):
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
