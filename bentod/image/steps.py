"""What BuildKit says of a build, as lines for a person: each step with its number, what it prints, how long it took."""

from __future__ import annotations

from dataclasses import dataclass, field

from bentod.image.junk import printable
from bentod.image.trace import Output, Status, Transfer, Vertex

_MOST = 10_000
_LONGEST_LINE = 4000
_LARGE = 32 * 1024 * 1024
_QUARTERS = 4


@dataclass
class _Step:
    number: int
    name: str
    started: bool = False
    ended: bool = False
    unfinished: bytes = b""
    quarters: dict[str, int] = field(default_factory=dict)


class Steps:
    """The steps of one build as far as they are known."""

    def __init__(self) -> None:
        self._steps: dict[str, _Step] = {}

    def told(self, status: Status) -> list[str]:
        """The lines that a message gives."""
        lines = [line for vertex in status.vertexes for line in self._begun(vertex)]
        lines += [line for output in status.outputs for line in self._printed(output)]
        lines += [line for transfer in status.transfers for line in self._moved(transfer)]
        lines += [line for vertex in status.vertexes for line in self._ended(vertex)]
        return lines + [f"warning: {printable(text, _LONGEST_LINE)}" for text in status.warnings if text]

    def _begun(self, vertex: Vertex) -> list[str]:
        step = self._steps.get(vertex.digest)
        if step is None:
            if len(self._steps) >= _MOST:
                return []
            step = self._steps[vertex.digest] = _Step(len(self._steps) + 1, printable(vertex.name))
        if step.started or not (vertex.started_s or vertex.cached):
            return []
        step.started = True
        return [f"#{step.number} {step.name}"]

    def _printed(self, output: Output) -> list[str]:
        step = self._steps.get(output.vertex)
        if step is None:
            return []
        *lines, rest = (step.unfinished + output.data).split(b"\n")
        step.unfinished = rest[-_LONGEST_LINE:]
        return [_said(step, line) for line in lines]

    def _moved(self, transfer: Transfer) -> list[str]:
        """A large transfer is told of by quarters."""
        step = self._steps.get(transfer.vertex)
        if step is None or transfer.total < _LARGE or (len(step.quarters) >= _MOST):
            return []
        quarter = min(_QUARTERS, transfer.current * _QUARTERS // transfer.total)
        if quarter <= step.quarters.get(transfer.name, 0):
            return []
        step.quarters[transfer.name] = quarter
        name, percent = printable(transfer.name, 60), 100 * quarter // _QUARTERS
        return [f"#{step.number} {name}: {percent} % of {transfer.total / 1e6:,.0f} MB"]

    def _ended(self, vertex: Vertex) -> list[str]:
        step = self._steps.get(vertex.digest)
        if step is None or step.ended or not (vertex.completed_s or vertex.error):
            return []
        step.ended = True
        lines = [_said(step, step.unfinished)] if step.unfinished else []
        step.unfinished = b""
        if vertex.error:
            reason = printable(vertex.error, _LONGEST_LINE)
            return [*lines, f"#{step.number} failed: {reason}"]
        if vertex.cached:
            return [*lines, f"#{step.number} cached"]
        return [*lines, f"#{step.number} done in {max(0.0, vertex.completed_s - vertex.started_s):.1f} s"]


def _said(step: _Step, line: bytes) -> str:
    text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
    return f"#{step.number} {printable(text, _LONGEST_LINE)}".rstrip()
