"""Print how many seconds here are as long as so many on the machine that limits are meant for.

    python tools/pace.py 60

A chapter may take a minute.  On a busy or slow machine the same chapter takes two, and nothing is wrong
with it; so the limit is stretched by what a fixed piece of plain Python takes here, and never shortened.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor

LOOP = 4_000_000
REFERENCE = 0.26  # seconds that the loop takes on the machine that limits are meant for


def loop():
    """Seconds of processor time for the fixed piece of Python."""
    start = time.process_time()
    total = 0
    for i in range(LOOP):
        total += i * i
    return time.process_time() - start


def stretched(limit, seconds):
    """`limit` for a machine on which the loop takes so many seconds."""
    return limit * max(1, seconds / REFERENCE)


if __name__ == "__main__":
    # two at a time, as the tests run; the middle of six, since one may meet a neighbour's peak
    with ProcessPoolExecutor(2) as pool:
        seconds = sorted(done.result() for done in [pool.submit(loop) for _ in range(6)])
    print(f"{stretched(float(sys.argv[1]), seconds[3]):.0f}")
