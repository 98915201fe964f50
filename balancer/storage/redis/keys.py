"""Every Redis key of the balancer. Redis may be wiped: everything here is rebuilt from PostgreSQL and polls."""

PREFIX = "bbb-fleet:"

#: Hash, node id -> JSON of core.nodes.Snapshot.
SNAPSHOTS = PREFIX + "snapshots"
#: Hash, node id -> JSON {poll_started, meetings: {internalMeetingID: "<meeting>…"}}, for getMeetings.
SNAPSHOT_XML = PREFIX + "snapshot-xml"
#: Hash, node id -> "FENCING POLL_STARTED": what decides whether a snapshot may be overwritten.
SNAPSHOT_ORDER = PREFIX + "snapshot-order"

#: Capped list of ids of nodes that are to be polled at once ("" means: reread the list of nodes).
POLL_REQUESTS = PREFIX + "poll-requests"


def lease(name: str) -> str:
    """String with a time to live: the token of the process that holds the lease ``name``."""
    return f"{PREFIX}lease:{name}"


def location(tenant_id: int, meeting_id: str) -> str:
    """String with a time to live: "ROW NODE INTERNAL_MEETING_ID" of a running meeting."""
    return f"{PREFIX}location:{tenant_id}:{meeting_id}"


def initial_listing(tenant_id: int, internal_meeting_id: str) -> str:
    """String with a time to live: core.listing's initial listing of a meeting that was just created, for getMeetings.

    Two tenants' meetings of one meetingID may have the same internalMeetingID, on two nodes.
    """
    return f"{PREFIX}initial-listing:{tenant_id}:{internal_meeting_id}"
