"""A network as clients see it, and its export by torch's own ONNX exporter."""

import logging

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.dataset import Rows, Scaling
from components.errors import TrainingError

OPSET = 18


class Served(nn.Module):
    """A network from raw pictures to probabilities.

    Args:
        network: Scaled pictures (rows, channels, height, width) in, logits out.
        scaling: Of the pictures.
    """

    def __init__(self, network: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.network = network
        mean, factor = (torch.from_numpy(array.copy()) for array in scaling.arrays())
        self.mean: Tensor
        self.factor: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("factor", factor)

    def scaled(self, image: Tensor) -> Tensor:
        """Map raw pictures (rows, height, width[, channels]) to scaled ones (rows, channels, height, width)."""
        values = (image.to(torch.float32) - self.mean) * self.factor
        return values.permute(0, 3, 1, 2) if values.dim() == 4 else values.unsqueeze(1)  # noqa: PLR2004 (with channels)

    def forward(self, image: Tensor) -> Tensor:
        """Map raw pictures to probabilities (rows, classes)."""
        return functional.softmax(self.network(self.scaled(image)), dim=1)


def export(served: Served, rows: Rows) -> bytes:
    """Return a network as ONNX; equal weights give equal bytes.

    Raises:
        TrainingError: torch did not export it.
    """
    # The exporter warns of each operator of libraries that are not installed and that no network here uses.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    (tensor,) = rows.tensors()
    example = torch.zeros(2, *tensor.shape, dtype=torch.uint8 if tensor.datatype == "UINT8" else torch.float32)
    program = torch.onnx.export(
        served.eval(),
        (example,),
        input_names=[tensor.name],
        output_names=["probabilities"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise TrainingError("torch did not export the network")
    model = program.model_proto
    # The exporter notes source lines and paths of this machine; a model's bytes must not depend on where it was made.
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer,
                 *model.graph.input, *model.graph.output):  # fmt: skip
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.checker.check_model(model)
    exported: bytes = model.SerializeToString(deterministic=True)
    return exported
