"""Files that appear whole or not at all: written beside their place, then renamed. For the stores."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUFFIX = ".partial"


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Lend an empty file beside a target; what is not renamed by the end of the block is removed."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:50]}.", suffix=SUFFIX, dir=target.parent)
    os.close(handle)
    partial = Path(name)
    try:
        partial.chmod(0o644)
        yield partial
    finally:
        partial.unlink(missing_ok=True)
