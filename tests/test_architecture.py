"""The import rules of the house, and the habits of size, read off the sources."""

import ast
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("modelpackage", "components", "pipelines", "serving")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
OURS = set(PACKAGES)

#: What each package may import of ours, and what it may never import of others.
MAY = {
    "modelpackage": set(),
    "components": {"modelpackage"},
    "serving": {"modelpackage"},
    "pipelines": {"modelpackage", "components"},
}
NEVER = {
    "modelpackage": {"torch", "sklearn", "mlflow", "kfp", "kserve", "onnx"},
    "serving": {"torch", "sklearn", "mlflow", "kfp", "onnx", "skl2onnx"},
    "components": {"kserve", "requests"},
    "pipelines": {"kserve", "torch", "sklearn"},
}
#: Libraries that only these files may import.
ONLY = {
    "kfp": {
        "components/ports.py",
        *(f"pipelines/{name}.py" for name in ("compile", "engine", "resources", "submit", "training")),
    },
    # A client of the cluster's API comes with it, so it is not even imported; see the file.
    "docker": {"pipelines/docker_engine.py", "pipelines/containers.py", "pipelines/doctor/laptop.py"},
    "kserve": set(),
    "grpc": {
        "serving/errors.py",
        "serving/server.py",
        "serving/rpc/server.py",
        "serving/monitoring/tracing.py",
        "serving/selftest.py",
    },
    "httptools": {"serving/rest/connection.py"},
    "torch": {
        f"components/models/{name}.py"
        for name in (
            *("augment", "chance", "checkpoint", "device", "export", "feed", "group", "loop", "memory", "network"),
            *("networks", "schedule"),
        )
    }
    | {"components/processes/__main__.py", "components/sources/decode.py"},
    "safetensors": {"components/models/checkpoint.py", "components/models/networks.py"},
    "torchvision": {"components/models/networks.py", "components/sources/decode.py"},
    "mlflow": {f"components/tracking/{name}.py" for name in ("__init__", "registry", "runs")},
    # Its client knows every kind of kubeconfig; what is asked is JSON.
    "kubernetes": {"components/kube.py"},
    "minio": {"components/store/bucket.py", "serving/fetch.py", "serving/monitoring/sink.py", "serving/s3.py"},
}
#: Loading one of these runs code of whoever wrote the file.
UNSAFE = {"pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal", "skops"}


def imports(path: Path) -> set[str]:
    """Full names of everything a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def top(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_the_rules(path: Path):
    package, name = path.relative_to(ROOT).parts[0], path.relative_to(ROOT).as_posix()
    found = top(imports(path))
    assert found & OURS <= MAY[package] | {package}
    assert not found & NEVER[package]
    assert not found & UNSAFE
    for library, files in ONLY.items():
        assert library not in found or name in files, f"{library} belongs into {files}"


def test_the_graph_knows_the_steps_only_by_their_ports():
    assert {name for name in imports(ROOT / "pipelines" / "training.py") if name.startswith("components")} == {
        "components",
        "components.ports",
    }


def test_no_torch_load_anywhere():
    for path in FILES:
        assert "torch.load" not in path.read_text(), path


def functions() -> list[tuple[str, int]]:
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                text = first.end_lineno - first.lineno + 1 if documented else 0
                found.append((f"{path.name}:{node.name}", node.end_lineno - node.lineno + 1 - text))
    return found


def test_functions_and_files_stay_short():
    lines = sorted(length for _, length in functions())
    assert median(lines) < 15
    assert lines[int(len(lines) * 0.9)] < 40
    for path in FILES:
        assert len(path.read_text().splitlines()) < 300, path


def test_every_module_says_what_it_is_and_has_its_tests():
    tested = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    plain = {"__init__.py", "__main__.py"}
    #: Declarations and constants, tested through what uses them.
    through_others = {
        "ir.py",
        "ports.py",
        "training.py",
        "resources.py",
        "console.py",
        "limits.py",
        "errors.py",
        "figures.py",
        "report.py",
        "record.py",
        "exchange.py",
    }
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text())), path
        if path.name not in plain | through_others and path.parent.name != "models":
            assert f"test_{path.name}" in tested, path
