"""``python -m benchmarks [QUESTION…]``: ask all questions, or these, one after the other; fails where a promise is not
kept. On a machine that does nothing else all of them take less than ten minutes."""

import signal
import subprocess
import sys

import click

#: In the order in which they are asked.
QUESTIONS = (
    "web",
    "bursts",
    "hung_node",
    "class_start",
    "memory",
    "recordings",
    "meeting_list",
    "poller",
    "placement",
    "libraries",
)
#: Prints figures of its own form.
WITHOUT_BASELINE = ("poller",)
#: Seconds after which a question is given up.
PATIENCE = 300.0


def ask(command: list[str]) -> int:
    """The command's exit status; one that takes too long is interrupted, so that it tidies up, and has failed."""
    process = subprocess.Popen(command)
    try:
        return process.wait(PATIENCE)
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
        if store and question not in WITHOUT_BASELINE:
            command.append("--write-baseline")
        if ask(command):
            failed.append(question)
    if failed:
        raise click.ClickException(f"a promise was not kept, or not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
