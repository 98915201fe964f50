"""The importer's pauses between attempts."""

from balancer.importing.importer import retry_delay


def test_retries_come_later_and_later_up_to_an_hour() -> None:
    assert [retry_delay(attempts, 10) for attempts in (1, 2, 3, 9, 10, 1000)] == [10, 20, 40, 2560, 3600, 3600]
