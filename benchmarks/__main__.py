"""``python -m benchmarks [QUESTION…]``: measure all questions, or these, one after the other.

It fails if a figure is beyond its limit. On an otherwise idle machine all questions take less than ten minutes.
"""

import signal
import subprocess
import sys

import click

#: In the order in which they are measured.
QUESTIONS = (
    "web",
    "placement_bursts",
    "busy_process",
    "hung_node",
    "class_start",
    "memory",
    "recordings",
    "meeting_list",
    "poller",
    "placement",
    "libraries",
)
#: Seconds after which a question is interrupted.
TIME_LIMIT = 300.0


def ask(command: list[str]) -> int:
    """Return the command's exit status; 1 if it takes too long and is interrupted, which lets it clean up."""
    process = subprocess.Popen(command)
    try:
        return process.wait(TIME_LIMIT)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()
        return 1


@click.command(help=__doc__)
@click.argument("questions", nargs=-1, type=click.Choice(QUESTIONS))
@click.option("--write-baseline", "store", is_flag=True, help="Store the figures as the baseline.")
def main(questions: tuple[str, ...], store: bool) -> None:
    failed = []
    for question in questions or QUESTIONS:
        command = [sys.executable, "-m", f"benchmarks.{question}"]
        if store:
            command.append("--write-baseline")
        if ask(command):
            failed.append(question)
    if failed:
        raise click.ClickException(f"beyond a limit, or not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
