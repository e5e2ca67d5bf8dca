"""Every model of the registry keeps the contract, and a broken one is told which clause it breaks."""

import itertools
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from pydantic import PlainSerializer

from components.dataset import Part, Splits
from components.errors import TrainingError
from components.models import SKLEARN, Model, Trained, logistic_regression, registry
from components.models.contract import check
from components.models.made import made
from components.models.settings import LogisticRegression, TrainSettings

# skl2onnx 1.20 hands booleans to protobuf 6, which a later protobuf will refuse.
pytestmark = pytest.mark.filterwarnings("ignore:Field onnx.AttributeProto.ints. Expected an int:DeprecationWarning")
NETWORKS = [name for name, model in registry().items() if model.extra == "torch"]
TABULAR = "tabular"


class Own(TrainSettings):
    model: Literal["own"] = "own"


class NoDefault(TrainSettings):
    model: Literal["own"] = "own"
    depth: int


class Forgetful(TrainSettings):
    model: Literal["own"] = "own"
    share: Annotated[float, PlainSerializer(round)] = 0.7


def model(fit: str, **changed) -> Model:
    return replace(Model(settings=Own, fit=f"{__name__}:{fit}", kinds=frozenset((TABULAR,)), software=()), **changed)


def broken(tried: Model) -> dict[str, str]:
    return {clause.name.removeprefix("table: "): clause.detail for clause in check(tried) if not clause.ok}


def broad(settings: TrainSettings, splits: Splits, seed: int) -> Trained:
    return logistic_regression.fit(LogisticRegression(), splits, seed)


def honest(settings: TrainSettings, splits: Splits, seed: int) -> Trained:
    if splits.rows.kind != TABULAR:
        raise TrainingError("tables only")
    return broad(settings, splits, seed)


def changed_graph(trained: Trained, change) -> Trained:
    graph = onnx.load_from_string(trained.graph)
    change(graph.graph)
    return replace(trained, graph=graph.SerializeToString())


@pytest.mark.parametrize("name", [name for name in registry() if name not in NETWORKS])
def test_every_learner_of_scikit_learn_keeps_the_contract(name):
    assert [clause for clause in check(registry()[name]) if not clause.ok] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_keeps_the_contract(name):
    pytest.importorskip("torch")
    assert [clause for clause in check(registry()[name]) if not clause.ok] == []


def test_every_clause_is_judged_on_every_data_set():
    clauses = check(registry()["logistic_regression"])
    for name in ("table", "grey pictures", "grey pictures in bytes", "colour pictures"):
        assert sum(clause.name.startswith(f"{name}: ") for clause in clauses) == 8


def test_an_honest_model_that_is_not_registered_keeps_the_contract():
    assert broken(model("honest")) == {}
    assert broken(model("broad", kinds=frozenset((TABULAR, "image")))) == {}


def test_a_library_that_is_not_installed_ends_the_check():
    found = check(model("honest", software=("no-such-library",)))
    assert [clause.ok for clause in found] == [False, True]
    assert "needs no-such-library, which is not installed" in found[0].detail


@pytest.mark.parametrize(
    ("settings", "detail"), [(NoDefault, "depth"), (Forgetful, "read back from JSON are not the same")]
)
def test_settings_without_a_default_or_that_json_changes_are_told(settings, detail):
    (found,) = broken(model("honest", settings=settings)).items()
    assert found[0] == "its settings have defaults and survive JSON"
    assert detail in found[1]


def fails(settings, splits, seed):
    raise ZeroDivisionError("no such thing\nas a mean of nothing")


def returns_a_graph(settings, splits, seed):
    return honest(settings, splits, seed).graph


def reads_test_rows(settings, splits, seed):
    splits.features("test")
    return honest(settings, splits, seed)


def answers_in_double(settings, splits, seed):
    trained = honest(settings, splits, seed)
    return replace(trained, predict=lambda inputs: trained.predict(inputs).astype(np.float64))


def answers_one_column(settings, splits, seed):
    trained = honest(settings, splits, seed)
    return replace(trained, predict=lambda inputs: trained.predict(inputs)[:, :1])


def answers_logits(settings, splits, seed):
    trained = honest(settings, splits, seed)
    return replace(trained, predict=lambda inputs: np.log(trained.predict(inputs)))


def answers_doubled(settings, splits, seed):
    trained = honest(settings, splits, seed)
    return replace(trained, predict=lambda inputs: trained.predict(inputs) * 2)


def answers_nothing(settings, splits, seed):
    trained = honest(settings, splits, seed)
    return replace(trained, predict=lambda inputs: trained.predict(inputs) * np.float32(np.nan))


def is_no_graph(settings, splits, seed):
    return replace(honest(settings, splits, seed), graph=b"weights")


def takes_features(settings, splits, seed):
    """Leaves the first node of the preprocessing to the client."""

    def rename(graph: onnx.GraphProto) -> None:
        graph.input[0].name = "scaled_numbers"
        for node in graph.node:
            node.input[:] = ["scaled_numbers" if name == "numbers" else name for name in node.input]

    return changed_graph(honest(settings, splits, seed), rename)


def gives_labels_too(settings, splits, seed):
    def add(graph: onnx.GraphProto) -> None:
        graph.node.append(onnx.helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1))
        graph.output.append(onnx.helper.make_tensor_value_info("label", onnx.TensorProto.INT64, ["batch", 1]))

    return changed_graph(honest(settings, splits, seed), add)


