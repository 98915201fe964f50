"""The calls about one meeting, answered by its node. join is in web.join, getMeetings in web.meeting_list."""

from flask import Blueprint, Response, request

from balancer import log
from balancer.core import node_parameters
from balancer.core.callbacks import meeting_ended_url
from balancer.core.meetings import Upload, Wanted, check_size, meeting_id, new_meeting_id
from balancer.core.nodes import Node
from balancer.core.parameters import Parameters
from balancer.errors import BBBError, MeetingNotFoundError, StorageUnavailableError, ValidationError
from balancer.web import meeting_lookup, xml
from balancer.web.bbb_call import Call, bbb_call
from balancer.web.bodies import FORMS, Kind
from balancer.web.failure_page import page
from balancer.web.meeting_lookup import Located
from balancer.web.services import services

blueprint = Blueprint("meetings", __name__)
logger = log.get(__name__)

#: Bytes of a request line besides the front end's parameters: method, path, our signature, HTTP version.
_AROUND = 250


def create_failed(error: BBBError, parameters: Parameters | None) -> Response:
    """XML for front ends, whose Accept header may name text/html as Java's does; a page for a person's browser."""
    headers = request.headers
    if headers.get("Sec-Fetch-Mode") == "navigate" and "text/html" in headers.get("Accept", ""):
        return page("The meeting could not be started", error, parameters)
    return xml.failure(error)


@bbb_call(blueprint, "create", kinds=FORMS | {Kind.XML}, failure=create_failed)
def create(call: Call) -> Response:
    """Create the meeting, or get the one that runs. Returns the node's own answer."""
    settings = services().settings
    upload = _upload(call)
    named = new_meeting_id(call.parameters)
    parameters = node_parameters.for_create(
        call.parameters,
        ended_url=meeting_ended_url(settings.public_url, call.tenant, named),
        # Without an upload, long parameters are sent as a form instead.
        limit=settings.node_url_limit_bytes - _AROUND if upload else None,
    )
    wanted = Wanted(
        tenant_id=call.tenant.id,
        meeting_id=named,
        parameters=parameters,
        upload=upload,
        recorded=parameters.flag("record"),
    )
    return xml.answer(services().creation.create(wanted).body)


@bbb_call(blueprint, "isMeetingRunning")
def is_meeting_running(call: Call) -> Response:
    """Whether the meeting has users. An unknown meeting is not running. Fails if the meeting's node is away."""
    named = call.parameters.single("meetingID")
    if named is not None:
        check_size(named)
    found = meeting_lookup.find(call.tenant.id, named) if named else None
    return _ask(call, found) if found else xml.success(xml.element("running", "false"))


@bbb_call(blueprint, "getMeetingInfo")
def get_meeting_info(call: Call) -> Response:
    """A meeting's details, from its node."""
    return _ask(call, _located(call, call.parameters.single("meetingID")))


@bbb_call(blueprint, "end")
def end(call: Call) -> Response:
    """Ask the node to end a meeting. Its row stays until the node confirms the end."""
    named = meeting_id(call.parameters)
    place, node = _located(call, named)
    answer = services().nodes.call(_reachable(node), call.name, call.parameters)
    try:
        if answer.success:
            services().ends.requested(place)
            logger.info("end taken", tenant_id=call.tenant.id, meeting_id=named, row=place.row)
        elif answer.message_key == MeetingNotFoundError.message_key and call.parameters.untouched("meetingID"):
            # If the ID needs cleaning, the node may have looked up another one; leave it to the next poll.
            services().ends.confirmed(place, "its node did not know it at an end")
    except StorageUnavailableError as error:
        # The node's answer is passed on. The poller finds out what became of the meeting.
        logger.warning("end not noted", tenant_id=call.tenant.id, meeting_id=named, reason=str(error))
    return xml.answer(answer.body)


@bbb_call(blueprint, "insertDocument", methods=("POST",), kinds=(Kind.XML,))
def insert_document(call: Call) -> Response:
    """Add slides to a running meeting."""
    named = meeting_id(call.parameters)
    if call.kind is Kind.NONE:
        raise ValidationError("The request has no document")
    return _forward(call, _located(call, named).node)


@bbb_call(blueprint, "sendChatMessage", methods=("GET",))
def send_chat_message(call: Call) -> Response:
    """Send a message to a meeting's public chat."""
    named = meeting_id(call.parameters)
    found = meeting_lookup.find(call.tenant.id, named)
    if found is None:
        raise BBBError("Meeting not found", "meetingNotFound")
    return _forward(call, found.node)


def _located(call: Call, named: str | None) -> Located:
    """Raises MeetingNotFoundError."""
    found = meeting_lookup.find(call.tenant.id, named) if named else None
    if found is None:
        raise MeetingNotFoundError
    return found


def _ask(call: Call, found: Located) -> Response:
    """The node's answer to a call that changes nothing."""
    node = _reachable(found.node)
    return xml.answer(services().nodes.ask(node, call.name, call.parameters, row=found.place.row).body)


def _forward(call: Call, node: Node) -> Response:
    """The node's answer to a call that BBB does not accept as a form."""
    node, limit = _reachable(node), services().settings.node_url_limit_bytes
    sent = services().nodes.line_length(node, call.name, call.parameters.encode())
    if sent > limit:
        raise ValidationError(f"The request is too long for the server: {sent} of at most {limit} bytes")
    return xml.answer(services().nodes.call(node, call.name, call.parameters, _upload(call)).body)


def _reachable(node: Node) -> Node:
    """The node itself. Raises BBBError if it is known to be away."""
    if away := services().registry.unreachable(node.id):
        raise BBBError(f"The server of this meeting cannot be reached at the moment ({away.reason}).")
    return node


def _upload(call: Call) -> Upload | None:
    return Upload(call.body.open, call.body.size()) if call.kind is Kind.XML else None
