import subprocess
import sys

import kserve.protocol.grpc.grpc_predict_v2_pb2 as theirs

from serving.rpc.messages import pb


def test_the_messages_are_those_of_kserve():
    sent = theirs.ModelInferRequest(model_name="tiny", id="7")
    sent.inputs.add(name="x", datatype="FP32", shape=[1]).contents.fp32_contents.append(0.5)
    assert pb.ModelInferRequest.FromString(sent.SerializeToString()).inputs[0].contents.fp32_contents[0] == 0.5
    assert pb.DESCRIPTOR.serialized_pb == theirs.DESCRIPTOR.serialized_pb


def test_the_rest_of_kserve_is_not_imported():
    code = "import sys, serving.rpc.messages; print([name for name in sys.modules if name.startswith('kserve')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "kserve.model" not in done.stdout
    assert "'kserve'" not in done.stdout
