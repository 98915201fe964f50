"""The reference for CPU time: Flask behind the same gunicorn set-up as the balancer's, with a constant answer."""

from pathlib import Path

from flask import Flask, Response

from benchmarks.sandbox import wait_for
from lab.sandbox import BIN, PROJECT, Sandbox, free_ports

app = Flask(__name__, static_folder=None)
ANSWER = "<response><returncode>SUCCESS</returncode><running>true</running></response>"


@app.get("/bigbluebutton/api/isMeetingRunning")
def is_meeting_running() -> Response:
    return Response(ANSWER, 200, {"Content-Type": "text/xml;charset=utf-8"})


def start(sandbox: Sandbox, workers: int, threads: int) -> str:
    """Serve the bare answer beside a sandbox; return its origin."""
    origin = f"http://127.0.0.1:{free_ports(1)[0]}"
    shape = ["--workers", str(workers), "--threads", str(threads), "--worker-class", "gthread", "--keep-alive", "75"]
    where: list[str | Path] = ["--bind", origin.removeprefix("http://"), "--chdir", PROJECT]
    process = sandbox.run("bare", [BIN / "gunicorn", *shape, *where, "benchmarks.bare_answer:app"])
    wait_for(process, f"{origin}/bigbluebutton/api/isMeetingRunning")
    return origin
