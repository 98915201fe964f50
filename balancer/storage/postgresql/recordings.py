"""Recordings in PostgreSQL. Every function runs in the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from psycopg import sql
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from balancer.core import recordings as rules
from balancer.core.archive_owner import Claim, Owner, decide
from balancer.core.metadata_xml import Metadata
from balancer.core.recordings import PlaybackFormat, Preview, Query, Recording
from balancer.storage.postgresql.database import Connection
from balancer.storage.postgresql.recording_counts import RecordingCounts
from balancer.storage.postgresql.sql import queries

_SQL = queries("recordings")
#: Rows of recording_totals that are left as they are: adding them up takes well below a millisecond.
_MANY_CHANGES = 500


@dataclass(frozen=True)
class Page:
    """Matching recordings; total: the number of all that match if the query was paged, else None."""

    recordings: list[Recording]
    total: int | None


@dataclass(frozen=True)
class StoredFormat:
    """A format's files as last imported: the tree that holds them, their number, size and digest."""

    tree: str
    files: int
    unpacked_bytes: int
    sha256: str


class PresentFormat(NamedTuple):
    """A format that has been imported."""

    tree: str
    sha256: str
    import_id: int | None  #: of its last import


@dataclass(frozen=True)
class Present:
    """A recording that is already there when an archive of it arrives."""

    id: int
    state: str
    tenant_id: int | None  #: None if it is only assumed
    formats: Mapping[str, PresentFormat]  #: by name


@dataclass(frozen=True)
class Move:
    """A recording whose files have to move to the tree that its state names."""

    id: int
    record_id: str
    state: str
    attempts: int
    formats: tuple[str, ...]


def search(connection: Connection, tenant_id: int, query: Query, counts: RecordingCounts) -> Page:
    """A tenant's recordings, newest first; counts: this process's cache."""
    where, parameters = _conditions(tenant_id, query)

    def execute(*names: str, page: str = "newest_of_many") -> list[DictRow]:
        values = {"where": where, "totals": sql.SQL(_SQL["totals"]), "page": sql.SQL(_SQL[page]).format(where=where)}
        text = sql.SQL("\n").join(sql.SQL(_SQL[name]).format(**values) for name in names)
        # Never prepared: the best index depends on the values, so every call is planned with its own.
        return connection.execute(text, parameters, prepare=False).fetchall()

    if not query.paged:
        return Page([_recording(row) for row in execute("columns", "all_matching")], None)
    many = not query.filtered or counts.has(tenant_id, query)
    rows = execute("columns", "page_matching", page="newest_of_many" if many else "newest_of_few")
    recordings = [_recording(row) for row in rows if row["record_id"] is not None]
    if not query.filtered:
        return Page(recordings, rows[0]["total"])
    total, version = rows[0]["matching"], rows[0]["version"]
    if total is None:
        total = counts.get(tenant_id, query, version) if recordings or query.offset else 0
    if total is None:
        total = execute("count")[0]["total"]
    # After a change in between, the next request sees another version and counts again.
    counts.keep(tenant_id, query, version, total)
    return Page(recordings, total)


def gather_totals(connection: Connection, many: int = _MANY_CHANGES) -> None:
    """Merge the rows that ``search`` adds up for a total; to be called now and then."""
    connection.execute(_SQL["gather_totals"], {"many": many})


def _conditions(tenant_id: int, query: Query) -> tuple[sql.Composable, dict[str, Any]]:
    """The WHERE clause's text, and all values of the query."""
    exact, patterns = _metadata_conditions(query)
    wanted = {
        "where_tenant": True,
        "where_states": True,
        "where_meetings": query.meeting_ids is not None,
        "where_exact": bool(exact),
        "where_like": bool(patterns),
    }
    parts: list[sql.Composable] = [sql.SQL(_SQL[name]) for name, is_wanted in wanted.items() if is_wanted]
    if query.record_ids is not None:
        parts.append(_record_id_condition(query.record_ids))
    parameters = {
        "tenant": tenant_id,
        "states": list(query.states),
        "meeting_ids": list(query.meeting_ids or ()),
        "record_ids": [each for each in query.record_ids or () if rules.is_whole_record_id(each)],
        "exact": Jsonb(exact),
        "names": [name for name, _ in patterns],
        "patterns": [pattern for _, pattern in patterns],
        "offset": query.offset,
        "limit": query.limit,
    }
    return sql.SQL("\nAND ").join(parts), parameters


