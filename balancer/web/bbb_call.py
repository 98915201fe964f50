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
from balancer.web.canonical_paths import API
from balancer.web.failures import as_bbb
from balancer.web.services import services

logger = log.get(__name__)


@dataclass(frozen=True)
class Call:
    """An authenticated call."""

    name: str  #: "create", or "hooks/list"
    tenant: Tenant
    parameters: Parameters  #: of the query string, then of the form; without checksum
    body: Body
    kind: Kind  #: XML, none, or a form whose fields are already in ``parameters``


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

    kinds: bodies that a POST may have. failure: answers a BBBError, instead of plain XML; it gets the parameters only
    if the checksum was right. Any other method is BBB's unsupportedRequest (web.failures).
    """

    def register(view: Callable[[Call], Response]) -> Callable[[], Response]:
        @blueprint.route(f"{API}/{name}", endpoint=name, methods=list(methods), provide_automatic_options=False)
        @wraps(view)
        def answer() -> Response:
            tenant: Tenant | None = None
            parameters: Parameters | None = None
            try:
                # Werkzeug routes HEAD like GET. A link scanner's HEAD would create meetings.
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
                bbb_error = as_bbb(error, about)
                if bbb_error is error:
                    _log_refusal(bbb_error, about)
                return failure(bbb_error, parameters) if failure else xml.failure(bbb_error)

        return answer

    return register


def _authenticate(name: str, body: Body, error: type[ChecksumError]) -> tuple[Tenant, Parameters, Kind]:
    """The tenant, the parameters and the kind of body. Raises ``error`` unless there is exactly one right checksum."""
    # The raw bytes as PEP 3333 passes them: the signature never covers what was decoded and encoded again.
    query, given = checksum.split(request.environ.get("QUERY_STRING", "").encode("latin-1"))
    parameters, signed = Parameters.parse(query), [query]
    if request.method != "POST":
        return _signer(name, signed, given, parameters, error), parameters, Kind.NONE
    if given and query:
        # The signature does not cover the body, so a stranger's body is not read.
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
    # A node also reads "check%73um" as checksum, so a disguised one counts too.
    if len(given) != 1 or query.get("checksum") is not None:
        raise _refusal(error, name, given)
    tenant = signer(services().tenants(), name, signed, given[0].decode("latin-1"))
    if tenant is None:
        raise _refusal(error, name, given)
    return tenant


def _refusal(error: type[ChecksumError], name: str, given: Sequence[bytes]) -> ChecksumError:
    """The error to raise. The log says what the front end sent, for the operator, but never the checksum itself."""
    digests = [checksum.digest(each.decode("latin-1")) for each in given]
    logger.info("call refused", call=name, address=request.headers.get("X-Forwarded-For"), digests=digests)
    return error()


def _log_refusal(error: BBBError, about: Mapping[str, str | None]) -> None:
    """Log a refusal and its reason. A wrong checksum has its own line, and an absent meeting is no refusal."""
    if isinstance(error, ChecksumError | MeetingNotFoundError | RecordingNotFoundError):
        return
    logger.info("call refused", key=error.message_key, reason=str(error), **about)


def _form(body: Body) -> tuple[Kind, Parameters]:
    kind = body.kind()
    return kind, body.form(kind) if kind in FORMS else Parameters()


def _sorted_form(form: Parameters) -> bytes:
    """What BBB up to 2.5 signed if a form came with an empty query string: sorted fields, encoded as Java does."""
    # By name alone, so that values of the same name keep their order.
    fields = sorted(((item.name, item.value) for item in form if item.name != "checksum"), key=itemgetter(0))
    return "&".join(f"{name}={quote_plus(value, safe='*-._')}" for name, value in fields).encode()
