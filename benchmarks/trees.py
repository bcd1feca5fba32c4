"""How fast the rooted trees are: explicit Euler's modified equation through order 9, beside the packages of `tests/tree_peers.py`.

    PYTHONPATH=tests python benchmarks/trees.py          (a few minutes; a package that is missing is named and left out)

BSeries and kauri come from PyPI; pybs, whose release there lacks its parts, from its repository (henriksu/pybs) on PYTHONPATH.  First
the results are compared, through order 7: a fast wrong answer is not measured.  Then each measurement is a process of its own, so that
nobody finds a cache filled, and rivals alternate; what counts is processor time after the imports.
"""

import argparse
import os
import statistics
import subprocess
import sys

import bea
from tree_peers import PEERS

COMPARED, ORDER, SLOW = 7, 9, {"kauri": 7}  # kauri's time grows faster: it is measured through order 7
ONE = """
import sys, time
from tree_peers import PEERS
import bea
name, order = sys.argv[1], int(sys.argv[2])
task = PEERS.get(name) or (lambda n: bea.tree_coefficients(bea.gradient_descent(), n))
try:
    task(1)  # its imports
except ImportError:
    sys.exit(3)
began = time.process_time()
task(order)
print(time.process_time() - began)
"""


def seconds(name, order):
    """Processor time of one fresh process, or None if the package is missing."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", ONE, name, str(order)], env=environment, capture_output=True, text=True)
    if done.returncode == 3:
        return None
    done.check_returncode()
    return float(done.stdout)


def main(rounds):
    ours = bea.tree_coefficients(bea.gradient_descent(), COMPARED)
    there = []
    for name, peer in PEERS.items():
        try:
            theirs = peer(COMPARED)
        except ImportError:
            print(f"{name} is not installed: left out")
            continue
        assert theirs.keys() == ours.keys() and all(abs(theirs[tree] - ours[tree]) < 1e-12 for tree in ours), name
        there.append(name)
        print(f"{name}: equal on {len(ours)} trees, through order {COMPARED}", flush=True)
    for order, names in ((ORDER, [n for n in there if n not in SLOW]), *((o, [n]) for n, o in SLOW.items() if n in there)):
        times = {name: [] for name in ("bea", *names)}
        for _ in range(rounds):
            for name, values in times.items():
                values.append(seconds(name, order))
        medians = {name: statistics.median(values) for name, values in times.items()}
        print(f"\nexplicit Euler through order {order}, {sum(len(bea.rooted_trees(n)) for n in range(1, order + 1))} trees")
        for name, value in medians.items():
            ratio = value / medians["bea"]
            verdict = "" if name == "bea" else f"   {'met' if ratio >= 10 else 'NOT MET'}, wanted at least 10"
            print(f"  {name:<10}{1e3 * value:10.0f} ms   {ratio:8.1f} x bea{verdict}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each rival runs; the median counts")
    main(parser.parse_args().rounds)
