"""The closing line of bin/test."""

from pathlib import Path

from tools.count_tests import count, reasons

REPORT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><error/></testcase>
<testcase name="d"><skipped message="no such kernel"/></testcase>
<testcase name="e"><system-out>text</system-out></testcase>
</testsuite></testsuites>"""


def test_reports_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(REPORT)
    (tmp_path / "two.xml").write_text(REPORT)
    assert count(tmp_path) == {"passed": 4, "failed": 4, "skipped": 2}


def test_the_reasons_for_skipping_are_distinguished(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(REPORT)
    (tmp_path / "two.xml").write_text(REPORT)
    (tmp_path / "three.xml").write_text(REPORT.replace(' message="no such kernel"', ""))
    assert reasons(tmp_path) == {"no such kernel": 2, "no reason given": 1}
