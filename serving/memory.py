"""How many bytes the requests in work take, all together: bodies, messages, and the pixels of pictures.

Refuses nothing itself; may be imported by every module of ``serving``.
"""


class Memory:
    """A budget; used in the event loop alone.

    Args:
        limit: In bytes.

    Attributes:
        used: Bytes that are taken.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    def fits(self, count: int) -> bool:
        """Tell whether as many bytes are left."""
        return self.used + count <= self._limit

    def take(self, count: int) -> None:
        """Take bytes, which may be less than none: then they are given back."""
        self.used += count
