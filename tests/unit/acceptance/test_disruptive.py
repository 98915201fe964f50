"""Everything that users could notice is tagged @disruptive, so it does not run in production unasked."""

import ast
import re
from pathlib import Path

import pytest

ACCEPTANCE = Path(__file__).parents[3] / "acceptance"
#: Sentences whose steps change a node's state or bring a host down.
ACTS = re.compile(r"\b(?:is|are) (?:disabled|drained|restarted)\b|\bis enabled again\b")


def blocks(feature: str) -> list[str]:
    """Each scenario with its tags, and with the feature's tags and background before it."""
    common, *scenarios = re.split(r"(?=(?:^ *@\w+.*\n)*^ *Scenario)", feature, flags=re.MULTILINE)
    return [common + scenario for scenario in scenarios]


def tagged(block: str) -> bool:
    return "@disruptive" in block


@pytest.mark.parametrize("path", sorted((ACCEPTANCE / "features").glob("*.feature")), ids=lambda path: path.stem)
def test_scenarios_that_act_like_an_operator_are_tagged(path: Path) -> None:
    assert [block for block in blocks(path.read_text()) if ACTS.search(block) and not tagged(block)] == []


def test_the_sentences_are_recognised() -> None:
    """The patterns find every scenario of a feature that is known to act."""
    feature = (ACCEPTANCE / "features/disable.feature").read_text()
    assert all(ACTS.search(block) and tagged(block) for block in blocks(feature))
    assert len(blocks(feature)) == feature.count("Scenario:")


def test_steps_act_in_these_sentences_alone() -> None:
    """The pattern for sentences matches every step that changes a node or restarts a host."""
    acting = [
        decorator
        for path in (ACCEPTANCE / "steps").glob("*.py")
        for function in functions(path)
        if calls(function) & {"set_state", "restart_host"}
        for decorator in map(ast.unparse, function.decorator_list)
    ]
    assert acting
    assert [sentence for sentence in acting if not ACTS.search(sentence)] == []


@pytest.mark.parametrize("path", sorted((ACCEPTANCE / "infra").glob("test_*.py")), ids=lambda path: path.stem)
def test_checks_that_act_like_an_operator_are_tagged(path: Path) -> None:
    acting = [each for each in functions(path) if calls(each) & {"set_state", "restart_host"}]
    untagged = [each.name for each in acting if "pytest.mark.disruptive" not in map(ast.unparse, each.decorator_list)]
    assert untagged == []


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]


def calls(function: ast.FunctionDef) -> set[str]:
    """Names of the methods that a function calls."""
    called = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {each.attr for each in called if isinstance(each, ast.Attribute)}
