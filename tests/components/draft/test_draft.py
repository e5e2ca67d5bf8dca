"""A drafted configuration is one that can be read, run and understood."""

from pathlib import Path

import pytest
import yaml
from PIL import Image

from components.config import Config, read_config
from components.draft import draft
from components.errors import ConfigError, DataError
from components.ingest import ingest


def table(path: Path, rare: int = 2, label: str = "churned") -> Path:
    """Write a table with an identifier, gaps and categories; one in ``rare`` rows is of class yes."""
    lines = [
        f"C{row:04},{row % 50 + 0.5},{'' if row % 7 == 0 else f'town {row % 5}'},{'yes' if row % rare == 0 else 'no'}"
        for row in range(240)
    ]
    path.write_text("\n".join([f"id,age,town,{label}", *lines]), encoding="utf-8")
    return path


def read_back(text: str, folder: Path) -> Config:
    path = folder / "drafted.yaml"
    path.write_text(text, encoding="utf-8")
    return read_config(path)


def test_a_drafted_table_is_read_back_and_ingested(tmp_path):
    place = table(tmp_path / "Customer Churn.csv")
    config = read_back(draft(str(place), "churned"), tmp_path)
    assert (config.name, config.data.source) == ("customer-churn", str(place))
    assert (config.data.label, config.data.drop) == ("churned", ("id",))
    snapshot = ingest(config.data, tmp_path / "scratch", tmp_path / "cache")
    assert (snapshot.rows.numbers, snapshot.rows.categories) == (("age",), ("town",))
    assert len(snapshot) == 240


def test_what_was_found_and_decided_stands_beside_the_settings(tmp_path):
    text = draft(str(table(tmp_path / "churn.csv", rare=8)), "churned")
    assert "240 rows, 4 columns, 2 classes" in text
    assert "#   no         210   87.5%\n#   yes         30   12.5%\n" in text
    assert "    - id                        # looks like an identifier: 240 values, all different\n" in text
    assert "  #   town  category  5 values, 35 missing\n" in text
    assert "yes is not a third as frequent as no" in text


def test_even_classes_are_gated_half_way_from_the_commonest_class_to_one(tmp_path):
    config = read_back(draft(str(table(tmp_path / "churn.csv", rare=3)), "churned"), tmp_path)
    assert (config.gate.metric, config.gate.minimum) == ("accuracy", 0.83)
    assert config.train.class_weights == "none"


def test_rare_classes_are_weighed_and_gated_so_that_they_count(tmp_path):
    config = read_back(draft(str(table(tmp_path / "churn.csv", rare=8)), "churned"), tmp_path)
    assert (config.gate.metric, config.gate.minimum) == ("recall_macro", 0.75)
    assert config.train.class_weights == "balanced"


def test_a_class_with_too_few_rows_is_pointed_out(tmp_path):
    assert "yes          3    1.2%  too few, each class needs 10" in draft(
        str(table(tmp_path / "t.csv", rare=80)), "churned"
    )


@pytest.mark.parametrize("label", ["yes: or # no", "true", "2024", "größe 'in' m", "- dash", "a\x07b", "[x]"])
def test_odd_names_are_quoted_so_that_they_are_read_back(tmp_path, label):
    config = read_back(draft(str(table(tmp_path / "t.csv", label=label)), label), tmp_path)
    assert config.data.label == label


def test_odd_values_stay_within_their_comments(tmp_path):
    path = tmp_path / "t.csv"
    values = ['"a\nname: other"', '"b\u2028gate: 1"', '"c\x07"', f'"{"d" * 500}"']
    path.write_text("\n".join(["age,label", *(f"{row % 9},{values[row % 4]}" for row in range(80))]), encoding="utf-8")
    text = draft(str(path), "label")
    assert read_back(text, tmp_path).name == "t"
    assert "#   a name: other " in text
    assert max(map(len, text.splitlines())) < 250


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Größe (2024).data.csv", "groe-2024-data"),
        ("___.csv", "model"),
        ("a" * 80 + ".tsv.txt", "a" * 63),
        ("-x-.csv", "x"),
    ],
)
def test_the_name_is_made_from_the_file(tmp_path, file, name):
    assert read_back(draft(str(table(tmp_path / file)), "churned"), tmp_path).name == name


def test_a_name_of_its_own_is_taken_and_a_wrong_one_refused(tmp_path):
    place = str(table(tmp_path / "t.csv"))
    assert read_back(draft(place, "churned", "leavers"), tmp_path).name == "leavers"
    for name in ("Bad Name", ""):
        with pytest.raises(ConfigError, match="use lower-case letters, digits and dashes"):
            draft(place, "churned", name)


def test_long_lists_are_cut(tmp_path):
    path = tmp_path / "wide.csv"
    head = [*(f"c{column}" for column in range(60)), "label"]
    path.write_text(
        "\n".join([",".join(head), *(",".join([str(row % 9)] * 60 + [f"k{row % 45}"]) for row in range(450))])
    )
    text = draft(str(path), "label")
    assert "  #   and 20 more\n" in text
    assert "#   and 5 more\n" in text
    assert read_back(text, tmp_path).gate.minimum == 0.51


def test_drafted_pictures_are_read_back(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / "My Photos" / label).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (70, 90)).save(tmp_path / "My Photos" / label / f"{number}.png")
    config = read_back(draft(f"{tmp_path}/My Photos/"), tmp_path)
    assert (config.name, config.data.size, config.data.colour) == ("my-photos", (64, 64), "grey")
    assert config.train.model == "simple_cnn"


def test_a_draft_of_the_same_data_is_the_same(tmp_path):
    place = str(table(tmp_path / "t.csv"))
    assert draft(place, "churned") == draft(place, "churned")
    assert list(yaml.safe_load(draft(place, "churned"))) == ["name", "data", "train", "gate"]


@pytest.mark.parametrize(
    ("place", "error", "told"),
    [
        ("nowhere.csv", DataError, "nowhere.csv"),
        ("", ConfigError, "data.source=''"),
        ("builtin://digits", ConfigError, "configs/ has a configuration for it"),
    ],
)
def test_a_place_without_data_is_refused(place, error, told):
    with pytest.raises(error) as raised:
        draft(place)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
