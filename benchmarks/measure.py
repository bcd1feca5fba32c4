"""How things are timed, and in which form the results are written down.

All times are *processor time* of a process with one thread: on a machine that others use, too, wall time says more about them than
about us.  Rivals alternate, and what is compared is the ratio within one round, of which the median counts; the smallest and the largest
say how much noise there was.  A fixed loop of plain Python runs in every round as well: its time says how fast the machine was at
that moment.
Before anything is timed the caller has compared the results (`agree`).
"""

import subprocess
import sys
import time
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

SHORTEST = 0.1  # seconds: what takes less is repeated within a round
WARM = 8.0  # seconds that ours is used before it is timed, since it compiles only what has been used for a while
PATIENCE = 6.0  # seconds that one task may take altogether: slow rivals run in fewer rounds, at least once
ANEW = "bea, other hyper-parameters each time"
LOOP = "a fixed loop of plain Python"


def fixed_loop():
    """The loop that is timed beside every row: 20,000 turns of floating-point arithmetic."""
    x = 0.5
    for _ in range(20_000):
        x = 3.7 * x * (1.0 - x)
    return x


def processor_seconds(task, repeats=1):
    """Processor time of one call; of several, after one more, which finds the caches full of what others left."""
    if repeats > 1:
        task()
    began = time.process_time()
    for _ in range(repeats):
        task()
    return (time.process_time() - began) / repeats


def rounds_of(tasks, rounds):
    """{name: [seconds of one call, for each round]} over rounds in which every task runs once; what is slow stops early."""
    tasks = {**tasks, LOOP: fixed_loop}
    repeats = {name: max(1, int(SHORTEST / max(processor_seconds(task, 2), 1e-7))) for name, task in tasks.items()}
    seconds = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            if sum(seconds[name]) * repeats[name] < PATIENCE:
                seconds[name].append(processor_seconds(task, repeats[name]))
    return seconds


def fastest(forms):
    """Of a rival's forms, pairs (name, task), the task that had the shortest of three trials; its name goes to the page.

    The trials alternate, and each takes as long as a measurement.
    """
    forms = dict(forms)
    trials = rounds_of(forms, 3)
    name = min(forms, key=lambda name: min(trials[name]))
    forms[name].about = name
    return forms[name]


def compared(title, ours, seconds, *, agreement, targets=(), note="", missing=(), about=()):
    """The result of one comparison: for each rival all times and their median, and the paired ratio to ours with its range.

    ``targets``: (name, "at least" or "at most", bound), on the ratio name / ours.
    ``about``: {name: what the page says of it in brackets}.
    """
    rows = []
    for name, values in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(values, seconds[ours])]
        rows.append({"name": name, "label": f"{name} ({about[name]})" if name in about else name, "seconds": median(values), "ratio": median(ratios),
                     "low": min(ratios), "high": max(ratios), "rounds": len(values), "times": values})  # fmt: skip
    found = {row["name"]: row["ratio"] for row in rows}
    return {
        "kind": "comparison", "title": title, "ours": ours, "agreement": agreement, "note": note, "rows": rows, "missing": dict(missing),
        "targets": [target(f"{name} / {ours}", found[name], sense, bound) for name, sense, bound in targets if name in found],
    }  # fmt: skip


def race(title, ours, makers, rounds, *, tolerance, targets=(), note="", part=lambda found: found):
    """Build the rivals, compare what they give with what ours gives once it is warm, then time them.

    ``makers``: {name: function that returns a task}; the first is ours.  What is not installed is named as missing.
    What a task has as ``about`` stands beside its name on the page; beside ours, the time of the first call.
    ``part`` takes from a result what is compared.
    """
    np.empty(2_000_000)  # once it is freed, malloc keeps the memory of temporary arrays, for ours and for theirs
    tasks, found, missing, about, words = {}, {}, {}, {}, []
    for name, make in makers.items():
        began = time.process_time()
        try:
            task = make()
            found[name] = np.array(part(np.asarray(task())))  # a copy, since a part would keep the whole
        except ImportError as problem:
            missing[name] = str(problem)
            continue
        about |= {name: task.about} if hasattr(task, "about") else {}
        if name.startswith(ours):  # in one way or another
            about[name] = f"first call: {time.process_time() - began:.2g} s"
            warm = time.process_time() + WARM
            while time.process_time() < warm:
                task()
            agree("ours, when it is warm", found[name], part(np.asarray(task())), tolerance)
        words += [agree(name, found[ours], found[name], tolerance)] if tasks else []
        tasks[name] = task
    return compared(title, ours, rounds_of(tasks, rounds), agreement=", ".join(words), targets=targets, note=note,
                    missing=missing, about=about)  # fmt: skip


