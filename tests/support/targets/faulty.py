"""Callables that take many calls and misbehave as they are told. Each notes in `log` what it was called with."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path


def hold(gate):
    Path(gate, "begun").touch()
    while not Path(gate, "open").exists():
        time.sleep(0.002)


async def hold_async(gate):
    Path(gate, "begun").touch()
    while not Path(gate, "open").exists():
        await asyncio.sleep(0.002)


def poisoned(token, log):
    """One token that is below 0 spoils it for all."""
    _note(log[0], token)
    if min(token) < 0:
        raise ValueError(f"{min(token)} is poison")
    return token


async def poisoned_async(token, log):
    return poisoned(token, log)


def poisoned_items(values):
    return poisoned([value["token"] for value in values], [value["log"] for value in values])


def poisoned_rows(token, log):
    """What all calls share comes as it is."""
    return poisoned(token, [log])


def partly(token, log):
    """Exceptions in the place of answers, and answers that cannot be."""
    _note(log[0], token)
    return [ODD.get(one, one) for one in token]


ODD = {
    -1: ValueError("expected"),
    -2: KeyError("secret"),
    -3: "no number",
    -4: object(),
    -5: 10**400,
    -6: float("nan"),
    -7: SystemExit(3),
}


def partly_rows(token, log):
    _note(log, token)
    return {"token": [ValueError("expected") if one < 0 else one for one in token], "log": log}


def miscounted(token, kind, log):
    _note(log[0], token)
    return ANSWERS[kind[0]](token)


async def miscounted_async(token, kind, log):
    return miscounted(token, kind, log)


def miscounted_rows(token, kind, log):
    _note(log, token)
    return ANSWERS[kind](token)


class Strange:
    """Says that it has more than it has."""

    def __len__(self):
        return 3


ANSWERS = {
    "few": lambda token: token[1:],
    "many": lambda token: [*token, 1],
    "generator": lambda token: (one for one in token),
    "iterator": iter,
    "map": lambda token: map(int, token),
    "set": set,
    "none": lambda token: None,
    "dict": lambda token: dict.fromkeys(token, 1),
    "short dict": lambda token: {"token": token, "other": token[1:]},
    "str": lambda token: "x" * len(token),
    "bytes": lambda token: bytes(len(token)),
    "number": len,
    "strange": lambda token: Strange(),
    "nothing": lambda token: [],
    "once more": lambda token: [token],
}


def deadly(token, log):
    """Kills the worker if it is told so."""
    _note(log[0], token)
    for one in token:
        if one == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if one == "exit":
            os._exit(3)
    return token


def deadly_item(token, log):
    return deadly([token], [log])[0]


async def deadly_async(token, log):
    return deadly(token, log)


def slow(token, log):
    """Takes as long as the file `cost` says."""
    _note(log[0], token)
    time.sleep(float(Path(log[0]).with_name("cost").read_text()))
    return token


def noted(token, log):
    _note(log[0], token)
    return token


def _note(log, value):
    """One line, at once, so that lines of several processes do not mix."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, json.dumps(value).encode() + b"\n")
    os.close(descriptor)