def _record_id_condition(record_ids: Sequence[str]) -> sql.Composable:
    """Complete ids in one comparison, each prefix as a range of the index."""
    alternatives: list[sql.Composable] = [sql.SQL(_SQL["where_record_ids"])]
    for prefix in sorted({each for each in record_ids if not rules.is_whole_record_id(each)}):
        # ids consist of 0-9, a-f and "-": in byte order, all ids with this prefix come before the prefix plus "g".
        bounds = {"low": sql.Literal(prefix), "high": sql.Literal(f"{prefix}g")}
        alternatives.append(sql.SQL(_SQL["where_prefix"]).format(**bounds))
    return sql.SQL("({})").format(sql.SQL("\nOR ").join(alternatives))


def _metadata_conditions(query: Query) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Exact filters as one object, for the index; wildcards, and a second filter on the same name, as patterns."""
    exact: dict[str, str] = {}
    patterns: list[tuple[str, str]] = []
    for each in query.meta:
        if each.is_exact and each.name not in exact:
            exact[each.name] = each.value
        else:
            patterns.append((each.name, each.like))
    return exact, patterns


def get(connection: Connection, record_id: str) -> DictRow | None:
    """A recording of any tenant, for operators: all columns, the tenant's name and the formats."""
    return connection.execute(_SQL["get"], {"record_id": record_id}).fetchone()


def change_state(connection: Connection, tenant_id: int, record_ids: Sequence[str], state: str) -> int:
    """Publish, unpublish or delete, in force with the commit. Returns how many of the ids exist (not deleted)."""
    values = {"tenant": tenant_id, "record_ids": list(record_ids), "state": state}
    row = connection.execute(_SQL["change_state"], values).fetchone()
    return int(row["total"]) if row else 0


def edit(connection: Connection, tenant_id: int, record_ids: Sequence[str], parameters: Mapping[str, str]) -> int:
    """Apply updateRecordings' meta_ parameters and protect. Returns how many of the ids exist (not deleted)."""
    protect = parameters.get("protect", "").lower()
    protected = {"true": True, "false": False}.get(protect)
    rows = connection.execute(_SQL["lock_edits"], {"tenant": tenant_id, "record_ids": list(record_ids)}).fetchall()
    for row in rows:
        after = rules.edited(row["edited_metadata"], parameters)
        connection.execute(_SQL["save_edits"], {"id": row["id"], "edited": Jsonb(after), "protected": protected})
    return len(rows)


def playback(connection: Connection, record_id: str, playback_format: str) -> tuple[str, bool] | None:
    """(state, protected) of a recording that has this format, or None."""
    row = connection.execute(_SQL["playback"], {"record_id": record_id, "format": playback_format}).fetchone()
    return (row["state"], row["protected"]) if row else None


def for_import(connection: Connection, record_id: str) -> Present | None:
    row = connection.execute(_SQL["for_import"], {"record_id": record_id}).fetchone()
    if row is None:
        return None
    formats = {name: PresentFormat(*each) for name, each in row["formats"].items()}
    return Present(row["id"], row["state"], None if row["tenant_assumed"] else row["tenant_id"], formats)


def owner(connection: Connection, record_id: str, metadata: Sequence[Metadata] = ()) -> Owner:
    """The owner of an archive; metadata: of its formats, once they are unpacked."""
    parent = next((each.parent_meeting_id for each in metadata if each.parent_meeting_id), None)
    host = next((each.host for each in metadata if each.host), None)
    values = {"record_id": record_id, "parent": parent}
    claims = [
        Claim(
            tenant_id=row["tenant_id"],
            meeting_id=row["meeting_id"],
            host=None if row["url"] is None else urlsplit(row["url"]).hostname,
        )
        for row in connection.execute(_SQL["claims"], values)
    ]
    return decide(claims, host)


