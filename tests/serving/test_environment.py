import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
TRAINING = ["torch", "sklearn", "kfp", "mlflow", "onnx", "skl2onnx"]
PICKLES = ["joblib", "skops", "cloudpickle", "dill"]
GOOD = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}]}
IMPORTED = (
    "import sys, json, serving.__main__, serving.house; print(json.dumps([n for n in sys.modules if '.' not in n]))"
)
FOUND = "import sys, json, importlib.util as u; print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n)]))"


@pytest.fixture(scope="module")
def python():
    """The interpreter of an environment that has what hack/setup predictor installs and nothing else."""
    path = Path(os.environ.get("SLIPWAY_PREDICTOR_PYTHON") or ROOT / ".venv-predictor" / "bin" / "python")
    if not path.exists():
        pytest.skip(f"no predictor environment at {path}; make one: hack/setup predictor .venv-predictor")
    return str(path)


def output(python, *arguments):
    return json.loads(subprocess.run([python, *arguments], cwd=ROOT, capture_output=True, check=True).stdout)


def test_the_predictors_requirements_are_enough_to_serve(python, launch, sealed):
    start, stop = launch
    server = start(sealed.path, python=python)
    response = httpx.post(f"{server.http}/v2/models/tiny/infer", json=GOOD)
    assert response.status_code == 200
    assert response.json()["outputs"][1]["data"] == ["right"]
    assert stop(server)[0] == 0


def test_the_predictors_requirements_hold_nothing_of_training_and_nothing_that_loads_pickles(python):
    assert output(python, "-c", FOUND, *TRAINING, *PICKLES) == []


def test_serving_imports_nothing_of_training_even_where_it_is_installed():
    imported = output(sys.executable, "-c", IMPORTED)
    assert {"serving", "modelpackage", "grpc", "onnxruntime"} <= set(imported)
    assert not set(imported) & {*TRAINING, *PICKLES, "components", "pipelines", "pandas", "kserve", "fastapi"}