def target(what, value, sense, bound):
    """What was wanted, and whether it was met."""
    met = value >= bound if sense == "at least" else value <= bound
    return {"what": what, "value": value, "sense": sense, "bound": bound, "met": bool(met)}


def facts(title, rows, *, targets=(), note=""):
    """The result of what is no comparison: rows (what, value, unit)."""
    return {"kind": "facts", "title": title, "rows": [list(r) for r in rows], "targets": list(targets), "note": note}


def agree(what, ours, theirs, tolerance):
    """The greatest difference, relative to the greatest value, in words; AssertionError if it is larger than ``tolerance``."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    assert ours.shape == theirs.shape, f"{what}: shapes {ours.shape} and {theirs.shape}"
    difference = float(abs(ours - theirs).max() / abs(ours).max())
    assert difference <= tolerance, f"{what}: results differ by {difference:.1e}, more than {tolerance:.0e}"
    return f"{what} to {difference:.0e}" if difference else f"{what} exactly"


def fresh(code, *arguments, limit=900):
    """(numbers, processor seconds) of ``code`` in a process of its own, which prints its results and, last, its time.

    Raises ImportError if it cannot import something.
    """
    command = [sys.executable, "-W", "ignore", "-c", "import sys\n" + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    if done.returncode:
        last = done.stderr.splitlines()[-1]
        raise (ImportError if last.startswith(("ImportError", "ModuleNotFoundError")) else RuntimeError)(done.stderr)
    *results, seconds = map(float, done.stdout.split())
    return np.array(results), seconds


# Prints the last point of a path and the seconds from the loss to the path; after a name may come a form in brackets, then a cache.
COLD = """
import importlib, os, time
name, section, number, folder = sys.argv[1:]
os.environ["XDG_CACHE_HOME"] = folder + str(time.time())  # where heyoka keeps compiled code
maker, _, form = name.partition(" (")
form, _, cache = form.partition(")")
if cache:
    os.environ.update(JAX_COMPILATION_CACHE_DIR=folder, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0")
module = importlib.import_module(section)
[importlib.import_module(package) for package in ("diffrax", "heyoka", "jax", "numba", "optax") if package in maker.lower()]
options = {"choose": lambda forms: dict(forms)[form]} if form else {}
began = time.process_time()
path = module.MAKERS[maker](*module.COLD_START(int(number)), **options)()
print(*path[-1].ravel(), time.process_time() - began)
"""


def from_cold(title, section, number, turns, rounds, **options):
    """A comparison of a section's makers, each in fresh processes; ``number`` says what the section gives them."""
    with TemporaryDirectory() as folder:
        return processes(title, COLD, (section, number, folder), turns, rounds, 1, **options)


def processes(title, code, arguments, turns, rounds, bound, *, tolerance=1e-9, note="", unseen=0):
    """A comparison in which every measurement is a fresh process, so that nobody finds a cache filled in memory.

    ``turns``: {name: in how many of the rounds it takes part at most}; the first is ours, and the ratios of the others are to be
    at least ``bound``.  ``unseen`` rounds come before those that count, and fill caches on disk.
    """
    ours, *others = turns
    missing, agreement, seconds = {}, {}, {}
    for turn in range(-unseen, min(rounds, max(turns.values()))):
        for name in (name for name in turns if turn < turns[name] and name not in missing):
            try:
                found, took = fresh(code, name, *arguments)
            except ImportError as problem:
                missing[name] = str(problem)
                continue
            if name == ours:
                wanted = found
            else:
                agreement[name] = agree(name, wanted, found, tolerance)
            seconds.setdefault(name, []).append(took)
        seconds.setdefault(LOOP, []).append(processor_seconds(fixed_loop, 10))
    return compared(title, ours, {name: values[unseen:] for name, values in seconds.items()}, note=note,
                    agreement=", ".join(agreement.values()), missing=missing, targets=[(name, "at least", bound) for name in others])  # fmt: skip
