"""Every Redis key of the balancer. Redis may be wiped: all of it is rebuilt from PostgreSQL and the next polls."""

PREFIX = "bbb-fleet:"

#: Hash, node id -> JSON of core.nodes.Snapshot.
SNAPSHOTS = PREFIX + "snapshots"
#: Hash, node id -> JSON {poll_started, meetings: {internalMeetingID: "<meeting>…"}}, for getMeetings.
SNAPSHOT_XML = PREFIX + "snapshot-xml"
#: Hash, node id -> "FENCING POLL_STARTED": decides whether a snapshot may be overwritten.
SNAPSHOT_ORDER = PREFIX + "snapshot-order"

#: Capped list of the ids of nodes to poll at once; "" means: read the list of nodes again.
POLL_REQUESTS = PREFIX + "poll-requests"


def lease(name: str) -> str:
    """String with a time to live: the token of the process that holds the lease ``name``."""
    return f"{PREFIX}lease:{name}"


def location(tenant_id: int, meeting_id: str) -> str:
    """String with a time to live: "ROW NODE INTERNAL_MEETING_ID" of a running meeting."""
    return f"{PREFIX}location:{tenant_id}:{meeting_id}"


def initial_listing(tenant_id: int, internal_meeting_id: str) -> str:
    """String with a time to live: create's parameters and answer (core.meeting_list) of a new meeting, for getMeetings.

    Two tenants' meetings with the same meetingID may have the same internalMeetingID, on two nodes.
    """
    return f"{PREFIX}initial-listing:{tenant_id}:{internal_meeting_id}"
