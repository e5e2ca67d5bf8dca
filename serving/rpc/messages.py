"""The messages of v2 gRPC, out of kserve's generated module.

The module is loaded from its file: ``import kserve`` takes seconds and a hundred megabytes for the client of the
cluster's API that comes with it, and a server needs none of that. The only place in ``serving`` that knows where kserve
is.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

MODULE = Path("protocol", "grpc", "grpc_predict_v2_pb2.py")


def _load() -> ModuleType:
    package = importlib.util.find_spec("kserve")
    if package is None or not package.submodule_search_locations:
        raise ImportError("kserve is not installed; install the locked requirements of the predictor")
    path = Path(package.submodule_search_locations[0]) / MODULE
    spec = importlib.util.spec_from_file_location("kserve_grpc_predict_v2_pb2", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"this version of kserve has no {MODULE}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pb = _load()
