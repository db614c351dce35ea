"""Callables of every style, each saying how many calls it got together. `hold` keeps a slot until a file appears."""

import asyncio
import time
from pathlib import Path

import numpy as np


def hold(gate):
    Path(gate, "begun").touch()
    while not Path(gate, "open").exists():
        time.sleep(0.002)


async def hold_async(gate):
    Path(gate, "begun").touch()
    while not Path(gate, "open").exists():
        await asyncio.sleep(0.002)


def item(token, by):
    return {"token": token, "by": by, "together": 1}


def columns(token, by):
    assert len(token) == len(by)
    return [{"token": one, "by": its, "together": len(token)} for one, its in zip(token, by, strict=True)]


def items(values):
    return tuple({**value, "together": len(values)} for value in values)


def rows(token, by):
    return {"token": token, "by": by, "together": len(token)}


async def item_async(token, by):
    await asyncio.sleep(0)
    return item(token, by)


async def columns_async(token, by):
    await asyncio.sleep(0)
    return columns(token, by)


async def items_async(values):
    await asyncio.sleep(0)
    return items(values)


async def rows_async(token, by):
    await asyncio.sleep(0)
    return rows(token, by)


class Model:
    """The same as methods."""

    def __init__(self, suffix=""):
        self.suffix = suffix

    def hold(self, gate):
        hold(gate)

    def item(self, token, by):
        return item(token, by)

    def columns(self, token, by):
        return columns(token, by)

    def items(self, values):
        return items(values)

    def rows(self, token, by):
        return rows(token, by)


def stacked(tensor):
    """Rows of the stacked tensor, doubled; the first number says how many came together."""
    assert isinstance(tensor, np.ndarray)
    answer = tensor * 2
    answer[:, 0] = len(tensor)
    return answer


def padded(tensors):
    """Tensors of any lengths, as a list."""
    assert all(isinstance(tensor, np.ndarray) for tensor in tensors)
    return [[len(tensors), float(tensor.sum())] for tensor in tensors]


def shifted(points, names, by):
    """Rows: a tensor, a list, and what all calls share."""
    assert isinstance(points, np.ndarray)
    return {"points": points + by, "names": [name.upper() for name in names], "together": len(points)}


def halves(points):
    """Rows in, rows out, as one array."""
    return points / 2


def pictures(image, name):
    """Pictures, and who sent them."""
    return [{"size": list(one.size), "name": its, "together": len(image)} for one, its in zip(image, name, strict=True)]


def turned(image):
    """Pictures in, pictures out."""
    return [one.transpose(2) for one in image]


def uploads(file, name):
    """Files, by their paths."""
    return [
        {"text": path.read_text(), "name": its, "together": len(file)} for path, its in zip(file, name, strict=True)
    ]


def contextual(token, context):
    """One context for each call."""
    for one, its in zip(token, context, strict=True):
        its.response.headers["x-token"] = f"{one} {its.headers['x-mine']}"
        if one % 2:
            its.response.status = 202
    return [len(token)] * len(token)


def rows_contextual(token, context):
    for its in context:
        its.response.headers["x-calls"] = str(len(context))
    return token
