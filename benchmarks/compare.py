"""bentod beside BentoML, Mosec, LitServe, MLServer and Ray Serve: `python benchmarks/compare.py [--quick]`.

Every server gets an environment of its own with the versions in `compare/requirements/`, does the same work, and is
measured with several sensible settings, of which the best counts. First each setting is looked at for a moment; then
come rounds in which every server has its turn, in shuffled order, one at a time. Only ratios within one session mean
something. Needs `wrk`. `docs/benchmarks/README.md` says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

from compare.environments import Environments, default_folder, versions
from compare.peers import PEERS
from compare.report import show, write
from compare.session import Plan, Session
from compare.workloads import WORKLOADS

QUICK = {"rounds": 1, "seconds": 1.0, "scout_seconds": 1.0, "finalists": 1}


def main() -> None:
    args = arguments()
    if not shutil.which("wrk"):
        sys.exit("wrk is needed: apt-get install wrk")
    signal.signal(signal.SIGTERM, interrupted)
    plan = Plan(args.rounds, args.seconds, args.scout_seconds, args.finalists, args.seed, args.settings or [])
    session = Session(plan, Environments(args.environments))
    peers = [PEERS[name] for name in args.peers]
    try:
        for name in args.only:
            workload = WORKLOADS[name]
            session.measure(
                workload, peers, [one for one in workload.loads if not args.loads or str(one) in args.loads]
            )
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        about = {"rounds": args.rounds, "seconds": args.seconds, "seed": args.seed, "cores": os.cpu_count()}
        for name in args.only:
            show(session.seen, name)
            if args.output:
                write(args.output, session.seen, name, session.failed, about | {"versions": versions(args.peers)})
        for name, why in session.failed.items():
            print(f"failed: {name}: {why}")


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="WORKLOAD")
    options.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER")
    options.add_argument("--loads", nargs="+", metavar="LOAD", help="connections, or a share of the capacity: 50%%")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4.0, help="one closed loop; open ones take three times it")
    options.add_argument("--scout-seconds", type=float, default=1.0, help="the same in the first look")
    options.add_argument("--finalists", type=int, default=2, help="settings of a peer kept for each load; 0: all")
    options.add_argument("--settings", nargs="+", metavar="SETTING", help="only these, as they are printed: '1w'")
    options.add_argument("--seed", type=int, default=1, help="of the order and of what is sent when")
    options.add_argument("--quick", action="store_true", help="one round, one second, one setting kept")
    options.add_argument("--environments", type=Path, default=default_folder(), help="where they are kept")
    options.add_argument("--output", type=Path, help="write JSON, plots and results.md into this folder")
    args = options.parse_args()
    if args.quick:
        vars(args).update(QUICK)
    return args


def interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
