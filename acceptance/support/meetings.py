"""Creates meetings and removes them and their recordings. It never touches those of others."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from acceptance.support.bbb import BBB, Answer, BBBError
from acceptance.support.environment import Environment, Node
from acceptance.support.outcomes import NotProved
from acceptance.support.undo_log import UndoLog

#: The prefix of every meeting that the suite creates: users recognise it, and the suite ends no other meeting.
PREFIX = "acceptance-"
MEETING = "meeting"
NODE_MEETING = "node-meeting"
RECORDING = "recording"
#: Begins a line of the report about something that the next run has to remove.
LATER = "left for the next run"
#: messageKeys about a meeting that no longer exists.
GONE = ("notFound", "invalidMeetingIdentifier", "meetingForciblyEnded")
#: Seconds after which a recording that has not appeared is given up.
FORGET_AFTER = 14 * 24 * 3600.0


@dataclass(frozen=True)
class Meeting:
    """A meeting of this suite, as BBB answered its create. `create_time` is in Unix milliseconds."""

    id: str
    internal_id: str
    create_time: str
    moderator_pw: str = field(repr=False)
    attendee_pw: str = field(repr=False)
    parameters: dict[str, str] = field(repr=False)

    def join(self, name: str, role: str, **more: str) -> dict[str, str]:
        """Parameters of a join link as an LMS writes them, with `role` instead of a password."""
        return {"fullName": name, "meetingID": self.id, "role": role, "userID": name, **more}


@dataclass(frozen=True)
class PlacedMeeting:
    """A meeting of this suite and the node it was placed on."""

    meeting: Meeting
    node: Node


class Meetings:
    """Creates meetings through the balancer, finds their nodes, and removes everything it created."""

    def __init__(self, environment: Environment, bbb: BBB, undo_log: UndoLog) -> None:
        self._environment = environment
        self._bbb = bbb
        self._undo_log = undo_log
        self._run = secrets.token_hex(4)
        self._count = 0

    def create(self, purpose: str, **more: str) -> Meeting:
        """Creates a meeting with a unique name; BBBError with BBB's message if that fails."""
        name = self._name(purpose)
        parameters = self._parameters(name, **more)
        self._undo_log.will_change(MEETING, name, parameters["moderatorPW"])
        answer = self._bbb.call("create", **parameters).succeeded()
        if answer.key == "duplicateWarning":
            self._undo_log.undone(MEETING, name)
            raise BBBError(f"create at {answer.host}: {name} exists already, so it belongs to somebody else")
        return self._meeting(parameters, answer)

    def will_be_recorded(self, meeting: Meeting) -> None:
        """Records that a recording of this meeting has to be deleted; it exists once a user has joined."""
        self._undo_log.will_change(RECORDING, meeting.internal_id, str(time.time()))

    def create_again(self, meeting: Meeting) -> Meeting:
        """Repeats a create with the same parameters, as a front end does before each join."""
        return self._meeting(meeting.parameters, self._bbb.call("create", **meeting.parameters).succeeded())

    def place(self, purpose: str, **more: str) -> PlacedMeeting:
        """Creates a meeting and finds its node."""
        meeting = self.create(purpose, **more)
        return PlacedMeeting(meeting, self.node_of(meeting))

    def place_on_different_nodes(self, count: int, purpose: str, **more: str) -> list[PlacedMeeting]:
        """Creates meetings until `count` nodes have one each, and ends the rest; NotProved if fewer nodes get any."""
        placed: dict[str, PlacedMeeting] = {}
        for _ in range(3 * len(self._environment.nodes)):
            new = self.place(purpose, **more)
            if placed.setdefault(new.node.name, new) is not new:
                self.end(new.meeting)
            if len(placed) == count:
                return list(placed.values())
        raise NotProved(f"blocked: new meetings go only to {', '.join(sorted(placed))}, {count} nodes are needed")

    def place_at(self, node: Node, purpose: str) -> PlacedMeeting:
        """Creates a meeting directly on a node, not through the balancer."""
        self._undo_log.will_change(NODE_MEETING, f"{node.name} {(name := self._name(purpose))}")
        parameters = self._parameters(name)
        return PlacedMeeting(self._meeting(parameters, self.at(node).call("create", **parameters).succeeded()), node)

    def end(self, meeting: Meeting) -> None:
        """Ends a meeting; it disappears from the lists only a little later."""
        self._bbb.call("end", meetingID=meeting.id, password=meeting.moderator_pw).succeeded()

    def node_of(self, meeting: Meeting) -> Node:
        """The node that a join link leads to; this adds no user."""
        target = self._bbb.join_target(**meeting.join("Where", "VIEWER"))
        for node in self._environment.nodes:
            if urlsplit(target)[:2] == urlsplit(node.url)[:2]:
                return node
        raise AssertionError(
            f"a join to {meeting.id} leads to {target.split('?')[0]}, which is not a node of the environment file"
        )

    def join_link(self, parameters: dict[str, str]) -> str:
        """A signed join link, as the front end would make it."""
        return self._bbb.signed("join", parameters)

    def at(self, node: Node) -> BBB:
        """A client for the node's own API."""
        return BBB(node.url, node.secret, self._environment.checksum, self._environment.verify)

    def end_all(self) -> list[str]:
        """Ends every meeting that this run or a crashed one created; returns one line for each."""
        lines = [self._end_through_balancer(change.name, change.before) for change in self._undo_log.pending(MEETING)]
        for change in self._undo_log.pending(NODE_MEETING):
            node_name, meeting = change.name.split(" ", 1)
            api = self.at(self._environment.node(node_name))
            lines.append(self._end_at(api, NODE_MEETING, change.name, meeting, ""))
        return lines

    def delete_recordings(self) -> list[str]:
        """Deletes all recordings of this suite. The undo log keeps those not published yet for the next run."""
        return [self._delete_recording(change.name, change.before) for change in self._undo_log.pending(RECORDING)]

    def _end_through_balancer(self, name: str, password: str) -> str:
        return self._end_at(self._bbb, MEETING, name, name, password)

    def _end_at(self, api: BBB, kind: str, logged_name: str, meeting: str, password: str) -> str:
        assert meeting.startswith(PREFIX), f"the undo log names {meeting}, which is not a meeting of this suite"
        try:
            answer = api.call("end", meetingID=meeting, password=password)
        except BBBError as error:
            return f"{LATER}: meeting {meeting} could not be ended: {error}"
        if not answer.ok and answer.key not in GONE:
            return f"{LATER}: meeting {meeting} could not be ended at {answer.host}: {answer.key}: {answer.message}"
        self._undo_log.undone(kind, logged_name)
        return f"meeting {meeting} {'ended' if answer.ok else 'had ended already'}"

    def _delete_recording(self, record_id: str, since: str) -> str:
        try:
            gone = [api.host for api in self._apis() if api.call("deleteRecordings", recordID=record_id).ok]
        except BBBError as error:
            return f"{LATER}: recording {record_id} could not be deleted: {error}"
        if self._bbb.host not in gone and time.time() - float(since) < FORGET_AFTER:
            return f"{LATER}: recording {record_id} is not there yet"
        self._undo_log.undone(RECORDING, record_id)
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
