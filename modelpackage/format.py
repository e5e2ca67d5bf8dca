"""The number, the file names and the limits of the package format: what a change of format touches first.

How to change the format:
1. A reader of format N must refuse format N + 1 by its number alone, so ``model.json``, its seal, and ``format`` as a
   top-level integer stay for ever.
2. Anything that an existing reader would misread (a renamed field, another meaning, a new required file) is a new
   number. Readers forbid unknown fields, so an added field is a new number too.
3. Add the new number here, keep reading the old one, and keep a sealed package of every past format under
   ``tests/modelpackage/formats/`` that the tests load.
4. What lies beside the sealed files, is optional and says nothing that a reader needs to read them (the signatures)
   is no new number: who does not know it refuses the extra file and misreads nothing. There shall be no second one.
5. Say in ``docs/model-package.md`` what changed and why.
"""

from typing import Final

FORMAT: Final = 2
#: Format 2 added text tensors, missing values, and what the reference counts of both.
READABLE: Final = (1, 2)

DESCRIPTOR = "model.json"
SEAL = "model.json.sha256"
SIGNATURES = "model.json.sig"
GRAPH = "model.onnx"
GOLDEN = "golden.npz"
REFERENCE = "reference.json"
CARD = "card.md"

#: The files that the descriptor lists, each with its size and digest.
PARTS = (GRAPH, GOLDEN, REFERENCE, CARD)

#: A descriptor beyond this is refused unread: nothing in it grows with the data.
MAX_DESCRIPTOR_BYTES = 4 * 1024 * 1024

#: A seal is 77 bytes; of anything else no more than this is read.
MAX_SEAL_BYTES = 128

#: Keys that may have signed a package: those of a rotation, and of a few who release together.
MAX_SIGNATURES = 8

#: Files of keys beyond this are refused.
MAX_KEY_BYTES = 65_536
