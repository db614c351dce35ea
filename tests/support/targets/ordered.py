"""Callables that note the order in which they were called, and how many of them ran at once."""

import asyncio
import json
import os
import time
from pathlib import Path
from uuid import uuid4


def hold(gate):
    _leave(gate)
    while not Path(gate, "open").exists():
        time.sleep(0.002)


async def hold_async(gate):
    _leave(gate)
    while not Path(gate, "open").exists():
        await asyncio.sleep(0.002)


def hold_columns(gate):
    for one in gate:
        _leave(one)
    while not Path(gate[0], "open").exists():
        time.sleep(0.002)
    return [len(gate)] * len(gate)


def noted(token, log):
    _note(log, token)
    time.sleep(0.002)
    return token


def columns(token, log):
    _note(log[0], token)
    time.sleep(0.002)
    return token


def work(seconds):
    time.sleep(seconds)
    return os.getpid()


def work_columns(token):
    time.sleep(0.002)
    return [{"token": one, "pid": os.getpid(), "together": len(token)} for one in token]


async def work_columns_async(token):
    await asyncio.sleep(0.002)
    return [{"token": one, "pid": os.getpid(), "together": len(token)} for one in token]


def short_columns(token):
    return [{"token": one, "pid": os.getpid(), "together": len(token)} for one in token]


def _leave(gate):
    Path(gate, f"begun-{uuid4().hex}").touch()


def _note(log, value):
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, json.dumps(value).encode() + b"\n")
    os.close(descriptor)
