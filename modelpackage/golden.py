"""Golden examples: some inputs as a client would send them and what the trained model answered."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpackage.errors import DescriptorError, GoldenError

#: Runs a graph: input arrays by name in, output arrays by name out.
Run = Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]


#: The zip format notes the system that wrote a file; it shall be the same everywhere.
UNIX = 3


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Recorded examples.

    Attributes:
        inputs: By tensor name, each of shape (rows, ...).
        outputs: By tensor name, each of shape (rows, ...).
    """

    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]

    def render(self) -> bytes:
        """Return the bytes of ``golden.npz``; equal examples give equal bytes."""
        arrays = {f"input:{name}": array for name, array in self.inputs.items()}
        arrays |= {f"output:{name}": array for name, array in self.outputs.items()}
        buffer = io.BytesIO()
        # Not numpy.savez: it asks for 64-bit records, which patch releases of Python write differently.
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, array in sorted(arrays.items()):
                member = zipfile.ZipInfo(f"{name}.npy")  # its date is 1980, whenever it is written
                member.create_system = UNIX
                archive.writestr(member, _npy(array))
        return buffer.getvalue()

    @classmethod
    def parse(cls, raw: bytes) -> "Golden":
        """Read the bytes of a ``golden.npz``.

        Raises:
            DescriptorError: A member is neither an input nor an output.
        """
        members: dict[str, dict[str, NDArray[Any]]] = {"input": {}, "output": {}}
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            for key in arrays.files:
                role, _, name = key.partition(":")
                if role not in members or not name:
                    raise DescriptorError(f"golden.npz holds {key!r}, expected input:NAME or output:NAME")
                members[role][name] = arrays[key]
        return cls(inputs=members["input"], outputs=members["output"])

    def check(self, run: Run, tolerance: float) -> None:
        """Prove that a loaded model is the one that was sealed.

        Args:
            run: The loaded model.
            tolerance: Largest absolute difference that counts as equal.

        Raises:
            GoldenError: An output is missing, has another shape, or differs by more than the tolerance.
        """
        found = run(self.inputs)
        for name, expected in self.outputs.items():
            got = found.get(name)
            if got is None or got.shape != expected.shape:
                shape = None if got is None else list(got.shape)
                raise GoldenError(f"output {name!r} has shape {shape}, sealed with {list(expected.shape)}")
            difference = float(np.abs(got.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))
            # Written so that NaN, which compares false with everything, fails.
            if not difference <= tolerance:
                raise GoldenError(
                    f"output {name!r} differs from the sealed one by {difference:.3g}, allowed is {tolerance:.3g}; "
                    "this machine's runtime does not reproduce the model"
                )


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()
