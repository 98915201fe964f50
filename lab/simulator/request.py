"""One call as a node sees it: raw bytes for the signature, cleaned parameters for the rest."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

_META = re.compile(r"meta_([a-zA-Z][a-zA-Z0-9-]*)")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    r"""Strip control characters and spaces at the ends, as Java's ``\\p{Cc}`` and trim() do (reference 1.4)."""
    return _CONTROL.sub("", text).strip(" ")


def is_integer(text: str) -> bool:
    """Return whether Java's Integer.parseInt would accept the text, apart from the range."""
    return _INTEGER.fullmatch(text) is not None


class Parameters:
    """Decoded parameters; if a name occurs twice, its first value counts."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs
        self._first: dict[str, str] = {}
        for name, value in pairs:
            self._first.setdefault(clean(name), value)

    @classmethod
    def decode(cls, query: bytes, body: bytes = b"") -> "Parameters":
        """Read a query string and, after it, a form body."""
        pairs = []
        for source in filter(None, (query, body)):
            pairs += parse_qsl(source.decode("utf-8", "replace"), keep_blank_values=True)
        return cls(pairs)

    def raw(self, name: str) -> str | None:
        """Return the value as sent, None if absent."""
        return self._first.get(name)

    def get(self, name: str) -> str | None:
        """Return the cleaned value, None if absent."""
        value = self._first.get(name)
        return None if value is None else clean(value)

    def text(self, name: str, default: str = "") -> str:
        """Return the cleaned value, the default if absent or empty."""
        return self.get(name) or default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Read a boolean as Java does: anything but "true" is false."""
        value = self.get(name)
        return default if value is None or value == "" else value.lower() == "true"

    def number(self, name: str, default: int) -> int:
        """Read an integer; text that is no integer counts as the default."""
        text = self.text(name)
        return int(text) if is_integer(text) else default

    def names(self) -> Iterator[str]:
        """Iterate over the names, each once, in the order of their first occurrence."""
        return iter(self._first)

    def metadata(self) -> Iterator[tuple[str, str]]:
        """Iterate over the meta_ parameters: the name in lower case without its prefix, and the cleaned value."""
        for name in self.names():
            if found := _META.fullmatch(name):
                yield found[1].lower(), self.text(name)

    def count(self, name: str) -> int:
        """Return how often a name was sent."""
        return sum(1 for sent, _ in self.pairs if clean(sent) == name)


@dataclass(slots=True)
class Call:
    """A request to the API, read completely."""

    #: Path below /bigbluebutton/api/, e.g. `create` or `hooks/list`.
    name: str
    method: str
    query: bytes
    parameters: Parameters
    #: In lower case, without parameters; empty if absent.
    content_type: str = ""
    #: As sent, with its parameters.
    full_content_type: str = ""
    body: bytes = b""
    accept: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
