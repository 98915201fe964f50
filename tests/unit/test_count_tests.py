"""The closing line of bin/test."""

from pathlib import Path

from tools.count_tests import count

REPORT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><error/></testcase>
<testcase name="d"><skipped/></testcase><testcase name="e"><system-out>text</system-out></testcase>
</testsuite></testsuites>"""


def test_reports_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(REPORT)
    (tmp_path / "two.xml").write_text(REPORT)
    assert count(tmp_path) == {"passed": 4, "failed": 4, "skipped": 2}
