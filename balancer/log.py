"""Structured logs: one JSON object for each line on standard error, for systemd's journal. No secrets, no checksums."""

import io
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog
from structlog.processors import JSONRenderer, TimeStamper, add_log_level, format_exc_info
from structlog.stdlib import ProcessorFormatter
from structlog.typing import FilteringBoundLogger, Processor

#: Parameters with which a reader of the log could act as another user, wherever they occur in a text.
_SENSITIVE = re.compile(r"(?i)((?:checksum|secret|password|attendeePW|moderatorPW|sessionToken)=)[^&\s\"']*")


class _StandardError(io.TextIOBase):
    """The process's standard error at the time of writing: tests and daemons replace it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_STANDARD_ERROR = cast(TextIO, _StandardError())


def configure(level: str, form: str) -> None:
    """level: debug info warning error. form: "json" for machines, "text" for a terminal."""
    text = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    renderer = JSONRenderer(default=repr) if form == "json" else text
    processors: list[Processor] = [add_log_level, TimeStamper("iso", key="time"), format_exc_info, _blank, renderer]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(_STANDARD_ERROR),
    )
    # Libraries such as psycopg's pool log through the standard library; their lines get the same form.
    handler = _LibraryHandler(_STANDARD_ERROR)
    handler.setFormatter(ProcessorFormatter(processors=[ProcessorFormatter.remove_processors_meta, *processors]))
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _LibraryHandler)]
    root.addHandler(handler)


def _blank(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank what follows ``checksum=`` and the like in every text, also in tracebacks."""
    return {key: without_sensitive(value) if isinstance(value, str) else value for key, value in event.items()}


class HidesSensitive(logging.Filter):
    """For a library that writes its own log and quotes requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_sensitive(record.getMessage()), None
        if record.exc_info:
            record.exc_text = without_sensitive(logging.Formatter().formatException(record.exc_info))
        return True


class _LibraryHandler(logging.StreamHandler[TextIO]):
    """A class of its own, so that ``configure`` replaces only its own handler."""


def get(name: str) -> FilteringBoundLogger:
    """A module's logger."""
    return cast(FilteringBoundLogger, structlog.get_logger(module=name))


def without_sensitive(text: str) -> str:
    """The text, with what follows ``checksum=`` and the like blanked."""
    return _SENSITIVE.sub(r"\1…", text)