def takes_one_row(settings, splits, seed):
    def fix(graph: onnx.GraphProto) -> None:
        for put in graph.input:
            put.type.tensor_type.shape.dim[0].dim_value = 1

    return changed_graph(honest(settings, splits, seed), fix)


def is_off(settings, splits, seed):
    trained = honest(settings, splits, seed)
    return replace(trained, predict=lambda inputs: np.roll(trained.predict(inputs), 1, axis=0))


def draws_at_will(settings, splits, seed):
    honest(settings, splits, seed)
    share = float(np.random.default_rng().uniform(0.5, 1))
    return logistic_regression.fit(LogisticRegression(c=share), splits, seed)


CLOCK = itertools.count()


def keeps_the_time(settings, splits, seed):
    return replace(honest(settings, splits, seed), history=[{"epoch": 1.0, "seconds": float(next(CLOCK))}])


class ShiftedPart(Part):
    @property
    def y(self) -> NDArray[np.int64]:
        return (super().y + 1) % 3


class ShiftedSplits(Splits):
    def part(self, split: str) -> Part:
        return ShiftedPart(self.directory / split, self.rows, self.directory / "values.json")


def learns_other_targets(settings, splits, seed):
    return honest(settings, ShiftedSplits(splits.directory), seed)


ANSWERS = "answers with probabilities"
AGREES = "the graph answers what the model answers"
TAKES = "the graph takes raw rows and gives probabilities"
LEARNS = "learns more than the most frequent class"
#: Whoever takes or answers something else also breaks these.
CONSEQUENCES = {AGREES, TAKES, LEARNS}
SAME = "the same arguments give the same bytes"


@pytest.mark.parametrize(
    ("fit", "clause", "detail"),
    [
        ("fails", "learned", "ZeroDivisionError: no such thing as a mean of nothing"),
        ("is_not_there", "learned", "has no attribute 'is_not_there'"),
        ("returns_a_graph", "learned", "returned bytes; return components.models.Trained"),
        ("reads_test_rows", "test rows are not read", "FileNotFoundError"),
        ("answers_in_double", ANSWERS, "float64 of shape (1, 3); give float32"),
        ("answers_one_column", ANSWERS, "shape (1, 1); give float32 of shape (1, 3)"),
        ("answers_logits", ANSWERS, "probabilities are finite and not negative"),
        ("answers_doubled", ANSWERS, "off a sum of one"),
        ("answers_nothing", ANSWERS, "predict gives nan; probabilities are finite"),
        ("is_no_graph", "the graph is valid ONNX", ""),
        ("takes_features", TAKES, "'scaled_numbers'"),
        ("gives_labels_too", TAKES, "gives ['probabilities', 'label']; give probabilities alone"),
        ("takes_one_row", AGREES, "Got: 37 Expected: 1"),
        ("is_off", AGREES, "apart on 37 rows"),
        ("draws_at_will", SAME, "two graphs of the same arguments differ; draw all randomness from the seed"),
        ("keeps_the_time", SAME, "two histories of the same arguments differ"),
        ("learns_other_targets", LEARNS, "on its own training rows"),
    ],
)
def test_a_broken_model_breaks_the_clause_that_says_so(fit, clause, detail):
    found = broken(model(fit))
    assert clause in found
    assert detail in found[clause]
    assert set(found) - {clause} <= CONSEQUENCES


@pytest.mark.parametrize("fit", ["fails", "reads_test_rows"])
def test_nothing_is_said_of_a_graph_that_is_not_there(fit):
    assert not any("graph" in clause.name for clause in check(model(fit)))


def test_learning_from_rows_that_the_kinds_leave_out_is_told():
    (found,) = broken(model("broad", kinds=frozenset(("image",)))).items()
    assert found == ("refused", "it learned from tabular rows; raise a TrainingError, or add tabular to its kinds")


def picky(settings, splits, seed):
    if splits.rows.shape[0] < 30:
        raise TrainingError("pictures of at least 30 pixels a side")
    return broad(settings, splits, seed)


def pickier(settings, splits, seed):
    raise TrainingError("no picture is good enough")


def test_a_model_may_refuse_small_pictures_and_is_tried_on_larger_ones():
    assert broken(model("picky", kinds=frozenset(("image",)))) == {}


def test_a_model_that_refuses_every_picture_does_not_keep_the_contract():
    found = broken(model("pickier", kinds=frozenset(("image",)), software=SKLEARN))
    assert found["colour pictures: learned"] == "TrainingError: no picture is good enough"


def test_made_data_is_the_same_every_time(tmp_path):
    one, two = (made("table", tmp_path / name) for name in ("one", "two"))
    files = sorted(path.relative_to(one.directory) for path in one.directory.rglob("*.*"))
    assert len(files) == 3 + 3 * 3
    for file in files:
        assert (one.directory / file).read_bytes() == (two.directory / file).read_bytes()


def test_made_tables_have_gaps_in_numbers_and_in_text(tmp_path):
    splits = made("table", tmp_path / "splits")
    names = splits.preprocessing.feature_names()
    assert {"weight is missing", "colour is ", "colour is (unknown)"} <= set(names)
    assert np.isnan(splits.part("test").numbers).any()
