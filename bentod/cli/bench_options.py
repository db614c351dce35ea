"""The options of `bentod bench`, checked."""

from __future__ import annotations

import argparse
import math
import resource
from collections.abc import Callable
from dataclasses import dataclass

from bentod.cli.bench_arrivals import rates
from bentod.cli.call_input import UnusableInput
from bentod.spec.quantities import seconds

MOST_CONNECTIONS, _OTHER_FILES = 20_000, 64


@dataclass(frozen=True, slots=True)
class Options:
    """How to load. Without `rates` they are found."""

    rates: tuple[float, ...]
    duration_s: float
    warm_up_s: float
    timeout_s: float
    connections: int
    seed: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Those of them that say how to load."""
    parser.add_argument(
        "--rate",
        metavar="RATES",
        type=_rates,
        default=(),
        help="requests a second: `50,100,200`, or `10..1000`, which is 8 rates with equal ratios (`10..1000/5`: 5). "
        "Default: measures what the API can do, then offers 10 %% to 120 %% of that",
    )
    least = {"--duration": ("10s", 0.1), "--warm-up": ("2s", 0.0), "--timeout": ("30s", 0.001)}
    texts = ("how long each rate is measured", "how long it is offered before that", "after which a call is given up")
    for (option, (default, least_s)), text in zip(least.items(), texts, strict=True):
        kind = _duration(least_s)
        parser.add_argument(option, metavar="TIME", type=kind, default=default, help=f"{text} (default: {default})")
    parser.add_argument(
        "--connections", metavar="N", type=int, default=500, help="at most so many calls at a time (default: 500)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="of the random arrivals (default: 1)")


def options(args: argparse.Namespace) -> Options:
    """Raises UnusableInput."""
    if not 1 <= args.connections <= MOST_CONNECTIONS:
        raise UnusableInput(f"--connections: from 1 to {MOST_CONNECTIONS}")
    _allow_files(args.connections + _OTHER_FILES)
    return Options(args.rate, args.duration, args.warm_up, args.timeout, args.connections, args.seed)


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise UnusableInput(f"--connections: this process may open {hard} files, and would need {wanted}")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _rates(text: str) -> tuple[float, ...]:
    try:
        return rates(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _duration(least_s: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        found = 0.0 if text == "0" else seconds(text)
        if found is None or not least_s <= found <= 24 * 3600 or not math.isfinite(found):
            raise argparse.ArgumentTypeError(f"{text!r} is no duration from {least_s:g}s to 24h, such as 500ms or 10s")
        return found

    return read
