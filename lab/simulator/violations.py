"""Which of several violated constraints BBB reports: the first in a Java HashMap's order."""

from lab.simulator.answers import CallError
from lab.simulator.request import is_integer


def _bucket(key: str) -> int:
    """Return the bucket of a String in a HashMap of the default 16 buckets."""
    code = 0
    for character in key:
        code = (31 * code + ord(character)) & 0xFFFFFFFF
    return (code ^ (code >> 16)) & 15


class Violations:
    """Collects refusals; `raise_first` raises the one that a node would show."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def add(self, key: str, message: str) -> None:
        """Note a violated constraint; of one key the last message stays, as in a map."""
        self._found[key] = message

    def size(self, value: str | None, most: int, message: str) -> None:
        """Note text outside of 2 to `most` characters, in UTF-16 as Java counts; absent text has no size."""
        if value is not None and not 2 <= len(value.encode("utf-16-le")) // 2 <= most:
            self.add("sizeError", message)

    def boolean(self, value: str | None, message: str, allowed: tuple[str, ...] = ("true", "false")) -> None:
        """Note text that is no boolean; absent and empty text passes."""
        if value and value.lower() not in allowed:
            self.add("validationError", message)

    def integer(self, value: str | None, message: str) -> None:
        """Note text that is no integer; absent and empty text passes."""
        if value and not is_integer(value):
            self.add("validationError", message)

    def raise_first(self) -> None:
        """Raise CallError for the winner, if anything was violated."""
        if self._found:
            key = min(self._found, key=_bucket)
            raise CallError(key, self._found[key])
