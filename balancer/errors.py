"""All errors that the balancer raises.

A subclass of BBBError is also the answer: the class holds BBB's ``messageKey`` and the HTTP status (BBB answers
failures with 200), the error's text is the ``message``. Sources: bbb-web's ApiController and RecordingController, 2.5
to 3.0.
"""


class BalancerError(Exception):
    """Base of all these errors."""


class SettingsError(BalancerError):
    """The settings are incomplete, malformed or unknown."""


class StorageUnavailableError(BalancerError):
    """PostgreSQL or Redis cannot be used right now."""


class NodeError(BalancerError):
    """A node gave no usable BBB answer to a call."""

    #: One of the reasons of an observed state: dns connect tls http checksum version slow.
    reason = "http"
    node = ""  #: its name, if the caller cannot know it

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or type(self).reason


class NodeUnreachableError(NodeError):
    """No connection to the node: the call cannot have had an effect."""

    reason = "connect"


class NodeTimeoutError(NodeError):
    """The node did not answer in time: the call may have had an effect."""

    reason = "slow"


class NodeStatusError(NodeError):
    """The node answered with an HTTP status other than 200."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BBBError(BalancerError):
    """A failure, as a BBB server answers it."""

    message_key = "internalError"
    status = 200
    default_message = "The request could not be carried out."

    def __init__(self, message: str | None = None, message_key: str | None = None) -> None:
        super().__init__(message or self.default_message)
        self.message_key = message_key or type(self).message_key


class ChecksumError(BBBError):
    message_key = "checksumError"
    default_message = "Checksums do not match"


class RecordingChecksumError(ChecksumError):
    """The recording calls use another message (RecordingController)."""

    default_message = "You did not pass the checksum security check"


class UnsupportedRequestError(BBBError):
    message_key = "unsupportedRequest"
    default_message = "This request is not supported."


class UnsupportedContentTypeError(BBBError):
    message_key = "unsupportedContentType"
    default_message = "POST request Content-Type is missing or unsupported"


class ValidationError(BBBError):
    """A parameter that BBB refuses; the key depends on the parameter (see core.parameters)."""

    message_key = "validationError"


class NoRoomError(BBBError):
    """A body is too large for memory, and the disk is full."""

    default_message = "The balancer has no room for this request at the moment. Please try again later."


class MeetingNotFoundError(BBBError):
    message_key = "notFound"
    default_message = "A meeting with that ID does not exist"


class MeetingEndedError(BBBError):
    """Join of a meeting that never existed or has ended; bbb-web 2.5 to 3.0 does not distinguish the two."""

    message_key = "meetingForciblyEnded"
    default_message = "You can not join a meeting that has already been forcibly ended"


class RecordingNotFoundError(BBBError):
    message_key = "notFound"
    default_message = "We could not find recordings"


class ServerUnavailableError(BBBError):
    """Join of a meeting whose node is disabled or cannot be reached (Scalelite's key)."""

    message_key = "serverUnavailable"
    default_message = "The server for this meeting is disabled/offline."


class NoNodeAvailableError(BBBError):
    default_message = "Could not find any available servers."


class ServerTagUnavailableError(NoNodeAvailableError):
    """No node with the tag that a create requires accepts it (Scalelite's key)."""

    message_key = "serverTagUnavailable"
