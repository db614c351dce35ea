"""A plug-in of pytest that takes some of the tests: those that may run beside others, or those that start daemons."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--turn", choices=("together", "alone"), help="only tests that may run beside others, or the rest")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    turn = config.getoption("turn")
    if turn is None:
        return
    turns = {item: "together" if item.get_closest_marker("e2e") is None else "alone" for item in items}
    config.hook.pytest_deselected(items=[item for item in items if turns[item] != turn])
    items[:] = [item for item in items if turns[item] == turn]
