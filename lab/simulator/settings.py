"""The settings of one simulated node; the control API can change some of them while it runs."""

from dataclasses import dataclass, field
from pathlib import Path

from lab.simulator.bbb_releases import PROFILES, Profile

ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node's settings. Times are in seconds; names in quotes are BBB's properties (reference 11)."""

    #: Public origin, without a trailing slash ("bigbluebutton.web.serverURL").
    server_url: str
    #: "securitySalt"; if empty, signatures are not checked, as in BBB.
    secret: str
    #: Directory that contains `var/bigbluebutton` and `usr/local/bigbluebutton`; `/` on a host.
    root: Path = Path("/")
    profile: Profile = PROFILES["3.0"]
    #: "supportedChecksumAlgorithms".
    algorithms: tuple[str, ...] = ALGORITHMS
    #: Length of a minute of BBB's meeting timers.
    minute: float = 60.0
    #: From `end` until the meeting is removed.
    end_delay: float = 1.0
    #: From create until startTime is set.
    start_delay: float = 0.02
    #: Time after which a registered user whose client never connected is removed ("usersTimeout").
    users_timeout: float = 60.0
    #: Time for which 3.0 still lists a user that left.
    left_users_linger: float = 5.0
    #: Delays of the attempts of a callback at a meeting's end, each counted from the previous attempt.
    callback_delays: tuple[float, ...] = (0.0, 30.0, 60.0, 120.0, 300.0)
    #: "allowRevealOfBBBVersion".
    reveal_version: bool = False
    #: "allowRequestsWithoutSession": client pages work without the JSESSIONID cookie.
    requests_without_session: bool = False
    #: "allowFetchAllRecordings".
    fetch_all_recordings: bool = True
    #: Passwords are generated if create sends none (reference 12.6 doubts it for later releases).
    random_passwords: bool = True
    #: "authenticatedGuest".
    authenticated_guest: bool = True
    #: "defaultGuestPolicy".
    guest_policy: str = "ALWAYS_ACCEPT"
    #: "insertDocumentSupportedProtocols".
    document_protocols: tuple[str, ...] = ("https",)
    #: "insertDocumentBlockedHosts".
    document_blocked_hosts: tuple[str, ...] = ("localhost",)
    #: "serviceEnabled": if false, every call of bbb-web's ApiController answers apiNotEnabled.
    service_enabled: bool = True
    #: bbb-webhooks cannot reach its Redis: calls to it fail, deliveries continue.
    hooks_broken: bool = False
    #: Longest request line in bytes; a longer one is nginx's 414.
    max_request_line: int = 8190
    #: Largest request body in bytes.
    max_body: int = 200_000_000
    #: Duration of processing by playback format; the keys are the formats to make.
    formats: dict[str, float] = field(default_factory=lambda: {"presentation": 3.0, "video": 5.0})
    #: Whether recordings are processed in this process; on a host a separate unit does that.
    processes_recordings: bool = True
    #: How many requests the request log keeps; 0 keeps none.
    request_log_length: int = 1000
