"""Meetings and recordings that the run makes, and their removal. It never touches one that it did not make."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from acceptance.support.bbb import BBB, Answer, BBBError
from acceptance.support.environment import Environment, Node
from acceptance.support.journal import Journal

#: Every meeting of the suite is named like this, so that people recognise it and a mistake cannot end another one.
PREFIX = "acceptance-"
MEETING = "meeting"
RECORDING = "recording"
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
        self._count += 1
        name = f"{PREFIX}{self._run}-{purpose}-{self._count}"
        passwords = {"moderatorPW": secrets.token_hex(6), "attendeePW": secrets.token_hex(6)}
        parameters = {"name": name, "meetingID": name, **passwords, "meta_bbb-origin": "acceptance", **more}
        self._journal.will_change(MEETING, name, passwords["moderatorPW"])
        answer = self._bbb.call("create", **parameters).succeeded()
        if answer.key == "duplicateWarning":
            self._journal.put_back(MEETING, name)
            raise BBBError(f"create at {answer.host}: {name} was there already, so it is not ours")
        meeting = self._meeting(parameters, answer)
        if more.get("record") == "true":
            self._journal.will_change(RECORDING, meeting.internal_id, str(time.time()))
        return meeting

    def create_again(self, meeting: Meeting) -> Meeting:
        """Repeats a create with the same parameters, as a front end does before each join."""
        return self._meeting(meeting.parameters, self._bbb.call("create", **meeting.parameters).succeeded())

    def end(self, meeting: Meeting) -> None:
        """Ends a meeting of ours; that it is gone can be seen only a little later."""
        self._bbb.call("end", meetingID=meeting.id, password=meeting.moderator_pw).succeeded()

    def node_of(self, meeting: Meeting) -> Node:
        """The node that a join link leads to; nobody joins by this."""
        target = self._bbb.join_target(**meeting.join("Where", "VIEWER"))
        for node in self._environment.nodes:
            if target.startswith(node.url.removesuffix("/api") + "/"):
                return node
        raise AssertionError(
            f"a join to {meeting.id} leads to {target.split('?')[0]}, which is none of the known nodes"
        )

    def at(self, node: Node) -> BBB:
        """The node's own API, asked directly."""
        return BBB(node.url, node.secret, self._environment.checksum, self._environment.verify)

    def remove(self) -> list[str]:
        """Ends and deletes what this run, or a crashed one before it, made; returns one line for each, for the report.

        What cannot be removed yet (a recording that is still being made) stays in the journal for the next run.
        """
        lines = [self._end_noted(change.name, change.before) for change in self._journal.pending(MEETING)]
        lines += [self._delete_noted(change.name, change.before) for change in self._journal.pending(RECORDING)]
        return lines

    def _end_noted(self, name: str, password: str) -> str:
        assert name.startswith(PREFIX), f"the journal names {name}, which is no meeting of this suite"
        answer = self._bbb.call("end", meetingID=name, password=password)
        if not answer.ok and answer.key not in ("notFound", "invalidMeetingIdentifier", "meetingForciblyEnded"):
            return f"meeting {name} could not be ended, the next run will try again: {answer.key}: {answer.message}"
        self._journal.put_back(MEETING, name)
        return f"meeting {name} ended" if answer.ok else f"meeting {name} had ended already"

    def _delete_noted(self, record_id: str, noted: str) -> str:
        gone = [api.host for api in self._apis() if api.call("deleteRecordings", recordID=record_id).ok]
        if self._bbb.host not in gone and time.time() - float(noted) < FORGET_AFTER:
            return f"recording {record_id} is not there yet, the next run will delete it"
        self._journal.put_back(RECORDING, record_id)
        return (
            f"recording {record_id} deleted at {', '.join(gone)}" if gone else f"recording {record_id} never appeared"
        )

    def _apis(self) -> list[BBB]:
        return [self._bbb, *(self.at(node) for node in self._environment.nodes)]

    def _meeting(self, parameters: dict[str, str], answer: Answer) -> Meeting:
        return Meeting(
            id=parameters["meetingID"],
            internal_id=answer.text("internalMeetingID"),
            create_time=answer.text("createTime"),
            moderator_pw=parameters["moderatorPW"],
            attendee_pw=parameters["attendeePW"],
            parameters=parameters,
        )
