"""A request's body: what kind it is, its form fields, and the whole of it at hand, so that it can be sent twice."""

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

#: Bytes of a body kept in memory; a longer one goes to a temporary file.
_IN_MEMORY = 1_000_000
#: Largest form, and the most that is read before the caller is known: the checksum may stand in a form.
FORM_LIMIT = 1_000_000
_CHUNK = 65536


class Kind(Enum):
    """What a Content-Type says, its parameters aside."""

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
    """The body of a request, read from the connection only when it is asked for; gone when the block ends."""

    def __init__(self, request: Request, limit_bytes: int) -> None:
        """limit_bytes: of what a caller may send whom ``trust`` has let in."""
        self._request = request
        self._limit_of_known = limit_bytes
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
        """The caller is known."""
        self._limit = self._limit_of_known

    def kind(self) -> Kind:
        """What the request calls its body; XML that some clients label as a form, or not at all, is still XML."""
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
        """Length in bytes. Raises ValidationError where it is above the limit."""
        self.open()
        return self._size

    def open(self) -> IO[bytes]:
        """The body, from its first byte. Raises ValidationError where it is longer than allowed, or cut off."""
        if self._file is None:
            self._file = self._spool()
        self._file.seek(0)
        return self._file

    def form(self, kind: Kind) -> Parameters:
        """The fields of a form, as they were sent. Raises ValidationError where there are too many or broken ones."""
        if self.size() > FORM_LIMIT:
            raise ValidationError(f"The form is longer than {FORM_LIMIT} bytes")
        if kind is Kind.MULTIPART:
            return self._multipart()
        return Parameters.parse(self.open().read().strip())

    def _multipart(self) -> Parameters:
        """Files among the fields matter to no call; in memory, since Werkzeug would write them to the disk."""
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
            # gunicorn hands over what came before the connection's end as if it were all.
            if self._size < (self._request.content_length or 0):
                raise ValidationError("The request body is shorter than announced")
        except BaseException:
            # What is buffered still does not fit.
            with suppress(OSError):
                spooled.close()
            raise
        return spooled

    def _chunk(self) -> bytes:
        try:
            return self._request.stream.read(_CHUNK)
        except (ClientDisconnected, ParseException, OSError) as error:
            raise ValidationError("The request body ends too soon, or is not framed as HTTP has it") from error

    def _too_long(self) -> ValidationError:
        return ValidationError(f"The request body is longer than {self._limit} bytes")


def _keep(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        logger.error("request body cannot be kept", directory=tempfile.gettempdir(), reason=str(error))
        raise NoRoomError from error
