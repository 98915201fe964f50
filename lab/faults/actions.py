"""How each fault is injected and removed. lab/faults.yml has the same names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lab.faults import balancer_patch, changed_hosts, node_faults
from lab.state import Lab


@dataclass(frozen=True)
class Action:
    """How one fault is injected and removed; `mend` also removes one that was injected only in part."""

    inject: Callable[[Lab], None]
    mend: Callable[[Lab], None]


def _patch(name: str) -> Action:
    return Action(partial(balancer_patch.install, patch=name), balancer_patch.remove)


ACTIONS: dict[str, Action] = {
    "placing-on-disabled": _patch("ignores_disabled"),
    "one-node-only": _patch("prefers_one_node"),
    "meeting-moves": _patch("moves_meetings"),
    "secret-in-page": _patch("prints_secret"),
    "importer-stopped": Action(changed_hosts.stop_importer, changed_hosts.start_importer),
    "spool-closed": Action(changed_hosts.close_spool, changed_hosts.open_spool),
    "paths-differ": Action(changed_hosts.send_importer_elsewhere, changed_hosts.send_importer_back),
    "share-not-mounted": Action(changed_hosts.unmount_share, changed_hosts.mount_share),
    "share-hung": Action(changed_hosts.hang_share, changed_hosts.free_share),
    "statistics-frozen": Action(node_faults.freeze_statistics, node_faults.thaw_statistics),
    "node-unreachable": Action(node_faults.cut_off, node_faults.heal),
    "node-cloned": Action(changed_hosts.clone_node, changed_hosts.give_node_its_identity),
    "wrong-host-name": Action(changed_hosts.rename_node, changed_hosts.name_node),
    "certificate-expired": Action(changed_hosts.expire_certificate, changed_hosts.renew_certificate),
    "wrong-node-secret": Action(node_faults.register_wrong_secret, node_faults.register_right_secret),
}
