"""The faults that a node can be given, for some calls or for all."""

import asyncio
import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

#: What each kind does.
KINDS = {
    "slow": "waits `seconds`, then goes on",
    "hang": "never answers while the fault lasts",
    "refuse": "resets the connection instead of answering",
    "deaf": "closes the listening socket for `seconds`: connections are refused",
    "error": "answers `status` (500 unless given) with a web server's HTML page",
    "html": "answers 200 with an HTML page where XML belongs",
    "truncated": "answers the first half of the XML, as if that were all",
    "cut": "announces the whole answer, sends half and closes",
    "checksum": "refuses every signature",
    "skew": "the node's clock is off by `seconds`, in times that it prints and in its Date header",
    "backdate": "times that it prints are off by `seconds`, its Date header is right",
    "frozen": "getMeetings and getMeetingInfo repeat their answers from when the fault began",
}
_NEED_SECONDS = ("slow", "deaf", "skew", "backdate")
#: Kinds that replace or delay the call.
INTERRUPTS = ("slow", "hang", "refuse", "error")
#: Kinds that change the finished answer.
SPOILERS = ("html", "truncated", "cut")


@dataclass(slots=True)
class Fault:
    """One fault in force."""

    kind: str
    #: Names of the affected calls; None means all.
    calls: frozenset[str] | None = None
    seconds: float = 0.0
    status: int = 500
    #: How many more calls it strikes; None means any number.
    times: int | None = None
    #: Whether it strikes after the call has been carried out, for kinds that can do both.
    after: bool = False
    number: int = 0
    #: A frozen node's answers: the body of getMeetings under "", of getMeetingInfo under the meeting's id.
    memory: dict[str, str | bytes] = field(default_factory=dict)
    lifted: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def read(cls, parameters: dict[str, Any]) -> "Fault":
        """Read a fault from a JSON object; raises ValueError naming what is wrong."""
        known = {"kind", "calls", "seconds", "status", "times", "after"}
        if unknown := sorted(set(parameters) - known):
            raise ValueError(f"unknown field {unknown[0]}: a fault has {', '.join(sorted(known))}")
        if parameters.get("kind") not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        if parameters["kind"] in _NEED_SECONDS and not parameters.get("seconds"):
            raise ValueError(f"{parameters['kind']} needs seconds")
        if parameters.get("times") is not None and int(parameters["times"]) < 1:
            raise ValueError("times must be at least 1, or absent")
        calls = parameters.get("calls")
        return cls(
            kind=parameters["kind"],
            calls=frozenset(calls) if calls else None,
            seconds=float(parameters.get("seconds", 0)),
            status=int(parameters.get("status", 500)),
            times=None if parameters.get("times") is None else int(parameters["times"]),
            after=bool(parameters.get("after", False)),
        )

    def as_json(self) -> dict[str, object]:
        """Return the fault as a JSON object."""
        calls = None if self.calls is None else sorted(self.calls)
        return {
            "id": self.number,
            "kind": self.kind,
            "calls": calls,
            "seconds": self.seconds,
            "status": self.status,
            "times": self.times,
            "after": self.after,
        }


class Misbehaviour:
    """The faults in force on one node, oldest first."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._numbers = itertools.count(1)

    def __iter__(self) -> Iterator[Fault]:
        return iter([fault for fault in self._faults.values() if fault.times != 0])

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force."""
        fault.number = next(self._numbers)
        self._faults[fault.number] = fault
        return fault

    def lift(self, number: int | None = None) -> list[Fault]:
        """Lift one fault or all; return the lifted ones."""
        numbers = list(self._faults) if number is None else [number]
        lifted = [fault for each in numbers if (fault := self._faults.pop(each, None))]
        for fault in lifted:
            fault.lifted.set()
        return lifted

    def strike(self, call: str, kinds: Collection[str], *, after: bool = False) -> Fault | None:
        """Return the oldest fault of these kinds that affects this call now, and count one use of it."""
        for fault in self:
            if fault.kind in kinds and fault.after is after and (fault.calls is None or call in fault.calls):
                self._use(fault)
                return fault
        return None

    def concerning(self, kind: str, call: str) -> Fault | None:
        """Return a fault of a kind that affects this call, without counting a use."""
        for fault in self:
            if fault.kind == kind and (fault.calls is None or call in fault.calls):
                return fault
        return None

    def off_by(self, *kinds: str) -> float:
        """Return the sum in seconds by which faults of these kinds shift the clock."""
        return sum(fault.seconds for fault in self if fault.kind in kinds)

    def _use(self, fault: Fault) -> None:
        # A used-up fault stays in the table, so that lifting it releases a call that still hangs.
        if fault.times is not None:
            fault.times -= 1
