"""Adds up JUnit reports: ``python -m tools.count_tests FOLDER`` prints ``N passed, N failed, N skipped``.

Before that it prints why tests were skipped, a line for each reason.
"""

import sys
from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import parse


def count(folder: Path) -> Counter[str]:
    """Tests by outcome, over every report in ``folder``."""
    outcomes: Counter[str] = Counter(passed=0, failed=0, skipped=0)
    for case in _cases(folder):
        tags = {child.tag for child in case}
        failed = tags & {"failure", "error"}
        outcomes["failed" if failed else "skipped" if "skipped" in tags else "passed"] += 1
    return outcomes


def reasons(folder: Path) -> Counter[str]:
    """Number of skipped tests by the reason that each report gives."""
    return Counter(
        skipped.get("message", "no reason given") for case in _cases(folder) for skipped in case.iter("skipped")
    )


def _cases(folder: Path) -> list[Element]:
    return [case for report in sorted(folder.glob("*.xml")) for case in parse(report).iter("testcase")]


if __name__ == "__main__":
    reports = Path(sys.argv[1])
    for reason, number in reasons(reports).items():
        print(f"{reason} ({number} skipped)")
    print(", ".join(f"{number} {outcome}" for outcome, number in count(reports).items()))
