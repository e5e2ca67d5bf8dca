"""kserve as its documentation shows it, a Model and a ModelServer: kserve_server.py GRAPH NAME HTTP_PORT GRPC_PORT.

Everything is left as it is shipped, the logging too; it only listens on loopback, for which kserve has no setting.
"""

import base64
import sys
from types import SimpleNamespace
from typing import Any

import grpc
import kserve
import numpy as np
import uvicorn
from graph import Graph
from kserve.protocol.grpc import server as rpc
from kserve.protocol.rest import server as rest
from kserve.utils.utils import get_predict_response

LOOPBACK = "127.0.0.1"


class Served(kserve.Model):  # type: ignore[misc]  # kserve has no type information
    """The model of kserve's guide to custom predictors."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self.graph = Graph(path)
        self.ready = True

    async def predict(self, payload: kserve.InferRequest, *_: object) -> kserve.InferResponse:
        sent = payload.inputs[0]
        values = sent.as_numpy()
        if sent.datatype == "BYTES":
            values = np.stack([self.graph.decode(base64.b64decode(text)) for text in values.ravel()])
        return get_predict_response(payload, self.graph.run(values), self.name)


class Rest(uvicorn.Config):
    """On loopback."""

    def __init__(self, app: Any, host: str, **options: Any) -> None:
        del host
        super().__init__(app, host=LOOPBACK, **options)


def rpc_server(*arguments: Any, **options: Any) -> grpc.aio.Server:
    """Return kserve's gRPC server, on loopback."""
    made = grpc.aio.server(*arguments, **options)
    listen = made.add_insecure_port
    made.add_insecure_port = lambda address: listen(address.replace("[::]", LOOPBACK))
    return made


if __name__ == "__main__":
    graph_path, model, http_port, grpc_port = sys.argv[1:]
    rest.uvicorn.Config = Rest
    rpc.aio = SimpleNamespace(server=rpc_server)
    kserve.ModelServer(http_port=int(http_port), grpc_port=int(grpc_port), workers=1).start([Served(model, graph_path)])
