"""A request's body: its kind, its form fields, and all of its bytes, kept so that they can be sent twice."""

import tempfile
from contextlib import suppress
from enum import Enum
from io import BytesIO
from types import TracebackType
from typing import IO, Self

from flask import Request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.exceptions import ClientDisconnected, HTTPException
from werkzeug.formparser import FormDataParser

from balancer import log
from balancer.core.parameters import Parameters
from balancer.errors import NoRoomError, ValidationError

logger = log.get(__name__)

#: Bytes of a body kept in memory. A longer one goes to a temporary file.
_IN_MEMORY = 1_000_000
#: Bytes of the largest form. As much is read before the caller is known, because a form may have the checksum.
FORM_LIMIT = 1_000_000
_CHUNK = 65536


class Kind(Enum):
    """The kind of a body by its Content-Type without parameters."""

    NONE = "no body"
    FORM = "urlencoded"
    MULTIPART = "multipart"
    XML = "XML"
    UNLABELLED = "no Content-Type"
    OTHER = "anything else"


_LABELS = {
    "application/x-www-form-urlencoded": Kind.FORM,
    "multipart/form-data": Kind.MULTIPART,
    "application/xml": Kind.XML,
    "text/xml": Kind.XML,
    "application/x-xml": Kind.XML,
    "": Kind.UNLABELLED,
}
FORMS = frozenset({Kind.FORM, Kind.MULTIPART})


class Body:
    """The body of a request, read from the connection on demand and dropped at the end of the block."""

    def __init__(self, request: Request, limit_bytes: int) -> None:
        """limit_bytes: of a body whose caller is known (``trust``)."""
        self._request = request
        self._limit_if_trusted = limit_bytes
        self._limit = min(limit_bytes, FORM_LIMIT)
        self._file: IO[bytes] | None = None
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def trust(self) -> None:
        """Allow the whole limit, because the caller is known."""
        self._limit = self._limit_if_trusted

    def kind(self) -> Kind:
        """The kind that the request declares. XML is XML even if a client labels it as a form or not at all."""
        announced = self._request.content_length
        if self._request.method != "POST" or announced == 0:
            return Kind.NONE
        if announced is None and not (self._request.environ.get("wsgi.input_terminated") and self.size()):
            return Kind.NONE
        label = _LABELS.get(self._request.mimetype, Kind.OTHER)
        if label in (Kind.FORM, Kind.UNLABELLED) and self._begins_as_xml():
            return Kind.XML
        return label

    def size(self) -> int:
        """Length in bytes. Raises ValidationError if it is above the limit."""
        self.open()
        return self._size

    def open(self) -> IO[bytes]:
        """The body, from its first byte. Raises ValidationError if it is longer than allowed or cut short."""
        if self._file is None:
            self._file = self._spool()
        self._file.seek(0)
        return self._file

    def form(self, kind: Kind) -> Parameters:
        """The fields of a form, as they were sent. Raises ValidationError if there are too many or broken ones."""
        if self.size() > FORM_LIMIT:
            raise ValidationError(f"The form is longer than {FORM_LIMIT} bytes")
        if kind is Kind.MULTIPART:
            return self._multipart()
        return Parameters.parse(self.open().read().strip())

    def _multipart(self) -> Parameters:
        """The fields of a multipart form. Files are kept in memory and dropped, because no call uses them."""
        parser = FormDataParser(
            stream_factory=lambda *_, **__: BytesIO(),
            max_form_memory_size=FORM_LIMIT,
            max_form_parts=self._request.max_form_parts,
            silent=False,
        )
        try:
            _, fields, _ = parser.parse(self.open(), self._request.mimetype, self._size, self._request.mimetype_params)
            return Parameters.of(fields.items(multi=True))
        except (HTTPException, ValueError, AttributeError) as error:
            # AttributeError: a part without a name.
            raise ValidationError("The form cannot be read") from error

    def _begins_as_xml(self) -> bool:
        return self.open().read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")

    def _spool(self) -> IO[bytes]:
        spooled: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        try:
            if (self._request.content_length or 0) > self._limit:
                raise self._too_long()
            while chunk := self._chunk():
                self._size += len(chunk)
                if self._size > self._limit:
                    raise self._too_long()
                _keep(spooled, chunk)
            # If the connection ends early, gunicorn passes what it got as if it were complete.
            if self._size < (self._request.content_length or 0):
                raise ValidationError("The request body is shorter than announced")
        except BaseException:
            # Closing writes the buffer again, which still does not fit.
            with suppress(OSError):
                spooled.close()
            raise
        return spooled

    def _chunk(self) -> bytes:
        try:
            return self._request.stream.read(_CHUNK)
        except (ClientDisconnected, ParseException, OSError) as error:
            raise ValidationError("The request body ends too early or is not valid HTTP") from error

    def _too_long(self) -> ValidationError:
        return ValidationError(f"The request body is longer than {self._limit} bytes")


def _keep(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        logger.error("request body cannot be kept", directory=tempfile.gettempdir(), reason=str(error))
        raise NoRoomError from error
