"""Runs ``balancer … --format json`` on a balancer host, for the modules beside it."""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

#: Value of the first key, ``version``, of every JSON answer; another number means another format.
FORMAT_VERSION = 1


class CommandError(Exception):
    """The balancer's command refused or failed; the message is the command's own and contains no secrets."""


def call(
    module: AnsibleModule, *words: str, secret: str | None = None, accept: tuple[int, ...] = (0,)
) -> dict[str, Any]:
    """Run one command and return its JSON object. Raises CommandError.

    ``secret`` goes to standard input, never to the command line, where every user could read it.
    ``accept`` lists the exit codes with which the command prints an answer.
    """
    command = [module.params["command"], *words, "--format", "json"]
    status, output, error = module.run_command(command, data=secret, handle_exceptions=False)
    if status not in accept:
        raise CommandError(error.strip() or output.strip() or f"exit status {status}")
    try:
        answer = json.loads(output)
    except ValueError as problem:
        raise CommandError(f"{' '.join(words)} did not answer in JSON: {error.strip()}") from problem
    if not isinstance(answer, dict) or answer.get("version") != FORMAT_VERSION:
        raise CommandError(f"{' '.join(words)} answered in a format other than version {FORMAT_VERSION}")
    return answer
