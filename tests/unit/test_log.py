"""What the log holds, and what it never holds."""

import json
import logging

import pytest

from balancer import log

LINK = "https://bbb1/bigbluebutton/api/join?fullName=Ann&password=open-sesame&checksum=0123abcd&userID=1"


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    log.configure("info", "json")
    return capsys


def read(lines: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines.readouterr().err.splitlines()]


def test_a_line_is_an_object_with_time_level_module_and_event(lines: pytest.CaptureFixture[str]) -> None:
    log.get("balancer.web").info("meeting placed", node="bbb1", scores={"bbb1": 1.5})
    (entry,) = read(lines)
    assert str(entry.pop("time")).endswith("Z")
    assert entry == {
        "event": "meeting placed",
        "level": "info",
        "module": "balancer.web",
        "node": "bbb1",
        "scores": {"bbb1": 1.5},
    }


def test_less_severe_lines_are_left_out(lines: pytest.CaptureFixture[str]) -> None:
    log.get("x").debug("noise")
    assert read(lines) == []


def test_signatures_and_passwords_are_blanked_wherever_they_occur(lines: pytest.CaptureFixture[str]) -> None:
    logger = log.get("x")
    logger.info("redirected", url=LINK)
    try:
        raise ValueError(LINK)
    except ValueError:
        logger.exception("failed")
    logging.getLogger("library").warning("cannot read %s", LINK)
    entries = read(lines)
    assert len(entries) == 3
    for entry in entries:
        assert "fullName=Ann" in json.dumps(entry)
        assert "open-sesame" not in json.dumps(entry)
        assert "0123abcd" not in json.dumps(entry)


def test_a_library_that_writes_its_own_log_blanks_them_too(lines: pytest.CaptureFixture[str]) -> None:
    logger = logging.Logger("gunicorn.error")
    logger.addHandler(logging.StreamHandler())
    logger.addFilter(log.HidesSensitive())
    logger.warning("Invalid request: %s", LINK)
    try:
        raise ValueError(LINK)
    except ValueError:
        logger.exception("Error handling request %s", LINK)
    text = lines.readouterr().err
    assert text.count("fullName=Ann") == 3
    assert "open-sesame" not in text
    assert "0123abcd" not in text


def test_the_text_form_blanks_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "text")
    try:
        raise ValueError(LINK)
    except ValueError:
        log.get("x").exception("failed")
    text = capsys.readouterr().err
    assert "fullName=Ann" in text
    assert "open-sesame" not in text


def test_configuring_twice_doubles_no_line(lines: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    logging.getLogger("library").warning("once")
    assert [entry["event"] for entry in read(lines)] == ["once"]


def test_a_logger_that_was_used_before_follows_new_settings(capsys: pytest.CaptureFixture[str]) -> None:
    logger = log.get("x")
    log.configure("error", "text")
    logger.info("too little")
    log.configure("info", "json")
    logger.info("enough")
    assert [entry["event"] for entry in read(capsys)] == ["enough"]


def test_the_text_form_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "text")
    log.get("x").info("hello", node="bbb1")
    line = capsys.readouterr().err
    assert "hello" in line
    assert "node=bbb1" in line
