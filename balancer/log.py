"""Structured logs: one JSON object a line on standard error, which systemd keeps. Never a secret, never a checksum."""

import io
import json
import logging
import re
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import structlog

#: What could let a reader of the log act as somebody else, wherever it turns up in a text.
_SENSITIVE = re.compile(r"(?i)((?:checksum|secret|password|attendeePW|moderatorPW|sessionToken)=)[^&\s\"']*")
#: Made once: structlog's JSONRenderer makes one for each line.
_JSON = json.JSONEncoder(default=repr)
_TEXT = structlog.dev.ConsoleRenderer(colors=False)


class _StandardError(io.TextIOBase):
    """Whatever is the process's standard error at the moment of writing: tests and daemons exchange it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_STANDARD_ERROR = cast(TextIO, _StandardError())


def configure(level: str, form: str) -> None:
    """level: debug info warning error. form: "json" for machines, "text" for a terminal."""
    # One processor for all: a create writes two lines, and each step of a chain would cost as much as its work.
    finish = _as_json if form == "json" else _as_text
    structlog.configure(
        processors=[finish],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(_STANDARD_ERROR),
        # Loggers that were used before follow: what is cached would keep the settings of its first line.
        cache_logger_on_first_use=False,
    )
    _configure_libraries(finish)


def keep_loggers() -> None:
    """From now on each is made once, at its first line, and keeps the settings of that moment."""
    structlog.configure(cache_logger_on_first_use=True)


def _configure_libraries(finish: structlog.typing.Processor) -> None:
    """What psycopg's pool and others say through the standard library comes out in the same form."""
    handler = _LibraryHandler(_STANDARD_ERROR)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove_meta, finish]))
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _LibraryHandler)]
    root.addHandler(handler)


def _as_json(logger: object, level: str, event: MutableMapping[str, Any]) -> str:
    event = _completed(logger, level, event)
    line = _JSON.encode(event)
    # What is sensitive follows a "=", which few lines have.
    return _JSON.encode(_blanked(event)) if "=" in line else line


def _as_text(logger: object, level: str, event: MutableMapping[str, Any]) -> str:
    return _TEXT(logger, level, _blanked(_completed(logger, level, event)))


def _completed(logger: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """With level, time and traceback."""
    event["level"] = level
    event["time"] = datetime.now(UTC).isoformat().removesuffix("+00:00") + "Z"
    return structlog.processors.format_exc_info(logger, level, event) if "exc_info" in event else event


def _blanked(event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Without what follows ``checksum=`` and its like in any text, in tracebacks too."""
    return {key: without_sensitive(value) if isinstance(value, str) else value for key, value in event.items()}


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
    return _SENSITIVE.sub(r"\1…", text)
