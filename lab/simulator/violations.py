"""Which of several violated constraints BBB reports: the first in the order of a Java HashMap."""

from lab.simulator.answers import CallError
from lab.simulator.request import is_integer


def _bucket(key: str) -> int:
    """Return a String's bucket in a HashMap with the default 16 buckets."""
    code = 0
    for character in key:
        code = (31 * code + ord(character)) & 0xFFFFFFFF
    return (code ^ (code >> 16)) & 15


class Violations:
    """Collects refusals; `raise_first` raises the one that a node would report."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def add(self, key: str, message: str) -> None:
        """Add a violated constraint; as in a map, the last message of a key wins."""
        self._found[key] = message

    def size(self, value: str | None, most: int, message: str) -> None:
        """Add text whose size is not 2 to `most` UTF-16 code units, which Java counts; absent text passes."""
        if value is not None and not 2 <= len(value.encode("utf-16-le")) // 2 <= most:
            self.add("sizeError", message)

    def boolean(self, value: str | None, message: str, allowed: tuple[str, ...] = ("true", "false")) -> None:
        """Add text that is not a boolean; absent and empty text passes."""
        if value and value.lower() not in allowed:
            self.add("validationError", message)

    def integer(self, value: str | None, message: str) -> None:
        """Add text that is not an integer; absent and empty text passes."""
        if value and not is_integer(value):
            self.add("validationError", message)

    def raise_first(self) -> None:
        """Raise CallError for the reported constraint, if any was violated."""
        if self._found:
            key = min(self._found, key=_bucket)
            raise CallError(key, self._found[key])
