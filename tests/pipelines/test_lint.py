import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import shapes
from kfp import compiler

from pipelines.lint import RULES, Finding, lint

RUN = """
import sys
from kfp import components, local
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])
components.load_component_from_file(sys.argv[1])()
"""


def compiled(pipeline: Any, folder: Path) -> Path:
    path = folder / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return path


def said(pipeline: Any, folder: Path) -> list[str]:
    """What the steps say in a local run, sorted; each run needs a process of its own."""
    command = [sys.executable, "-c", RUN, compiled(pipeline, folder), folder / "root"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return sorted(re.findall(r"^\s*<(.*)>$", run.stdout, re.MULTILINE))


def test_a_sound_pipeline_has_no_findings(tmp_path):
    assert lint(compiled(shapes.sound, tmp_path)) == []


def test_a_sound_pipeline_runs_as_it_reads(tmp_path):
    assert said(shapes.sound, tmp_path) == ["a passed", "b passed"]


@pytest.mark.parametrize("name", shapes.BROKEN)
def test_a_broken_shape_is_found_by_its_rule_alone(name, tmp_path):
    rule, pipeline = shapes.BROKEN[name]
    assert {finding.rule for finding in lint(compiled(pipeline, tmp_path))} == {rule}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("gate_on_a_named_output", []),  # meant: open
        ("condition_with_a_quote", []),  # meant: open; not even shut is said
        ("loop_over_an_item", ["['a', 'b'] ", "['a', 'b'] ", "['c', 'd'] ", "['c', 'd'] "]),  # meant: a, b, c, d
        ("loop_with_another_output", ["a a"]),  # meant: a outside
        ("loop_with_another_item", ["b b"]),  # meant: a b
        ("nested_pipeline_without_an_input", ["outer outer"]),  # meant: outer default
        ("nested_pipeline_with_artifacts_alone", ["outer", "outer"]),  # meant: inner, outer
        ("interpreter_in_a_default", [f"{sys.executable} "]),  # meant: python3
    ],
)
def test_a_local_run_of_a_broken_shape_succeeds_and_is_wrong(name, wrong, tmp_path):
    _, pipeline = shapes.BROKEN[name]
    assert said(pipeline, tmp_path) == wrong


@pytest.mark.parametrize(
    "reference",
    [
        "{{$.inputs.parameters[''pipelinechannel--cpu'']}}",
        "componentInputArtifact: pipelinechannel--fit-Output",
        "componentInputParameter: pipelinechannel--credentials",
    ],
    ids=["container", "task", "platform"],
)
def test_a_reference_to_nothing_is_found_wherever_it_stands(reference, tmp_path):
    path = compiled(shapes.sound, tmp_path)
    before, found, after = path.read_text().rpartition(reference)
    path.write_text(before + found.replace("pipelinechannel--", "pipelinechannel--no-") + after)
    assert [finding.rule for finding in lint(path)] == ["undeclared-input"]


def test_every_rule_has_a_broken_shape_and_a_reason():
    rules = {rule.__name__.strip("_").replace("_", "-") for rule in RULES}
    assert rules == {rule for rule, _ in shapes.BROKEN.values()}
    assert all(rule.__doc__ for rule in RULES)


def test_a_finding_names_the_place_the_value_the_reason_and_the_way_out(tmp_path):
    _, pipeline = shapes.BROKEN["accelerators_by_default"]
    assert lint(compiled(pipeline, tmp_path)) == [
        Finding(
            rule="accelerator",
            where="exec-train",
            message="asks for 1. The number must be a parameter with the default "
            '"0", so that one file serves every cluster.',
        )
    ]


@pytest.mark.parametrize("text", ["", "- a list", "kind: PipelineVersion"])
def test_a_file_without_a_pipeline_is_refused(text, tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"{path} holds no pipeline: .* write it with kfp.compiler"):
        lint(path)


def test_the_linter_needs_no_kfp():
    code = "import sys, pipelines.lint; sys.exit('kfp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)