def save(connection: Connection, metadata: Metadata, state: str, claim: Claim | None) -> int:
    """Insert or complete the recording's row from one format's metadata.xml. Returns its id.

    state: only for a new row; claim: tenant and meetingID of the meeting that we placed. Without one, we assume the
    default tenant.
    """
    tenant_id = claim.tenant_id if claim else None
    if claim is None:
        default = connection.execute(_SQL["default_tenant"]).fetchone()
        tenant_id = default["id"] if default else None
    row = connection.execute(
        _SQL["save"],
        {
            "record_id": metadata.record_id,
            "tenant_id": tenant_id,
            "tenant_assumed": claim is None,
            "meeting_id": (claim.meeting_id if claim else None) or metadata.meeting_id,
            "name": metadata.name,
            "state": state,
            "is_breakout": metadata.is_breakout,
            "breakout": None if metadata.breakout is None else Jsonb(metadata.breakout),
            "breakout_rooms": list(metadata.breakout_rooms),
            "start_ms": metadata.start_ms,
            "end_ms": metadata.end_ms,
            "participants": metadata.participants,
            "raw_size": metadata.raw_size,
            "meta": Jsonb(metadata.meta),
        },
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an upsert
    return int(row["id"])


def save_format(
    connection: Connection, recording: int, metadata: Metadata, stored: StoredFormat, import_id: int
) -> None:
    """Insert or replace a format's row, after its files are in place."""
    previews = [vars(preview) for preview in metadata.previews]
    connection.execute(
        _SQL["save_format"],
        {
            "recording": recording,
            "format": metadata.format,
            "url": metadata.url,
            "length_ms": metadata.length_ms,
            "size_bytes": stored.unpacked_bytes if metadata.size_bytes is None else metadata.size_bytes,
            "processing_ms": metadata.processing_ms,
            "previews": Jsonb(previews),
            "tree": stored.tree,
            "files": stored.files,
            "unpacked_bytes": stored.unpacked_bytes,
            "sha256": stored.sha256,
            "import": import_id,
        },
    )


def update_move_due(connection: Connection, recording: int) -> None:
    """Record whether all files are in the tree that the recording's state names."""
    connection.execute(_SQL["update_move_due"], {"id": recording})


def claim_move(connection: Connection, lease_seconds: float) -> Move | None:
    """The next recording whose files have to move; no other process gets it before the lease ends."""
    row = connection.execute(_SQL["claim_move"], {"lease": lease_seconds}).fetchone()
    if row is None:
        return None
    return Move(row["id"], row["record_id"], row["state"], row["move_attempts"], tuple(row["formats"]))


def moved(connection: Connection, move: Move) -> None:
    """Record that all formats' files are in their tree; if the state has changed since, a new move is due."""
    connection.execute(_SQL["moved"], {"id": move.id, "tree": move.state, "formats": list(move.formats)})
    update_move_due(connection, move.id)


def postpone_move(connection: Connection, move: Move, delay_seconds: float, reason: str) -> None:
    connection.execute(_SQL["postpone_move"], {"id": move.id, "delay": delay_seconds, "reason": reason})


def due_moves(connection: Connection, limit: int = 1000) -> list[DictRow]:
    """Moves that are due, for operators."""
    return connection.execute(_SQL["due_moves"], {"limit": limit}).fetchall()


def try_lock_files(connection: Connection, record_id: str) -> bool:
    """Lock the recording's files until the transaction ends, even if a hung share keeps it open for long.

    Returns False if another transaction has locked them.
    """
    connection.execute(_SQL["allow_idle"])
    row = connection.execute(_SQL["try_lock_files"], {"record_id": record_id}).fetchone()
    return bool(row and row["locked"])


def _recording(row: DictRow) -> Recording:
    return Recording(
        record_id=row["record_id"],
        meeting_id=row["meeting_id"],
        name=row["name"],
        state=row["state"],
        protected=row["protected"],
        is_breakout=row["is_breakout"],
        start_ms=row["start_ms"],
        end_ms=row["end_ms"],
        participants=row["participants"],
        raw_size=row["raw_size"],
        metadata=row["metadata"],
        breakout=row["breakout"],
        breakout_rooms=tuple(row["breakout_rooms"]),
        formats=tuple(_formats(row["formats"])),
    )


def _formats(rows: Iterable[Mapping[str, Any]]) -> Iterable[PlaybackFormat]:
    for row in rows:
        yield PlaybackFormat(
            format=row["format"],
            url=row["url"],
            length_ms=row["length_ms"],
            size_bytes=row["size_bytes"],
            processing_ms=row["processing_ms"],
            previews=tuple(Preview(**preview) for preview in row["previews"]),
        )
