"""The differences between BBB releases, as data."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Profile:
    """One release's behaviour; the defaults are those of the newest release."""

    #: Full version, as in bigbluebutton-release and, if revealed, in bbbVersion.
    release: str
    #: POST bodies need a known Content-Type (reference 1.3).
    checks_content_type: bool = True
    #: join accepts POST too (until 2.6.17 / 2.7.7).
    joins_by_post: bool = False
    #: Checksums are compared case-insensitively (reference 2.2).
    ignores_checksum_case: bool = True
    #: A request with several checksum parameters is refused (3.0.37).
    refuses_repeated_checksum: bool = True
    #: The index names the graphql addresses.
    has_graphql: bool = True
    #: getRecordings' page envelope: "pageable" counts formats, "total" counts recordings.
    pagination: str = "total"
    #: getMeetings prints maxUsers with thousands separators (#17688).
    groups_thousands: bool = False
    #: Users that left remain in getMeetings for a while (3.0).
    keeps_left_users: bool = True
    #: "maxUserConcurrentAccesses": sessions that one userID may have in a meeting; 0 is no limit (3.0).
    sessions_at_once: int = 3
    #: Path of the client page to which join redirects.
    client_path: str = "/html5client"
    #: Path for waiting guests; if empty, the client page shows the lobby.
    guest_path: str = ""
    #: join supports errorRedirectUrl (2.7).
    has_error_redirect: bool = True
    #: Join errors are redirects even with redirect=false (2.6).
    always_redirects_errors: bool = False
    #: Malformed XML in a body is reported by a messageKey, not by an HTTP 500 (reference 3.2.8).
    names_malformed_xml: bool = True
    #: Slides are fetched by allowed protocols from allowed hosts only (3.0, reference 3.2.8).
    limits_document_sources: bool = True
    #: create supports preUploadedPresentation (2.7.2).
    links_slides: bool = True
    #: bbb-webhooks supports SHA-1 only (before 3.0, reference 3.14).
    signs_hooks_with_sha1: bool = False
    #: end, getMeetingInfo and isMeetingRunning find a meeting by its internal id too (2.6, #15652).
    takes_internal_ids: bool = True
    #: end checks the password (until 2.5).
    checks_end_password: bool = False
    #: messageKey for a breakout without parentMeetingID.
    missing_parent_key: str = "parentMeetingIDMissing"


_3_0 = Profile("3.0.37")
_2_7 = Profile(
    "2.7.17",
    ignores_checksum_case=False,
    refuses_repeated_checksum=False,
    names_malformed_xml=False,
    limits_document_sources=False,
    signs_hooks_with_sha1=True,
    has_graphql=False,
    keeps_left_users=False,
    sessions_at_once=0,
    client_path="/html5client/join",
    guest_path="/html5client/guestWait",
)
_2_6 = replace(
    _2_7,
    release="2.6.18",
    pagination="pageable",
    groups_thousands=True,
    has_error_redirect=False,
    always_redirects_errors=True,
    links_slides=False,
    missing_parent_key="parentMeetingIdMissing",
)
_2_6_10 = replace(_2_6, release="2.6.10", checks_content_type=False, joins_by_post=True)

#: Profiles by the value of --profile.
PROFILES = {
    "2.5": replace(_2_6_10, release="2.5.18", takes_internal_ids=False, checks_end_password=True),
    "2.6.10": _2_6_10,
    "2.6": _2_6,
    "2.7": _2_7,
    "3.0.0": replace(
        _3_0, release="3.0.0", pagination="pageable", refuses_repeated_checksum=False, names_malformed_xml=False
    ),
    "3.0": _3_0,
}
