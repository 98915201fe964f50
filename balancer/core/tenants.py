"""A tenant: one front end or organisation with secrets of its own."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from balancer.core import checksum

#: The tenant of everything that names no tenant.
DEFAULT = "default"


@dataclass(frozen=True)
class Tenant:
    id: int
    name: str
    #: All of them are accepted, so that a secret can be changed without a failed call.
    secrets: tuple[str, ...] = field(repr=False)
    algorithms: tuple[str, ...]  #: digests accepted


def signer(tenants: Iterable[Tenant], call: str, signed: Collection[bytes], given: str) -> Tenant | None:
    """The tenant whose secret signed the request. signed: what BBB may have signed, without checksum, byte for byte."""
    for tenant in tenants:
        for reading in signed:
            if checksum.matches(call, reading, given, tenant.secrets, tenant.algorithms):
                return tenant
    return None
