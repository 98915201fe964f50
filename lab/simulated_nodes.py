"""Installs the BBB simulator on the lab's node hosts."""

import secrets
from pathlib import Path

from lab import host_identity, image, ssh, state
from lab.simulator.host.bundle import bundle, source_digest
from lab.state import Host, Lab
from lab.topology import Simulator

LIBRARY = "/usr/local/lib/bbb-simulator"


def secret_file(lab: Lab, host: Host) -> Path:
    """The file in which the lab keeps a node's shared secret."""
    return lab.directory / "secrets" / host.name


def make_secret(lab: Lab, host: Host) -> None:
    """Create the secret that a node will be installed with; an existing one is kept."""
    path = secret_file(lab, host)
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        state.write_atomically(path, secrets.token_hex(20) + "\n")


def install(lab: Lab, host: Host, simulator: Simulator) -> None:
    """Copy the simulator to a running host and install it as a node; repeated, it only updates what changed."""
    archive = _bundle()
    mark = f"{LIBRARY}/.bundle"
    if ssh.run_on(lab, host, f"cat {mark} 2>/dev/null || true").strip() != archive.stem:
        ssh.copy_to(lab, host, archive, "/var/tmp/bbb-simulator.tar")
        unpack = f"rm -rf {LIBRARY} && mkdir -p {LIBRARY} && tar -xf /var/tmp/bbb-simulator.tar -C {LIBRARY}"
        ssh.run_on(lab, host, f"{unpack} && rm /var/tmp/bbb-simulator.tar && echo {archive.stem} > {mark}")
    options = [
        f"--hostname {lab.fqdn(host)}",
        "--secret-file /dev/stdin",
        f"--certificate /{host_identity.NODE_CERTIFICATE} --key /{host_identity.NODE_KEY}",
        f"--profile {simulator.profile}",
        f"--web-options '{simulator.web_options}' --rap-options '{simulator.rap_options}'",
    ]
    command = f"cd {LIBRARY} && python3 -B -m lab.simulator.host install {' '.join(options)}"
    ssh.run_on(lab, host, command, stdin=secret_file(lab, host).read_text())


def _bundle() -> Path:
    """The simulator's archive, created once for each state of its sources."""
    archive = image.CACHE / f"simulator-{source_digest()}.tar"
    with state.locked("simulator"):
        if not archive.exists():
            draft = archive.with_suffix(".draft")
            bundle(draft)
            draft.replace(archive)
    return archive
