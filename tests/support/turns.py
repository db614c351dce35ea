"""A plug-in of pytest that takes some of the tests: those that start no daemon, those whose daemons mind no others, or
the rest, which say how long things take."""

import pytest

TURNS = ("together", "beside", "alone")


def pytest_addoption(parser):
    parser.addoption(
        "--turn", choices=TURNS, help="only tests without daemons, those that may run beside others, or the rest"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    turn = config.getoption("turn")
    if turn is None:
        return
    turns = {item: _turn(item) for item in items}
    config.hook.pytest_deselected(items=[item for item in items if turns[item] != turn])
    items[:] = [item for item in items if turns[item] == turn]


def _turn(item):
    if item.get_closest_marker("e2e") is None:
        return "together"
    return "alone" if item.get_closest_marker("beside") is None else "beside"
