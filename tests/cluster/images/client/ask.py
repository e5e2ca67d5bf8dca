"""Ask a model once over REST and once over gRPC with KServe's own client: ask.py HOST MODEL VALUES_JSON SHAPE_JSON."""

import asyncio
import json
import sys

from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def main(host: str, model: str, values: list[float], shape: list[int], name: str) -> None:
    tensor = InferInput(name=name, shape=shape, datatype="FP32", data=values)
    request = InferRequest(model_name=model, infer_inputs=[tensor], request_id="asked-by-the-stock-client")
    rest = InferenceRESTClient(RESTConfig(protocol="v2", timeout=10))
    grpc = InferenceGRPCClient(url=f"{host}:8081", timeout=10)
    found = {
        "ready": [
            await rest.is_model_ready(f"http://{host}", model_name=model),
            await grpc.is_model_ready(model_name=model),
        ]
    }
    for protocol, answer in (
        ("rest", await rest.infer(f"http://{host}", request, model_name=model)),
        ("grpc", await grpc.infer(request)),
    ):
        outputs = {output.name: output.as_numpy().tolist() for output in answer.outputs}
        found[protocol] = {
            "id": answer.id,
            "label": [label.decode() if isinstance(label, bytes) else label for label in outputs["label"]],
            "probabilities": [round(value, 6) for row in outputs["probabilities"] for value in row],
            # A string over REST, a message with a field for each type over gRPC.
            "package": getattr(answer.parameters["package"], "string_param", answer.parameters["package"]),
        }
    await rest.close()
    await grpc.close()
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4]), sys.argv[5]))
