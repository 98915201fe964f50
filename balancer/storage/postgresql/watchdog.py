"""Ends the wait for a server that hangs: its disk does, or it is stopped, and it does not even say that time is up.

Its kernel still confirms what we send, so no keepalive of TCP helps, and statement_timeout is the server's to keep.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg

from balancer import log

_LOOK_EVERY = 1.0

logger = log.get(__name__)


class Watchdog:
    """Breaks connections that are held for too long, whatever their thread waits for. Threads share it."""

    def __init__(self, patience: float, struck: Callable[[], None]) -> None:
        """patience: seconds; struck: called before connections are broken."""
        self._patience = patience
        self._struck = struck
        self._held: dict[psycopg.Connection[object], float] = {}  #: since when, of time.monotonic()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._look, name="overdue", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def begin(self, connection: psycopg.Connection[object]) -> None:
        """From here to ``end``, what waits for the server raises psycopg.OperationalError in time."""
        with self._lock:
            self._held[connection] = time.monotonic()

    def end(self, connection: psycopg.Connection[object]) -> None:
        """The connection may be given to others."""
        with self._lock:
            self._held.pop(connection, None)

    def _look(self) -> None:
        while not self._stopped.wait(_LOOK_EVERY):
            before = time.monotonic() - self._patience
            # Under the lock: whoever gives a connection back, and so to others, waits until this is done.
            with self._lock:
                late = [connection for connection, since in self._held.items() if since < before]
                if late:
                    self._struck()
                for connection in late:
                    del self._held[connection]
                    _break(connection)
            if late:
                logger.warning("PostgreSQL takes too long: given up", connections=len(late), seconds=self._patience)


def _break(connection: psycopg.Connection[object]) -> None:
    """Its thread, wherever it waits, sees the connection end."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)
