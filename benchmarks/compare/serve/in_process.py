"""The work without any server: `python in_process.py SECONDS`, told by the environment. Prints JSON.

For batches of one and of more: how many values a second, and how long a call takes. With 0 seconds: the right answer to
every value."""

import json
import random
import sys
import time

from given import WORKLOAD
from work import WORK, listed

SIZES = (1, 2, 4, 8, 16, 32, 64)


def measured(work, values, size, seconds):
    order = random.Random(size)
    took = []
    until = time.perf_counter() + seconds
    while not took or time.perf_counter() < until:
        picked = [order.choice(values) for _ in range(size)]
        begun = time.perf_counter()
        _ = work.one(picked[0]) if size == 1 else work.many(picked)
        took.append(time.perf_counter() - begun)
    ordered = sorted(took)
    p50, p99 = (ordered[len(ordered) * share // 100] * 1e3 for share in (50, 99))
    return {"rate": size * len(took) / sum(took), "p50": p50, "p99": p99}


def main():
    values, seconds = json.load(sys.stdin), float(sys.argv[1])
    work = WORK[WORKLOAD]()
    if not seconds:
        print(json.dumps([listed(work.one(value)) for value in values]))
        return
    work.one(values[0])
    print(json.dumps({size: measured(work, values, size, seconds / len(SIZES)) for size in SIZES}))


if __name__ == "__main__":
    main()
