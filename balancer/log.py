"""Structured logs: one JSON object a line on standard error, which systemd keeps. Never a secret, never a checksum."""

import io
import json
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

#: What could let a reader of the log act as somebody else, wherever it turns up in a text.
_SENSITIVE = re.compile(r"(?i)((?:checksum|secret|password|attendeePW|moderatorPW|sessionToken)=)[^&\s\"']*")
#: Made once: structlog's JSONRenderer makes one for each line.
_JSON = json.JSONEncoder(default=repr)


class _StandardError(io.TextIOBase):
    """Whatever is the process's standard error at the moment of writing: tests and daemons exchange it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_STANDARD_ERROR = cast(TextIO, _StandardError())


def configure(level: str, form: str) -> None:
    """level: debug info warning error. form: "json" for machines, "text" for a terminal."""
    renderer = _as_json if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    final: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, hide_sensitive, renderer]
    structlog.configure(
        processors=shared + final,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(_STANDARD_ERROR),
        # Loggers that were used before follow: what is cached would keep the settings of its first line.
        cache_logger_on_first_use=False,
    )
    _configure_libraries(shared, final)


def _as_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return _JSON.encode(event)


def keep_loggers() -> None:
    """From now on each is made once, at its first line, and keeps the settings of that moment."""
    structlog.configure(cache_logger_on_first_use=True)


def _configure_libraries(shared: list[structlog.typing.Processor], final: list[structlog.typing.Processor]) -> None:
    """What psycopg's pool and others say through the standard library comes out in the same form."""
    handler = _LibraryHandler(_STANDARD_ERROR)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, *final])
    )
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _LibraryHandler)]
    root.addHandler(handler)


class HidesSensitive(logging.Filter):
    """For a library that writes its log by itself, and quotes what it was sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_sensitive(record.getMessage()), None
        if record.exc_info:
            record.exc_text = without_sensitive(logging.Formatter().formatException(record.exc_info))
        return True


class _LibraryHandler(logging.StreamHandler[TextIO]):
    """Told apart from others' handlers when ``configure`` runs again."""


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a module."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(module=name))


def without_sensitive(text: str) -> str:
    """The text, with what follows ``checksum=`` and its like blanked."""
    # Few texts have one, and every line of the log has many texts.
    return _SENSITIVE.sub(r"\1…", text) if "=" in text else text


def hide_sensitive(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank what follows ``checksum=`` and its like in every text, in tracebacks too."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = without_sensitive(value)
    return event
