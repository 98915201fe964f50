"""gunicorn's configuration: ``gunicorn --config python:balancer.web.gunicorn_config balancer.web.wsgi:app``.

gunicorn reads the names below once. SIGHUP starts new workers, which read the settings again, and lets the old ones
finish. A change of the address, the number of workers or threads, or the release needs a restart.
"""

import logging
import re
from typing import Any

from gunicorn.http import message  # type: ignore[import-untyped]

from balancer import log
from balancer.settings import load
from balancer.web.services import of

_settings = load()

#: Front ends send long links, and the edge accepts the same length. gunicorn caps the setting at its own constant.
limit_request_line = 65_536
message.MAX_REQUEST_LINE = limit_request_line
limit_request_field_size = 16_384
#: Some front ends send UTF-8 without percent-encoding. gunicorn would answer that with HTML and 400.
message.RFC9112_TARGET_INVALID = re.compile(r"[\x00-\x20\x7f]")
#: gunicorn quotes requests that it refuses in its log, checksums and passwords included.
logging.getLogger("gunicorn.error").addFilter(log.HidesSensitive())

bind = _settings.web_bind
worker_class = "gthread"
workers = _settings.web_workers
threads = _settings.web_threads
#: Seconds. The edge keeps its connections to us open; if we closed one first, a request on it could fail.
keepalive = 75
#: Seconds. A create may try a second node, and a stopping worker lets it finish.
graceful_timeout = 60
timeout = 90
#: nginx writes the access log, without query strings.
accesslog = None
errorlog = "-"
loglevel = _settings.log_level
proc_name = "bbb-fleet-web"


def post_worker_init(worker: Any) -> None:
    """Runs in each worker after the fork, because connections and threads must not exist before it."""
    of(worker.wsgi).open()


def worker_exit(server: Any, worker: Any) -> None:
    """Runs last in each worker."""
    if hasattr(worker, "wsgi"):
        of(worker.wsgi).close()
