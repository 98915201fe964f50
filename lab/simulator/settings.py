"""What one simulated node is told when it starts; timers can be changed while it runs."""

from dataclasses import dataclass, field
from pathlib import Path

from lab.simulator.profiles import PROFILES, Profile

ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node. Times are in seconds; names in quotes are BBB's properties (reference 11)."""

    #: Public origin, without a trailing slash ("bigbluebutton.web.serverURL").
    server_url: str
    #: "securitySalt"; empty switches the check off, as in BBB.
    secret: str
    #: Where `var/bigbluebutton` and `usr/local/bigbluebutton` hang; `/` on a host.
    root: Path = Path("/")
    profile: Profile = PROFILES["3.0"]
    #: "supportedChecksumAlgorithms".
    algorithms: tuple[str, ...] = ALGORITHMS
    #: How long a minute of BBB's meeting timers lasts here.
    minute: float = 60.0
    #: From `end` until the meeting is gone.
    end_delay: float = 1.0
    #: From create until startTime is known.
    start_delay: float = 0.02
    #: A registered user whose client never came is forgotten after this ("usersTimeout").
    users_timeout: float = 60.0
    #: How long 3.0 still lists a user that left.
    left_users_linger: float = 5.0
    #: When the callbacks at a meeting's end are tried, each counted from the one before.
    callback_delays: tuple[float, ...] = (0.0, 30.0, 60.0, 120.0, 300.0)
    #: "allowRevealOfBBBVersion".
    reveal_version: bool = False
    #: "allowRequestsWithoutSession": client pages work without the JSESSIONID cookie.
    requests_without_session: bool = False
    #: "allowFetchAllRecordings".
    fetch_all_recordings: bool = True
    #: Passwords are made up when create sends none (reference 12.6 doubts it for later releases).
    random_passwords: bool = True
    #: "authenticatedGuest".
    authenticated_guest: bool = True
    #: "defaultGuestPolicy".
    guest_policy: str = "ALWAYS_ACCEPT"
    #: "insertDocumentSupportedProtocols".
    document_protocols: tuple[str, ...] = ("https",)
    #: "insertDocumentBlockedHosts".
    document_blocked_hosts: tuple[str, ...] = ("localhost",)
    #: "serviceEnabled": without it every call of bbb-web's ApiController answers apiNotEnabled.
    service_enabled: bool = True
    #: bbb-webhooks cannot reach its Redis: calls to it fail, deliveries go on.
    hooks_broken: bool = False
    #: Longest request line in bytes; a longer one is nginx's 414.
    max_request_line: int = 8190
    #: Largest request body in bytes.
    max_body: int = 200_000_000
    #: Seconds that processing takes, by playback format; its keys are the formats made.
    formats: dict[str, float] = field(default_factory=lambda: {"presentation": 3.0, "video": 5.0})
    #: Recordings are processed here; on a host a unit of its own does it.
    processes_recordings: bool = True
    #: How many requests the request log keeps; 0 keeps none.
    request_log_length: int = 1000
