"""How long counts of recordings are kept."""

from balancer.core.recordings import MetaFilter, Query
from balancer.storage.postgresql.recording_counts import RecordingCounts

COURSE = Query(meta=(MetaFilter("course", "a"),), offset=20, limit=10)


def test_a_count_is_for_all_pages_of_a_query_and_one_version() -> None:
    counts = RecordingCounts(least=10)
    counts.keep(1, COURSE, "now", 35)
    assert counts.get(1, Query(meta=COURSE.meta, offset=0, limit=25), "now") == 35
    assert counts.get(1, COURSE, "later") is None
    counts.keep(1, COURSE, "later", 36)
    assert (counts.get(1, COURSE, "now"), counts.get(1, COURSE, "later")) == (None, 36)


def test_other_tenants_and_filters_have_other_counts() -> None:
    counts = RecordingCounts(least=10)
    counts.keep(1, COURSE, "now", 35)
    assert counts.get(2, COURSE, "now") is None
    assert counts.get(1, Query(meta=COURSE.meta, states=("deleted",), limit=10), "now") is None
    assert counts.get(1, Query(meeting_ids=("a",), limit=10), "now") is None


def test_counts_of_few_recordings_are_not_kept() -> None:
    counts = RecordingCounts(least=10)
    counts.keep(1, COURSE, "now", 9)
    assert (counts.get(1, COURSE, "now"), counts.has(1, COURSE)) == (None, False)
    counts.keep(1, COURSE, "now", 10)
    assert (counts.get(1, COURSE, "now"), counts.get(1, COURSE, "later")) == (10, None)
    # That many matched is kept beyond the version, until a count finds few.
    assert counts.has(1, COURSE)
    counts.keep(1, COURSE, "later", 9)
    assert not counts.has(1, COURSE)


def test_the_least_recently_used_count_is_dropped() -> None:
    counts = RecordingCounts(filters=2, least=1)
    first, second, third = (Query(meeting_ids=(each,), limit=1) for each in "abc")
    counts.keep(1, first, "now", 1)
    counts.keep(1, second, "now", 2)
    assert counts.get(1, first, "now") == 1
    counts.keep(1, third, "now", 3)
    assert [counts.get(1, each, "now") for each in (first, second, third)] == [1, None, 3]
