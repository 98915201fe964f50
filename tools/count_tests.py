"""Adds up JUnit reports: ``python -m tools.count_tests FOLDER`` prints ``N passed, N failed, N skipped``."""

import sys
from collections import Counter
from pathlib import Path

from defusedxml.ElementTree import parse


def count(folder: Path) -> Counter[str]:
    """Tests by outcome, over every report in ``folder``."""
    outcomes: Counter[str] = Counter(passed=0, failed=0, skipped=0)
    for report in sorted(folder.glob("*.xml")):
        for case in parse(report).iter("testcase"):
            tags = {child.tag for child in case}
            failed = tags & {"failure", "error"}
            outcomes["failed" if failed else "skipped" if "skipped" in tags else "passed"] += 1
    return outcomes


if __name__ == "__main__":
    print(", ".join(f"{number} {outcome}" for outcome, number in count(Path(sys.argv[1])).items()))
