"""Private PostgreSQL and Redis servers for the sandbox and the tests, each with its sockets in its own directory.

Every server ends with the process that started it, even if that process is killed.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psutil
import psycopg
import redis

#: PostgreSQL refuses to run as root; Debian's package creates this user.
DATABASE_USER = "postgres"
START_TIMEOUT = 30.0


class ServiceError(Exception):
    """A service did not start; the message holds the end of its log."""


class Process:
    """One child process with a log file; it ends with its parent."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | os.PathLike[str]],
        log: Path,
        *,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        # setpriv becomes the program itself, so that no shell or second process lies in between.
        prefix = ["setpriv", "--pdeathsig", stop_signal.name.removeprefix("SIG")]
        if user and os.geteuid() == 0:
            prefix += ["--reuid", user, "--regid", user, "--init-groups"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=log.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], timeout: float = START_TIMEOUT) -> None:
        """Raise ServiceError if the process ends, or is not ready after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise ServiceError(f"{self.name} ended with status {self._process.returncode}:\n{self.log_end()}")
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} is not ready after {timeout:g} s:\n{self.log_end()}")
            time.sleep(0.05)

    def wait_for_end(self, timeout: float = START_TIMEOUT) -> None:
        """Raise ServiceError if the process fails."""
        if self._process.wait(timeout):
            raise ServiceError(f"{self.name} failed with status {self._process.returncode}:\n{self.log_end()}")

    def stop(self, timeout: float = 20.0) -> None:
        """Ask the process to end; kill it and its group after ``timeout`` seconds."""
        if self.running:
            self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def kill(self) -> None:
        """End the process and its children at once, as a crash would."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def log_end(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def program(name: str) -> Path:
    """The path of one of PostgreSQL's programs, which Debian keeps off the PATH. Raises ServiceError."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = versions[-1] if versions else shutil.which(name)
    if not found:
        raise ServiceError(f"{name} is not installed: apt-get install postgresql")
    return Path(found)


class Server:
    """A server with its own directory, which stops at the end of a `with` block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process: Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self.process:
            self.process.stop()


class PostgreSQL(Server):
    """A database server that listens only on a socket in its own directory."""

    def __init__(self, directory: Path) -> None:
        """`directory` must not exist yet; its path must be shorter than 90 characters, for the socket's sake."""
        super().__init__(directory)
        self.user = DATABASE_USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

    def url(self, database: str = "postgres") -> str:
        return f"postgresql:///{database}?host={quote(str(self.directory), safe='')}&user={self.user}"

    def create(self) -> Self:
        """Create the directory and an empty database cluster."""
        self.directory.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self.directory, DATABASE_USER, DATABASE_USER)
        command: list[str | Path] = [
            program("initdb"),
            "--pgdata",
            self.directory / "data",
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--locale",
            "C.UTF-8",
            "--no-sync",
            "--username",
            self.user,
        ]
        initdb = Process("initdb", command, self._log("initdb.log"), user=DATABASE_USER)
        initdb.wait_for_end()
        return self

    def start(self) -> Self:
        # The data need not survive a crash of the machine, so no commit waits for the disk.
        options = {
            "unix_socket_directories": str(self.directory),
            "listen_addresses": "",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "64MB",
            "max_connections": "200",
        }
        command: list[str | Path] = [program("postgres"), "-D", self.directory / "data"]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.process = Process(
            "postgresql", command, self._log("postgresql.log"), user=DATABASE_USER, stop_signal=signal.SIGINT
        )
        self.process.wait_until(self._answers)
        return self

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Suspend the server, which then accepts connections but never answers, as if its disk hung."""
        assert self.process
        main = psutil.Process(self.process.pid)
        main.suspend()
        stopped = [main, *main.children(recursive=True)]
        try:
            for each in stopped[1:]:
                with suppress(psutil.NoSuchProcess):
                    each.suspend()
            yield
        finally:
            # A process that was ending when it was suspended is gone as soon as the main process resumes.
            for each in stopped:
                with suppress(psutil.NoSuchProcess):
                    each.resume()

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _log(self, name: str) -> Path:
        log = self.directory / name
        log.touch()
        return log


class Redis(Server):
    """A Redis server that listens only on a socket in its own directory and keeps nothing on disk."""

    def url(self, database: int = 0) -> str:
        return f"unix://{self.directory}/redis.sock?db={database}"

    def start(self) -> Self:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        server = shutil.which("redis-server")
        if not server:
            raise ServiceError("redis-server is not installed: apt-get install redis-server")
        command = [
            server,
            "--port",
            "0",
            "--unixsocket",
            f"{self.directory}/redis.sock",
            "--save",
            "",
            "--appendonly",
            "no",
            "--maxmemory-policy",
            "noeviction",
        ]
        self.process = Process("redis", command, self.directory / "redis.log")
        self.process.wait_until(self._answers)
        return self

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url()) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False
