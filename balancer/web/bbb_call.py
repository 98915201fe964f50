"""One BBB call, from its raw request to the function that answers it: method, checksum, content type, parameters.

Sources: bbb-web's UrlMappings, GetChecksumValidator, PostChecksumValidator, ContentTypeConstraint (2.5 to 3.0).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from operator import itemgetter
from urllib.parse import quote_plus

from flask import Blueprint, Response, request

from balancer import log
from balancer.core import checksum
from balancer.core.parameters import Parameters
from balancer.core.tenants import Tenant, signer
from balancer.errors import (
    BBBError,
    ChecksumError,
    MeetingNotFoundError,
    NodeError,
    RecordingNotFoundError,
    StorageUnavailableError,
    UnsupportedContentTypeError,
    UnsupportedRequestError,
)
from balancer.web import xml
from balancer.web.bodies import FORMS, Body, Kind
from balancer.web.failures import as_bbb
from balancer.web.paths import API
from balancer.web.services import services

logger = log.get(__name__)


@dataclass(frozen=True)
class Call:
    """An authenticated call."""

    name: str  #: "create", or "hooks/list"
    tenant: Tenant
    parameters: Parameters  #: of the query string, then of the form; without checksum
    body: Body
    kind: Kind  #: XML, or a form whose fields are in ``parameters`` already, or none


def bbb_call(
    blueprint: Blueprint,
    name: str,
    *,
    methods: Collection[str] = ("GET", "POST"),
    kinds: Collection[Kind] = FORMS,
    checksum_error: type[ChecksumError] = ChecksumError,
    failure: Callable[[BBBError, Parameters | None], Response] | None = None,
) -> Callable[[Callable[[Call], Response]], Callable[[], Response]]:
    """Route ``name`` to a function that gets the authenticated call.

    kinds: bodies that a POST may carry. failure: how a BBBError is answered, where not as plain XML; it gets the
    parameters only once the checksum was right. Any other method is BBB's unsupportedRequest (web.app).
    """

    def register(view: Callable[[Call], Response]) -> Callable[[], Response]:
        @blueprint.route(f"{API}/{name}", endpoint=name, methods=list(methods), provide_automatic_options=False)
        @wraps(view)
        def answer() -> Response:
            tenant: Tenant | None = None
            parameters: Parameters | None = None
            try:
                # Werkzeug lets HEAD in where GET is: a link scanner's HEAD would create meetings.
                if request.method not in methods:
                    raise UnsupportedRequestError
                with Body(request, services().settings.body_limit_bytes) as body:
                    tenant, parameters, kind = _authenticate(name, body, checksum_error)
                    if kind not in kinds and kind is not Kind.NONE:
                        raise UnsupportedContentTypeError
                    parameters.check_encoding()
                    return view(Call(name, tenant, parameters, body, kind))
            except (BBBError, StorageUnavailableError, NodeError) as error:
                about = {
                    "call": name,
                    "tenant": None if tenant is None else tenant.name,
                    "meeting_id": None if parameters is None else parameters.get("meetingID"),
                }
                told = as_bbb(error, about)
                if told is error:
                    _note(told, about)
                return failure(told, parameters) if failure else xml.failure(told)

        return answer

    return register


def _authenticate(name: str, body: Body, error: type[ChecksumError]) -> tuple[Tenant, Parameters, Kind]:
    """Who calls, with which parameters and what kind of body. Raises ``error`` without exactly one right checksum."""
    # The raw bytes, as PEP 3333 hands them over: nothing that was decoded and encoded again is ever signed.
    query, given = checksum.split(request.environ.get("QUERY_STRING", "").encode("latin-1"))
    parameters, signed = Parameters.parse(query), [query]
    if request.method != "POST":
        return _signer(name, signed, given, parameters, error), parameters, Kind.NONE
    if given and query:
        # Nothing in the body matters to the signature, so a stranger's body is not even read.
        tenant = _signer(name, signed, given, parameters, error)
        body.trust()
        kind, form = _form(body)
        if in_form := form.all("checksum"):
            raise _refusal(error, name, given + [value.encode() for value in in_form])
        return tenant, parameters + form, kind
    kind, form = _form(body)
    if not query and len(form):
        signed.append(_sorted_form(form))
    given = given + [value.encode() for value in form.all("checksum")]
    tenant = _signer(name, signed, given, parameters, error)
    body.trust()
    return tenant, parameters + form.without("checksum"), kind


def _signer(
    name: str, signed: Sequence[bytes], given: Sequence[bytes], query: Parameters, error: type[ChecksumError]
) -> Tenant:
    # A node also takes "check%73um" for checksum: whatever is disguised so counts as one more.
    if len(given) != 1 or query.get("checksum") is not None:
        raise _refusal(error, name, given)
    tenant = signer(services().tenants(), name, signed, given[0].decode("latin-1"))
    if tenant is None:
        raise _refusal(error, name, given)
    return tenant


def _refusal(error: type[ChecksumError], name: str, given: Sequence[bytes]) -> ChecksumError:
    """The error to raise; whoever connects a front end finds in the log what it sent, but never the checksum itself."""
    digests = [checksum.digest(each.decode("latin-1")) for each in given]
    logger.info("call refused", call=name, address=request.headers.get("X-Forwarded-For"), digests=digests)
    return error()


def _note(error: BBBError, about: Mapping[str, str | None]) -> None:
    """A refusal and its reason in the log. A checksum's has its own line; what is not there was no decision."""
    if isinstance(error, ChecksumError | MeetingNotFoundError | RecordingNotFoundError):
        return
    logger.info("call refused", key=error.message_key, reason=str(error), **about)


def _form(body: Body) -> tuple[Kind, Parameters]:
    kind = body.kind()
    return kind, body.form(kind) if kind in FORMS else Parameters()


def _sorted_form(form: Parameters) -> bytes:
    """What BBB up to 2.5 signed when a form came with an empty query string: sorted fields, encoded as Java does."""
    # By name alone: values of the same name stay in their order.
    fields = sorted(((item.name, item.value) for item in form if item.name != "checksum"), key=itemgetter(0))
    return "&".join(f"{name}={quote_plus(value, safe='*-._')}" for name, value in fields).encode()
