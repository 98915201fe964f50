"""gunicorn's configuration: ``gunicorn --config python:balancer.web.server balancer.web.wsgi:app``.

gunicorn reads the names below, once. A HUP starts new workers that read the settings anew, and lets the old ones
finish; the address, the number of workers and of threads, and another release take a restart.
"""

import logging
import re
from typing import Any

from gunicorn.http import message  # type: ignore[import-untyped]

from balancer import log
from balancer.settings import load
from balancer.web.services import of

_settings = load()

#: Front ends send long links: the edge takes as much. gunicorn caps the setting at a constant of its own.
limit_request_line = 65_536
message.MAX_REQUEST_LINE = limit_request_line
limit_request_field_size = 16_384
#: Some front ends send UTF-8 as it is, not percent-encoded; gunicorn would answer that with HTML and 400.
message.RFC9112_TARGET_INVALID = re.compile(r"[\x00-\x20\x7f]")
#: What gunicorn refuses by itself it quotes in its log, checksums and passwords too.
logging.getLogger("gunicorn.error").addFilter(log.HidesSensitive())

bind = _settings.web_bind
worker_class = "gthread"
workers = _settings.web_workers
threads = _settings.web_threads
#: The edge keeps its connections to us open; closing them earlier than it does costs it a failed request.
keepalive = 75
#: A create may try a second node: a worker that stops lets it finish.
graceful_timeout = 60
timeout = 90
#: nginx writes the access log, without query strings.
accesslog = None
errorlog = "-"
loglevel = _settings.log_level
proc_name = "bbb-fleet-web"


def post_worker_init(worker: Any) -> None:
    """In each worker, once it has its app: connections and threads are never made before the fork."""
    of(worker.wsgi).open()


def worker_exit(server: Any, worker: Any) -> None:
    """The last thing a worker does."""
    if hasattr(worker, "wsgi"):
        of(worker.wsgi).close()
