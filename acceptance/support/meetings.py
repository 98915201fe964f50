"""Meetings and recordings that the run makes, and their removal. It never touches one that it did not make."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from acceptance.support.bbb import BBB, Answer, BBBError
from acceptance.support.environment import Environment, Node
from acceptance.support.journal import Journal
from acceptance.support.outcomes import NotProved

#: Every meeting of the suite is named like this, so that people recognise it and a mistake cannot end another one.
PREFIX = "acceptance-"
MEETING = "meeting"
NODE_MEETING = "node-meeting"
RECORDING = "recording"
#: How a line of the report begins that leaves something to the next run.
LATER = "left to the next run"
#: messageKeys of a meeting that is no more.
GONE = ("notFound", "invalidMeetingIdentifier", "meetingForciblyEnded")
#: Seconds after which a recording that never appeared is no longer waited for.
FORGET_AFTER = 14 * 24 * 3600.0


@dataclass(frozen=True)
class Meeting:
    """A meeting of ours as BBB named it. createTime in milliseconds, as BBB gives it."""

    id: str
    internal_id: str
    create_time: str
    moderator_pw: str = field(repr=False)
    attendee_pw: str = field(repr=False)
    parameters: dict[str, str] = field(repr=False)

    def join(self, name: str, role: str, **more: str) -> dict[str, str]:
        """Parameters of a join link as an LMS writes them: the role in so many words."""
        return {"fullName": name, "meetingID": self.id, "role": role, "userID": name, **more}


@dataclass(frozen=True)
class Placed:
    """A meeting of ours and the node it was placed on."""

    meeting: Meeting
    node: Node


class Meetings:
    """Makes meetings through the balancer, finds their nodes, and removes everything it made."""

    def __init__(self, environment: Environment, bbb: BBB, journal: Journal) -> None:
        self._environment = environment
        self._bbb = bbb
        self._journal = journal
        self._run = secrets.token_hex(4)
        self._count = 0

    def create(self, purpose: str, **more: str) -> Meeting:
        """Creates a meeting with a name of its own; AssertionError with BBB's message if that fails."""
        name = self._name(purpose)
        parameters = self._parameters(name, **more)
        self._journal.will_change(MEETING, name, parameters["moderatorPW"])
        answer = self._bbb.call("create", **parameters).succeeded()
        if answer.key == "duplicateWarning":
            self._journal.put_back(MEETING, name)
            raise BBBError(f"create at {answer.host}: {name} was there already, so it is not ours")
        return self._meeting(parameters, answer)

    def will_be_recorded(self, meeting: Meeting) -> None:
        """Notes that a recording of this meeting will exist, which it does once somebody has joined."""
        self._journal.will_change(RECORDING, meeting.internal_id, str(time.time()))

    def create_again(self, meeting: Meeting) -> Meeting:
        """Repeats a create with the same parameters, as a front end does before each join."""
        return self._meeting(meeting.parameters, self._bbb.call("create", **meeting.parameters).succeeded())

    def place(self, purpose: str, **more: str) -> Placed:
        """Creates a meeting and looks where it is."""
        meeting = self.create(purpose, **more)
        return Placed(meeting, self.node_of(meeting))

    def place_on_different_nodes(self, count: int, purpose: str, **more: str) -> list[Placed]:
        """Creates meetings until `count` nodes have one, and ends the others; NotProved if all land on fewer nodes."""
        placed: dict[str, Placed] = {}
        for _ in range(3 * len(self._environment.nodes)):
            new = self.place(purpose, **more)
            if placed.setdefault(new.node.name, new) is not new:
                self.end(new.meeting)
            if len(placed) == count:
                return list(placed.values())
        raise NotProved(f"blocked: new meetings go to {', '.join(sorted(placed))} only, {count} nodes are needed")

    def place_at(self, node: Node, purpose: str) -> Placed:
        """Creates a meeting at a node itself, past the balancer."""
        self._journal.will_change(NODE_MEETING, f"{node.name} {(name := self._name(purpose))}")
        parameters = self._parameters(name)
        return Placed(self._meeting(parameters, self.at(node).call("create", **parameters).succeeded()), node)

    def end(self, meeting: Meeting) -> None:
        """Ends a meeting of ours; that it is gone can be seen only a little later."""
        self._bbb.call("end", meetingID=meeting.id, password=meeting.moderator_pw).succeeded()

    def node_of(self, meeting: Meeting) -> Node:
        """The node that a join link leads to; nobody joins by this."""
        target = self._bbb.join_target(**meeting.join("Where", "VIEWER"))
        for node in self._environment.nodes:
            if urlsplit(target)[:2] == urlsplit(node.url)[:2]:
                return node
        raise AssertionError(
            f"a join to {meeting.id} leads to {target.split('?')[0]}, which is none of the known nodes"
        )

    def join_link(self, parameters: dict[str, str]) -> str:
        """A join link of the front end, signed."""
        return self._bbb.signed("join", parameters)

    def at(self, node: Node) -> BBB:
        """The node's own API, asked directly."""
        return BBB(node.url, node.secret, self._environment.checksum, self._environment.verify)

    def end_all(self) -> list[str]:
        """Ends every meeting that this run, or a crashed one before it, made; returns one line for each."""
        lines = [self._end_noted(change.name, change.before) for change in self._journal.pending(MEETING)]
        for change in self._journal.pending(NODE_MEETING):
            node_name, meeting = change.name.split(" ", 1)
            api = self.at(self._environment.node(node_name))
            lines.append(self._end_at(api, NODE_MEETING, change.name, meeting, ""))
        return lines

    def delete_recordings(self) -> list[str]:
        """Deletes the recordings made; one that is still being made stays in the journal for the next run."""
        return [self._delete_noted(change.name, change.before) for change in self._journal.pending(RECORDING)]

    def _end_noted(self, name: str, password: str) -> str:
        return self._end_at(self._bbb, MEETING, name, name, password)

    def _end_at(self, api: BBB, kind: str, noted: str, meeting: str, password: str) -> str:
        assert meeting.startswith(PREFIX), f"the journal names {meeting}, which is no meeting of this suite"
        try:
            answer = api.call("end", meetingID=meeting, password=password)
        except BBBError as error:
            return f"{LATER}: meeting {meeting} could not be ended: {error}"
        if not answer.ok and answer.key not in GONE:
            return f"{LATER}: meeting {meeting} could not be ended at {answer.host}: {answer.key}: {answer.message}"
        self._journal.put_back(kind, noted)
        return f"meeting {meeting} {'ended' if answer.ok else 'had ended already'}"

    def _delete_noted(self, record_id: str, noted: str) -> str:
        try:
            gone = [api.host for api in self._apis() if api.call("deleteRecordings", recordID=record_id).ok]
        except BBBError as error:
            return f"{LATER}: recording {record_id} could not be deleted: {error}"
        if self._bbb.host not in gone and time.time() - float(noted) < FORGET_AFTER:
            return f"{LATER}: recording {record_id} is not there yet"
        self._journal.put_back(RECORDING, record_id)
        return (
            f"recording {record_id} deleted at {', '.join(gone)}" if gone else f"recording {record_id} never appeared"
        )

    def _apis(self) -> list[BBB]:
        return [self._bbb, *(self.at(node) for node in self._environment.nodes)]

    def _name(self, purpose: str) -> str:
        self._count += 1
        return f"{PREFIX}{self._run}-{purpose}-{self._count}"

    def _parameters(self, name: str, **more: str) -> dict[str, str]:
        passwords = {"moderatorPW": secrets.token_hex(6), "attendeePW": secrets.token_hex(6)}
        return {"name": name, "meetingID": name, **passwords, "meta_bbb-origin": "acceptance", **more}

    def _meeting(self, parameters: dict[str, str], answer: Answer) -> Meeting:
        return Meeting(
            id=parameters["meetingID"],
            internal_id=answer.text("internalMeetingID"),
            create_time=answer.text("createTime"),
            moderator_pw=parameters["moderatorPW"],
            attendee_pw=parameters["attendeePW"],
            parameters=parameters,
        )
