import hashlib

import yaml

from pipelines.compile import COMPILED
from pipelines.versions import RESOURCES, resources

TEXTS = {name: path.read_text() for name, path in COMPILED.items()}


def documents(texts):
    return list(yaml.safe_load_all(resources(texts)))


def test_every_compiled_file_is_a_pipeline_and_a_version_of_it():
    found = [(document["kind"], document["metadata"]["name"]) for document in documents(TEXTS)]
    names = {name: hashlib.sha256(text.encode()).hexdigest()[:12] for name, text in TEXTS.items()}
    assert found == [
        pair
        for name, digest in names.items()
        for pair in (("Pipeline", name[:-5]), ("PipelineVersion", f"{name[:-5]}-{digest}"))
    ]


def test_a_version_holds_what_was_compiled():
    spec, platform = yaml.safe_load_all(TEXTS["training.yaml"])
    version = documents({"training.yaml": TEXTS["training.yaml"]})[1]["spec"]
    assert (version["pipelineSpec"], version["platformSpec"], version["pipelineName"]) == (spec, platform, "training")


def test_another_file_is_another_version():
    changed = {"training.yaml": TEXTS["training.yaml"].replace("4G", "8G")}
    before = documents({"training.yaml": TEXTS["training.yaml"]})
    after = documents(changed)
    assert before[0] == after[0]
    assert before[1]["metadata"]["name"] != after[1]["metadata"]["name"]


def test_the_committed_resources_are_fresh():
    assert RESOURCES.read_text() == resources(TEXTS)
