"""The parameters of a BBB call, kept as they were sent: all of them, in order, byte for byte.

A node removes control characters, and spaces around names and values, before it reads them (bbb-web's ParamsUtil and
ValidationService, 2.5 to 3.0). We read them the same way, so that a node never sees another meetingID than we did.
Java's trim removes only spaces, not Unicode's other blanks.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from balancer.errors import ValidationError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")
#: Bytes that a URL may not contain: a web server may answer 400 (Tomcat's relaxedQueryChars). A form may contain them,
#: and some clients send UTF-8 unencoded. Brackets are not allowed either, but are sent as they came.
_UNSENDABLE = re.compile(rb"[^\x21-\x7e]|[\"#<>\\^`{|}]")
#: Bytes that have a meaning in a query string, or are not allowed in it.
_RESERVED = re.compile(rb"[^A-Za-z0-9_.~-]")


def clean(text: str) -> str:
    """The text as a node reads it."""
    # Control characters are not printable, and isprintable() is faster than the search for them.
    return (text if text.isprintable() else _CONTROL.sub("", text)).strip(" ")


class Parameter(NamedTuple):
    raw: bytes  #: "name=value" or "name", encoded as it was sent
    name: str  #: as a node reads it
    value: str  #: decoded, not yet cleaned


class Parameters:
    """An ordered list of parameters. It is immutable; ``replaced``, ``without`` and ``+`` return a new one."""

    def __init__(self, items: Iterable[Parameter] = (), broken: str | None = None) -> None:
        self._items = tuple(items)
        self._broken = broken

    @classmethod
    def parse(cls, raw: bytes) -> "Parameters":
        """Read a query string or a form. Never fails: ``check_encoding`` reports what cannot be decoded."""
        items, broken = [], None
        for part in raw.split(b"&"):
            item, sound = _read(part)
            if part:
                items.append(item)
            if not sound and broken is None:
                broken = item.name
        return cls(items, broken)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "Parameters":
        """Parameters from decoded names and values."""
        return cls(_make(name, value) for name, value in pairs)

    def check_encoding(self) -> None:
        """Raises ValidationError if a parameter is not properly percent-encoded, or holds a NUL."""
        if self._broken is not None:
            raise ValidationError(f"Param '{self._broken}' is not properly encoded")

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __add__(self, other: "Parameters") -> "Parameters":
        return Parameters(self._items + other._items, self._broken if self._broken is not None else other._broken)

    def all(self, name: str) -> list[str]:
        """Every value of ``name``, cleaned, in order."""
        return [clean(item.value) for item in self._items if item.name == name]

    def get(self, name: str) -> str | None:
        """The first value of ``name``, cleaned; None if it is absent."""
        for item in self._items:
            if item.name == name:
                return clean(item.value)
        return None

    def text(self, name: str, default: str = "") -> str:
        """The first value of ``name``, cleaned; ``default`` if it is absent or empty."""
        return self.get(name) or default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean as Java reads it: anything but "true" is false."""
        value = self.get(name)
        return value.lower() == "true" if value else default

    def single(self, name: str) -> str | None:
        """As ``get``. Raises ValidationError if the name occurs with different values.

        Which of them a node uses depends on its release, so neither is safe to choose.
        """
        values = self.all(name)
        if len(set(values)) > 1:
            raise ValidationError(f"Param '{name}' was sent more than once")
        return values[0] if values else None

    def untouched(self, name: str) -> bool:
        """Whether cleaning leaves every value of ``name`` as it was sent."""
        return all(item.value == clean(item.value) for item in self._items if item.name == name)

    def prefixed(self, prefix: str) -> dict[str, str]:
        """Names without ``prefix`` and their first values, cleaned, in order."""
        found: dict[str, str] = {}
        for item in self._items:
            if item.name.startswith(prefix):
                found.setdefault(item.name.removeprefix(prefix), clean(item.value))
        return found

    def without(self, *names: str) -> "Parameters":
        return Parameters((item for item in self._items if item.name not in names), self._broken)

    def replaced(self, name: str, value: str) -> "Parameters":
        """With ``name`` once, at its first position, or at the end if it was absent."""
        new, items, placed = _make(name, value), [], False
        for item in self._items:
            if item.name != name:
                items.append(item)
            elif not placed:
                items.append(new)
                placed = True
        return Parameters(items if placed else [*items, new], self._broken)

    def encode(self) -> bytes:
        """The query string or form: as it was sent, except that bytes that no URL may contain are percent-encoded."""
        return _encoded(_UNSENDABLE, b"&".join([item.raw for item in self._items]))


def _read(part: bytes) -> tuple[Parameter, bool]:
    """A parameter, and whether its encoding is valid. Bytes that are not UTF-8 read as U+FFFD, as on a node."""
    name, _, value = part.partition(b"=")
    decoded_name, name_sound = _decode(name)
    decoded_value, value_sound = _decode(value)
    return Parameter(part, clean(decoded_name), decoded_value), name_sound and value_sound


def _decode(encoded: bytes) -> tuple[str, bool]:
    octets = unquote_to_bytes(encoded.replace(b"+", b" "))
    return octets.decode("utf-8", "replace"), b"\0" not in octets and not _BROKEN.search(encoded)


def _make(name: str, value: str) -> Parameter:
    raw = b"%b=%b" % (_encoded(_RESERVED, name.encode()), _encoded(_RESERVED, value.encode()))
    return Parameter(raw, name, value)


def _encoded(which: re.Pattern[bytes], text: bytes) -> bytes:
    return which.sub(lambda found: b"%%%02X" % ord(found[0]), text)
