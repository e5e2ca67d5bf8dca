import copy
import os
from pathlib import Path

import pytest
import yaml
from manifests.render import Rendering

from manifests import schema

CRDS = os.environ.get("SLIPWAY_CRDS")
#: What a definition says is as real as its shape; this one has every shape that matters.
DEFINITION = {
    "kind": "CustomResourceDefinition",
    "spec": {
        "group": "boats.example",
        "names": {"kind": "Boat", "plural": "boats"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["sail"],
                                "properties": {
                                    "sail": {"type": "string", "enum": ["gaff", "lug"]},
                                    "crew": {"type": "integer", "minimum": 1},
                                    "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}]},
                                    "notes": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    "flags": {"type": "object", "additionalProperties": {"type": "string"}},
                                    "masts": {
                                        "type": "array",
                                        "items": {"type": "object", "properties": {"height": {"type": "number"}}},
                                    },
                                    "owner": {"type": "string", "nullable": True},
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}
BOAT = {
    "apiVersion": "boats.example/v1",
    "kind": "Boat",
    "metadata": {"name": "a", "labels": {"x": "y"}},
    "spec": {
        "sail": "gaff",
        "crew": 2,
        "port": "http",
        "notes": {"anything": [1]},
        "flags": {"red": "yes"},
        "masts": [{"height": 9.5}],
        "owner": None,
    },
}


@pytest.fixture
def folder(tmp_path):
    other = copy.deepcopy(DEFINITION)
    other["spec"]["names"]["kind"] = "Raft"
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([other, DEFINITION]))
    return tmp_path


def check(document, folder=None):
    return [(each.rule, each.where, each.what) for each in schema.check(Rendering("test", [document]), folder)]


def test_the_built_in_kinds_of_sound_manifests_keep_their_schemas(good):
    assert schema.check(Rendering("test", good), None) == []


@pytest.mark.skipif(not CRDS, reason="SLIPWAY_CRDS names no folder of CustomResourceDefinitions")
def test_the_custom_resources_of_sound_manifests_keep_their_schemas(good):
    assert schema.check(Rendering("test", good), Path(CRDS)) == []


@pytest.mark.skipif(not CRDS, reason="SLIPWAY_CRDS names no folder of CustomResourceDefinitions")
def test_an_unknown_field_of_an_inference_service_is_found(broken):
    broken.change("inferenceservice/digits", "spec predictor model storageURI", "s3://models/")
    [finding] = schema.check(Rendering("test", broken.documents), Path(CRDS))
    assert finding.what == "spec.predictor.model.storageURI is no field of the kind"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("spec replica", 2, "spec.replica is no field of the kind"),
        (
            "spec template spec containers 0 readinesProbe",
            {},
            "spec.template.spec.containers[0].readinesProbe is no field",
        ),
        ("spec template spec containers 0 ports 0 containerPort", "5000", "'5000' is not of type 'integer'"),
        ("spec selector", ..., "'selector' is a required property"),
    ],
)
def test_what_kubernetes_does_not_know_is_found(broken, path, value, said):
    broken.change("deployment/web", path, value)
    [(rule, where, what)] = check(broken.object("deployment/web"))
    assert (rule, where) == ("schema", "deployment/web")
    assert said in what


def test_a_custom_resource_keeps_its_definition(folder):
    assert check(BOAT, folder) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sail": "jib"}, "'jib' is not one of ['gaff', 'lug']"),
        ({"crew": 0}, "less than the minimum"),
        ({"crew": None}, "None is not of type 'integer'"),
        ({"port": [1]}, "[1] is not of type 'integer', 'string'"),
        ({"flags": {"red": 1}}, "spec.flags.red: 1 is not of type"),
        ({"hull": 1}, "spec.hull is no field of the kind"),
        ({"masts": [{"heigth": 1}]}, "spec.masts[0].heigth is no field of the kind"),
    ],
    ids=str,
)
def test_what_a_definition_does_not_know_is_found(folder, change, said):
    [(rule, where, what)] = check({**BOAT, "spec": {**BOAT["spec"], **change}}, folder)
    assert (rule, where) == ("schema", "boat/a")
    assert said in what


def test_a_missing_field_is_found(folder):
    [(rule, _, what)] = check({**BOAT, "spec": {}}, folder)
    assert (rule, what) == ("schema", "spec: 'sail' is a required property")


@pytest.mark.parametrize(
    "change", [{"apiVersion": "boats.example/v2"}, {"kind": "Ship"}, {"apiVersion": "ships.example/v1"}]
)
def test_a_kind_or_version_without_a_definition_is_found(folder, change):
    [(rule, *_)] = check({**BOAT, **change}, folder)
    assert rule == "schema-missing"


def test_a_wrong_version_of_a_built_in_kind_is_found(folder):
    [(rule, where, _)] = check({"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "a"}}, folder)
    assert (rule, where) == ("schema-missing", "deployment/a")


def test_without_a_folder_custom_resources_are_counted_and_skipped():
    rendering = Rendering("test", [BOAT, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}])
    assert schema.check(rendering, None) == []
    assert schema.skipped(rendering) == 1
