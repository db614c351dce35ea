"""Fetching from the outside: a child process does it, so that it can be ended and the daemon stays small."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bentod
from bentod.models.home import Home, ModelError
from bentod.models.orders import Limits, Order, Said, decode_said, encode_order
from bentod.models.progress import Listing, Progress
from bentod.models.revisions import pinned
from bentod.plan.models import Located, Missing, ModelPlan

_LONGEST_LINE = 64 << 20
_KEPT_OUTPUT = 4096
_PATIENCE_S = 5.0

Report = Callable[[Progress], None]
Child = asyncio.subprocess.Process


async def fetch(
    models: Sequence[ModelPlan],
    home: Home,
    environ: Mapping[str, str],
    report: Report,
    limits: Limits | None = None,
) -> dict[str, Located]:
    """Have all models lie on this host. Returns where, by their names in the spec.

    What is pinned and complete takes no network and no process; a branch or a tag is asked for each time. Raises
    ModelError, which names the model, what was tried and what to do. To cancel it ends the fetch at once; what has
    come is kept for the next one.
    """
    limits = limits or Limits()
    child = await _started(environ) if any(map(_asks, models)) else None  # it takes half a second to begin
    try:
        located, wanted = _sorted_out(models, await asyncio.to_thread(_places, models, home), report)
        if wanted:
            order = Order("fetch", tuple(wanted), str(home.root), limits, home.endpoint)
            child = child or await _started(environ)
            answers = await _Talk(child, report).hold(order)
            located |= {said.located.name: said.located for said in answers if said.located}
    finally:
        if child is not None:
            await _end(child)
    return {model.name: _there(model, located) for model in models}


def _asks(model: ModelPlan) -> bool:
    """Whether a hub must be asked what the model is now."""
    return model.kind == "hf" and not pinned(model)


def _places(models: Sequence[ModelPlan], home: Home) -> dict[str, Located | Missing]:
    from bentod.models.locate import locate  # while the child loads what it needs

    return locate(models, home)


def _sorted_out(
    models: Sequence[ModelPlan], places: Mapping[str, Located | Missing], report: Report
) -> tuple[dict[str, Located], list[ModelPlan]]:
    """Where the models are that need no fetch, and those that need one. Raises ModelError if one cannot be had."""
    located, wanted = {}, []
    for model in models:
        place = places[model.name]
        if isinstance(place, Missing) and not place.fetchable:
            raise ModelError(f"model `{model.name}`: {place.reason}")
        if isinstance(place, Missing) or _asks(model):
            wanted.append(model)
        else:
            located[model.name] = place
    for place in located.values():
        report(Progress(place.name, place.size, place.size, place.files, state="ready"))
    return located, wanted


def fetch_now(
    models: Sequence[ModelPlan], home: Home, environ: Mapping[str, str], report: Report, limits: Limits | None = None
) -> dict[str, Located]:
    """The same, for who has no event loop."""
    return asyncio.run(fetch(models, home, environ, report, limits))


async def listing(model: ModelPlan, home: Home, environ: Mapping[str, str], limits: Limits | None = None) -> Listing:
    """What fetching an `hf` model would fetch. Raises ModelError."""
    child = await _started(environ)
    try:
        order = Order("list", (model,), str(home.root), limits or Limits(), home.endpoint)
        answers = await _Talk(child, lambda _: None).hold(order)
    finally:
        await _end(child)
    for said in answers:
        if said.listing is not None:
            return said.listing
    raise _silent(model)


def listing_now(model: ModelPlan, home: Home, environ: Mapping[str, str], limits: Limits | None = None) -> Listing:
    """The same, for who has no event loop."""
    return asyncio.run(listing(model, home, environ, limits))


def _there(model: ModelPlan, located: Mapping[str, Located]) -> Located:
    if model.name not in located:
        raise _silent(model)
    return located[model.name]


def _silent(model: ModelPlan) -> ModelError:
    return ModelError(f"model `{model.name}`: the fetching process said nothing; this is a bug of bentod's")


async def _started(environ: Mapping[str, str]) -> Child:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bentod.models"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        env=_environment(environ),
    )


@dataclass(slots=True)
class _Talk:
    """The order to a child, and what comes back."""

    child: Child
    report: Report
    answers: list[Said] = field(default_factory=list)
    output: bytes = b""

    async def hold(self, order: Order) -> list[Said]:
        """What the child answers besides its progress. Raises ModelError for an error that it tells, or if it dies."""
        assert self.child.stdin is not None
        listening = asyncio.gather(self._listen(), self._keep_output())
        try:
            with contextlib.suppress(OSError):
                self.child.stdin.write(encode_order(order))
                await self.child.stdin.drain()
            await listening
        finally:
            listening.cancel()
        code = await self.child.wait()
        error = next((said.error for said in self.answers if said.error), "")
        if not error and code:
            error = self._died(order, code)
        if error:
            raise ModelError(error)
        return self.answers

    async def _listen(self) -> None:
        assert self.child.stdout is not None
        async for line in self.child.stdout:
            try:
                said = decode_said(line)
            except ValueError:  # something that a library printed
                self.output = (self.output + line)[-_KEPT_OUTPUT:]
                continue
            if said.progress is not None:
                self.report(said.progress)
            else:
                self.answers.append(said)

    async def _keep_output(self) -> None:
        assert self.child.stderr is not None
        while data := await self.child.stderr.read(65536):
            self.output = (self.output + data)[-_KEPT_OUTPUT:]

    def _died(self, order: Order, code: int) -> str:
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        lines = self.output.decode(errors="replace").strip().splitlines()
        last = f"; its last words: {lines[-1][:300]}" if lines else ""
        names = ", ".join(f"`{model.name}` ({model.uri})" for model in order.models)
        return f"models {names}: the process that fetches {how}{last}; what has come is kept, so try again"


async def _end(child: Child) -> None:
    """End the child, if it has not ended."""
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), _PATIENCE_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The child loads the same bentod. It speaks JSON, so nothing else may speak; nor is anybody asked, unless somebody
    wants that, what else runs here."""
    folder = str(Path(bentod.__file__).parent.parent)
    paths = [folder, *filter(None, [environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return {"HF_HUB_DISABLE_TELEMETRY": "1", **environ, **own}
