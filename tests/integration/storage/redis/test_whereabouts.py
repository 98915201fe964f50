"""The copies of placements in Redis, written in any order."""

from collections.abc import Iterator

import pytest

from balancer.errors import StorageUnavailableError
from balancer.storage.redis import client as redis_client
from balancer.storage.redis.whereabouts import Location, Whereabouts

OLD, NEW = Location(5, 1, "sha-1"), Location(6, 2, "sha-2")


@pytest.fixture
def placements(redis_url: str) -> Iterator[Whereabouts]:
    with redis_client.connect(redis_url) as client:
        yield Whereabouts(client)


def test_a_location_is_found_only_by_its_tenant_and_meeting_id(placements: Whereabouts) -> None:
    placements.note(1, "course 1: a b", OLD)
    assert placements.find(1, "course 1: a b") == OLD
    assert placements.find(2, "course 1: a b") is None
    assert placements.find(1, "course 1") is None
    assert placements.find_all(1, ["x", "course 1: a b"]) == [None, OLD]
    assert placements.find_all(1, []) == []


def test_a_new_meeting_s_initial_listing_is_stored_with_its_location(placements: Whereabouts) -> None:
    placements.note(1, "course-1", OLD, "name=Course\n<response/>")
    assert placements.find(1, "course-1") == OLD
    assert placements.initial_listings(1, ["x", OLD.internal_meeting_id]) == {
        OLD.internal_meeting_id: "name=Course\n<response/>"
    }
    assert placements.initial_listings(2, [OLD.internal_meeting_id]) == {}
    assert placements.initial_listings(1, []) == {}


@pytest.mark.parametrize("places", [(OLD, NEW), (NEW, OLD)])
def test_the_later_row_stays(placements: Whereabouts, places: tuple[Location, Location]) -> None:
    for place in places:
        placements.note(1, "course-1", place)
    assert placements.find(1, "course-1") == NEW


def test_a_late_end_does_not_affect_the_next_meeting(placements: Whereabouts) -> None:
    placements.note(1, "course-1", NEW)
    placements.forget(1, "course-1", OLD.row)
    assert placements.find(1, "course-1") == NEW
    placements.forget(1, "course-1", NEW.row)
    assert placements.find(1, "course-1") is None


def test_a_meeting_that_is_taken_back_is_found_again(placements: Whereabouts) -> None:
    placements.note(1, "course-1", OLD)
    placements.forget(1, "course-1", OLD.row)
    placements.forget(1, "course-1", NEW.row)
    placements.note(1, "course-1", OLD)
    assert placements.find(1, "course-1") == OLD


def test_without_redis_the_error_is_ours() -> None:
    with redis_client.connect("unix:///nowhere.sock") as client:
        placements = Whereabouts(client)
        for act in (
            placements.check,
            lambda: placements.find(1, "x"),
            lambda: placements.note(1, "x", OLD),
            lambda: placements.forget(1, "x", 1),
        ):
            with pytest.raises(StorageUnavailableError, match="Redis"):
                act()
