"""MLServer with a custom runtime in its own process: mlserver_server.py GRAPH NAME HTTP_PORT GRPC_PORT METRICS_PORT.

Parallel workers are off: the hops through their queues cost more than small models gain.
"""

import asyncio
import base64
import sys

import mlserver  # type: ignore[import-not-found]  # it has an environment of its own
import numpy as np
from graph import Graph
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]  # see above
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]  # see above
from mlserver.utils import install_uvloop_event_loop  # type: ignore[import-not-found]  # see above


class Served(mlserver.MLModel):  # type: ignore[misc]  # see above
    """The model of MLServer's guide to custom runtimes."""

    async def load(self) -> bool:
        self.graph = Graph(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        sent = payload.inputs[0]
        if sent.datatype == "BYTES":
            values = np.stack([self.graph.decode(base64.b64decode(text)) for text in sent.data])
        else:
            values = NumpyCodec.decode_input(sent)
        output = NumpyCodec.encode_output("probabilities", self.graph.run(values))
        return InferenceResponse(model_name=self.name, outputs=[output])


if __name__ == "__main__":
    graph_path, name, http_port, grpc_port, metrics_port = sys.argv[1:]
    settings = mlserver.Settings(
        debug=False,
        host="127.0.0.1",
        http_port=int(http_port),
        grpc_port=int(grpc_port),
        metrics_port=int(metrics_port),
        parallel_workers=0,
    )
    model = mlserver.ModelSettings(name=name, implementation=Served, parameters={"uri": graph_path})
    install_uvloop_event_loop()
    asyncio.run(mlserver.MLServer(settings).start([model]))
