"""Imports recordings: from an archive in the spool to files in a tree and committed rows. Also moves the files of
recordings that were published, unpublished or deleted since.

Each item is claimed by a row, so any number of importers on any number of hosts can work at once. Each step can be
repeated: an archive is removed only after its files are synced and its rows committed. An importer that finds a
half-done import reverts it and starts again.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from balancer import log
from balancer.core import metadata_xml
from balancer.core.archive import ArchiveRefusedError, ArchiveTruncatedError, Contents
from balancer.core.metadata_xml import Metadata, MetadataError
from balancer.core.recordings import DELETED
from balancer.errors import BalancerError, StorageUnavailableError
from balancer.importing import process_identity, tarball
from balancer.importing.share import Share, ShareError
from balancer.importing.tarball import Tree
from balancer.settings import Settings
from balancer.storage.postgresql import imports, recordings
from balancer.storage.postgresql.database import Connection, Database
from balancer.storage.postgresql.imports import Import
from balancer.storage.postgresql.recordings import Move, Present, StoredFormat

#: Seconds that a claim lasts unless it is renewed.
LEASE: Final = 120.0
_RENEW_EVERY: Final = LEASE / 6
#: Seconds between two searches for what crashed importers of any host left on the share.
_SWEEP_EVERY: Final = 300.0
#: Intervals for which an incomplete archive must not change before it counts as broken.
_STILL_FOR: Final = 6
#: Seconds between two attempts at most.
_LONGEST_DELAY: Final = 3600.0
_STAYS_DELETED: Final = "the recording is deleted and stays so"

logger = log.get(__name__)


class ClaimLostError(BalancerError):
    """Another importer took this item over. Work in progress is rolled back."""


class RecordingBusyError(BalancerError):
    """Another importer is changing the files of this recording."""


def main(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; the item in hand is finished first."""
    log.configure(settings.log_level, settings.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    database = Database(settings.database_url, application_name="balancer-importer", size=2)
    database.open()
    try:
        importer = Importer(settings, database)
        while not stop.is_set():
            if not importer.try_once():
                stop.wait(settings.import_interval)
    finally:
        database.close()


class Importer:
    """One importer. ``run_once`` does one item of each kind of work that is due."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._share = Share(settings.recordings_root, marker_required=settings.share_marker == "required")
        self._worker = process_identity.name()
        self._swept_at: float | None = None
        #: Names seen in the inbox, oldest last; read again when all of them are done.
        self._inbox: list[str] = []
        #: Names in the inbox that could not be claimed, and until when they are skipped.
        self._skipped: dict[str, float] = {}

    def try_once(self) -> bool:
        """Like ``run_once``, but an absent share or database is logged and counts as no work."""
        try:
            return self.run_once()
        except (ShareError, StorageUnavailableError, OSError) as error:
            logger.error("importer cannot work", reason=str(error))
            return False

    def run_once(self) -> bool:
        """Do one move, one archive that had to wait and one new archive. Return True if there was any of them.

        Raises ShareError or OSError if the share cannot be used, StorageUnavailableError if PostgreSQL cannot.
        """
        self._share.verify()
        self._share.prepare()
        if self._swept_at is None or time.monotonic() - self._swept_at > _SWEEP_EVERY:
            self._sweep()
            with self._database.transaction() as connection:
                recordings.gather_totals(connection)
            self._swept_at = time.monotonic()
        # A list, not "or", because none of the three may keep the others waiting.
        return any([self._move_next(), self._resume_next(), self._claim_next()])

    def _sweep(self) -> None:
        """Finish or revert what closed imports left on the share. An open import is left to its next owner."""
        # Names first, rows second, because a row is always older than its files.
        found = self._share.leftovers()
        with self._database.transaction() as connection:
            known = imports.states(connection, found)
        for import_id in sorted(found):
            closed = known.get(import_id)
            has_archive = self._share.archive(import_id).exists()
            if closed is None and has_archive:
                name = self._share.give_back(import_id)
                logger.warning("archive without a row returned to the inbox", archive=name)
            elif closed is None:
                self._share.revert(import_id)
            elif closed.state == "done":
                self._share.clear(import_id)
            elif closed.state == "refused" and has_archive:
                self._share.refuse(import_id, closed.archive, closed.reason)
            elif closed.state == "refused":
                self._share.revert(import_id)

    # Moves: publication and deletion are already in force, the files follow.

    def _move_next(self) -> bool:
        with self._database.transaction() as connection:
            move = recordings.claim_move(connection, LEASE)
        if move is None:
            return False
        try:
            self._move(move)
        except (OSError, RecordingBusyError) as error:
            delay = retry_delay(move.attempts, self._settings.import_interval)
            logger.error("recording not moved", recording=move.record_id, to=move.state, reason=str(error))
            with self._database.transaction() as connection:
                recordings.postpone_move(connection, move, delay, str(error))
        else:
            logger.info("recording moved", recording=move.record_id, to=move.state)
        return True

    def _move(self, move: Move) -> None:
        with self._files_of(move.record_id) as connection:
            problems: list[OSError] = []
            for playback_format in move.formats:
                try:
                    self._share.move(playback_format, move.record_id, move.state)
                except OSError as error:
                    problems.append(error)
            if problems:
                # The other formats are in place. Their rows follow with the next attempt.
                raise problems[0]
            recordings.moved(connection, move)

    # Archives

    def _resume_next(self) -> bool:
        with self._database.transaction() as connection:
            gone = [
                name for name in imports.workers(connection, socket.gethostname()) if not process_identity.alive(name)
            ]
            job = imports.take_up(connection, self._worker, gone, LEASE)
        if job is None:
            return False
        if not self._share.archive(job.id).exists():
            self._forget(job)
        elif job.faults >= self._settings.import_attempts:
            self._refuse(job, f"failed {job.faults} times, the last time by ending the importer; keep it for a report")
        else:
            self._handle(job)
        return True

    def _claim_next(self) -> bool:
        if not self._inbox:
            now = time.monotonic()
            self._skipped = {name: until for name, until in self._skipped.items() if until > now}
            self._inbox = [name for name in reversed(self._share.inbox()) if name not in self._skipped]
        while self._inbox:
            job = self._claim(self._inbox.pop())
            if job is not None:
                self._handle(job)
                return True
        return False

    def _claim(self, name: str) -> Import | None:
        """The row first, then the rename, so that a file in .work always has a row."""
        if not self._share.offers(name):
            return None
        with self._database.transaction() as connection:
            job = imports.open_import(connection, _label(name), self._worker, LEASE)
        try:
            claimed = self._share.claim(name, job.id)
        except OSError as error:
            logger.error("archive cannot be claimed", archive=_label(name), reason=str(error))
            self._skipped[name] = time.monotonic() + retry_delay(5, self._settings.import_interval)
            claimed = False
        except ShareError:
            self._forget(job)
            raise
        if claimed:
            return job
        self._forget(job)
        return None

    def _handle(self, job: Import) -> None:
        """Import one archive. Its faults stop no other archive."""
        try:
            outcome = self._import(job)
        except (ArchiveRefusedError, MetadataError) as error:
            self._refuse(job, str(error))
        except ArchiveTruncatedError as error:
            self._wait_for_the_rest(job, str(error))
        except ClaimLostError:
            logger.warning("import taken over by another importer", archive=job.archive, number=job.id)
        except (OSError, ShareError, StorageUnavailableError, RecordingBusyError) as error:
            self._wait(job, str(error))
        except Exception as error:
            logger.exception("import failed", archive=job.archive, number=job.id)
            self._fault(job, f"{error.__class__.__name__}: {error}")
        else:
            self._share.clear(job.id)
            logger.info("import done", archive=job.archive, number=job.id, outcome=outcome)

    def _import(self, job: Import) -> str:
        """Import up to the commit. Return what was done, in words."""
        self._share.revert(job.id)
        progress = self._progress(job)
        with self._share.archive(job.id).open("rb") as file:
            before = os.fstat(file.fileno())
            contents = tarball.inspect(file, self._settings.import_limit_bytes)
            digest = tarball.digest(file, progress)
            known = self._already_known(job, contents, before.st_size, digest)
            if known:
                return known
            self._share.require_space(contents.unpacked_bytes)
            trees = tarball.unpack(file, self._share.staging(job.id), progress)
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise ArchiveTruncatedError("changed while it was read")
        return self._commit(job, self._read_metadata(job, contents), trees)

    def _already_known(self, job: Import, contents: Contents, size: int, digest: str) -> str | None:
        """Close the import and return why if nothing has to be unpacked, else return None."""
        with self._database.transaction() as connection:
            imports.describe(connection, job.id, self._worker, contents.record_id, size, digest)
            present = recordings.for_import(connection, contents.record_id)
            if present is None:
                return None
            if present.state == DELETED:
                if recordings.owner(connection, contents.record_id).may_add_to(present.tenant_id):
                    return self._finish(connection, job, _STAYS_DELETED)
                return None
            whole = all(
                name in present.formats and self._share.holds(present.formats[name].tree, name, contents.record_id)
                for name in contents.formats
            )
            if whole and imports.same_before(connection, job.id, contents.record_id, size, digest):
                return self._finish(connection, job, "identical to an archive imported before")
        return None

    def _read_metadata(self, job: Import, contents: Contents) -> list[Metadata]:
        """The metadata of all formats, presentation first, because the first that has a value is believed."""
        found: list[Metadata] = []
        for name in sorted(contents.formats, key=lambda each: (each == "presentation", each)):
            path = self._share.staging(job.id) / name / contents.record_id / "metadata.xml"
            with path.open("rb") as file:
                content = file.read(metadata_xml.MAX_BYTES + 1)
            found.append(metadata_xml.parse(content, contents.record_id, name))
        return found

    def _commit(self, job: Import, found: list[Metadata], trees: dict[str, Tree]) -> str:
        """Move the files into their tree, write the rows and close the import, in one transaction."""
        record_id = found[0].record_id
        with self._files_of(record_id) as connection:
            if not imports.renew(connection, job.id, self._worker, LEASE):
                raise ClaimLostError
            present = recordings.for_import(connection, record_id)
            owner = recordings.owner(connection, record_id, found)
            if present and not owner.may_add_to(present.tenant_id):
                raise ArchiveRefusedError("may be another tenant's than the recording of this recordID that is there")
            if present and present.state == DELETED:
                return self._finish(connection, job, _STAYS_DELETED)
            found = [each for each in found if not _overtaken(job, present, each.format)]
            if not found:
                return self._finish(connection, job, "a later archive of it is in already")
            state = present.state if present else found[-1].state
            changed = [each for each in found if not self._in_place(present, each, trees[each.format])]
            for metadata in changed:
                self._share.place(job.id, metadata.format, record_id, state)
            # If the share was unmounted in between, the files are now below its empty mount point.
            self._share.verify()
            # Rows last, so that a request that changes this recording never waits for the share.
            for metadata in found:
                recording = recordings.save(connection, metadata, state, owner.claim)
            for metadata in changed:
                tree = trees[metadata.format]
                stored = StoredFormat(state, tree.files, tree.unpacked_bytes, tree.sha256)
                recordings.save_format(connection, recording, metadata, stored, job.id)
            recordings.update_move_due(connection, recording)
            names = " ".join(each.format for each in changed)
            return self._finish(connection, job, f"imported {names}" if names else "nothing new in it")

    def _in_place(self, present: Present | None, metadata: Metadata, unpacked: Tree) -> bool:
        """Whether exactly these files of this format are already in place."""
        there = present.formats.get(metadata.format) if present else None
        return (
            there is not None
            and there.sha256 == unpacked.sha256
            and self._share.holds(there.tree, metadata.format, metadata.record_id)
        )

    @contextmanager
    def _files_of(self, record_id: str) -> Iterator[Connection]:
        """A transaction in which no other importer changes the recording's files. Raises RecordingBusyError."""
        with self._database.transaction() as connection:
            if not recordings.try_lock_files(connection, record_id):
                raise RecordingBusyError(f"another importer is changing the files of {record_id}")
            yield connection

    def _progress(self, job: Import) -> Callable[[], None]:
        """A function to call often during the work: it renews the claim. Raises ClaimLostError if the claim is lost."""
        renewed = time.monotonic()

        def progress() -> None:
            nonlocal renewed
            if time.monotonic() - renewed > _RENEW_EVERY:
                with self._database.transaction() as connection:
                    if not imports.renew(connection, job.id, self._worker, LEASE):
                        raise ClaimLostError
                renewed = time.monotonic()

        return progress

    # How an import ends

    def _finish(self, connection: Connection, job: Import, outcome: str) -> str:
        if not imports.finish(connection, job.id, self._worker, state="done", reason=outcome):
            raise ClaimLostError
        return outcome

    def _refuse(self, job: Import, reason: str) -> None:
        """The row first, because the sweep finishes what a crash leaves after it."""
        with self._database.transaction() as connection:
            if not imports.finish(connection, job.id, self._worker, state="refused", reason=reason):
                return
        self._share.refuse(job.id, job.archive, reason)
        logger.error("archive refused", archive=job.archive, number=job.id, reason=reason)

    def _wait(self, job: Import, reason: str) -> None:
        """Try again later, without limit, because the archive is not at fault. Other archives do not wait for it."""
        delay = retry_delay(job.attempts, self._settings.import_interval)
        logger.warning("import put off", archive=job.archive, number=job.id, reason=reason, seconds=delay)
        with self._database.transaction() as connection:
            imports.wait(connection, job.id, self._worker, delay_seconds=delay, reason=reason)

    def _fault(self, job: Import, reason: str) -> None:
        """Try again later, up to the limit of attempts, because the archive may be at fault."""
        if job.faults + 1 >= self._settings.import_attempts:
            self._refuse(job, f"failed {job.faults + 1} times, the last time with {reason}; keep it for a report")
            return
        delay = retry_delay(job.attempts, self._settings.import_interval)
        with self._database.transaction() as connection:
            imports.wait(connection, job.id, self._worker, delay_seconds=delay, reason=reason, fault=True)

    def _wait_for_the_rest(self, job: Import, reason: str) -> None:
        """Wait for an incomplete archive, which may still be arriving. Refuse it if it no longer grows."""
        size = self._share.archive(job.id).stat().st_size
        if job.size_bytes == size:
            self._refuse(job, f"{reason}; its transfer broke off: send it again")
            return
        delay = self._settings.import_interval * _STILL_FOR
        with self._database.transaction() as connection:
            imports.wait(connection, job.id, self._worker, delay_seconds=delay, reason=reason, size_bytes=size)

    def _forget(self, job: Import) -> None:
        """Drop a row whose archive was not claimed: another importer was faster, or ours ended before its rename."""
        with self._database.transaction() as connection:
            imports.drop(connection, job.id, self._worker)
        self._share.revert(job.id)


def retry_delay(attempts: int, interval: float) -> float:
    """Seconds until the next attempt: one interval after the first, doubled each time, at most an hour."""
    return min(interval * 2.0 ** min(attempts - 1, 30), _LONGEST_DELAY)


def _overtaken(job: Import, present: Present | None, name: str) -> bool:
    """Whether a later archive was imported with this format while this one had to wait."""
    there = present.formats.get(name) if present else None
    return there is not None and there.import_id is not None and there.import_id > job.id


def _label(name: str) -> str:
    """A file's name for rows, logs and failed/: printable, and short enough for a suffix."""
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)
    return shown if len(shown.encode()) <= 200 else f"{shown.encode()[:180].decode(errors='ignore')}.tar"
