"""The service that `with_bentoml.py` serves."""

from typing import Any

import bentoml
import numpy as np
from given import SETTING, SIZE, WINDOW_MS, WORKERS, WORKLOAD
from PIL.Image import Image as Picture
from work import WORK

BATCHED = {"batchable": True, "max_batch_size": SIZE, "max_latency_ms": int(WINDOW_MS) or 60000} if SIZE > 1 else {}
ASYNC = bool(SETTING.get("is_async"))


class Base:
    def __init__(self) -> None:
        self.work = WORK[WORKLOAD]()


class EchoOne(Base):
    @bentoml.api(route="/echo")
    def echo(self, x: list[float]) -> list[float]:
        return self.work.one(x)


class EchoOneAsync(Base):
    @bentoml.api(route="/echo")
    async def echo(self, x: list[float]) -> list[float]:
        return self.work.one(x)


class EchoMany(Base):
    @bentoml.api(route="/echo", **BATCHED)
    def echo(self, x: list[list[float]]) -> list[list[float]]:
        return self.work.many(x)


class EmbedOne(Base):
    @bentoml.api(route="/embed")
    def embed(self, x: str) -> np.ndarray:
        return self.work.one(x)


class EmbedMany(Base):
    @bentoml.api(route="/embed", **BATCHED)
    def embed(self, x: list[str]) -> np.ndarray:
        return self.work.many(x)


class IrisOne(Base):
    @bentoml.api(route="/iris")
    def iris(self, x: list[float]) -> np.ndarray:
        return self.work.one(x)


class IrisMany(Base):
    @bentoml.api(route="/iris", **BATCHED)
    def iris(self, x: list[list[float]]) -> np.ndarray:
        return self.work.many(x)


class ImageOne(Base):
    @bentoml.api(route="/image")
    def image(self, x: Picture, /) -> list[int]:
        return self.work.one(x)


CLASSES: dict[str, Any] = {kind.__name__: kind for kind in Base.__subclasses__()}
chosen = CLASSES[WORKLOAD.capitalize() + ("Many" if SIZE > 1 else "OneAsync" if ASYNC else "One")]
Service = bentoml.service(
    workers=WORKERS,
    threads=SETTING.get("threads", 1),
    traffic={"timeout": 60, "max_concurrency": 4096},
    logging={"access": {"enabled": False}},
)(chosen)
