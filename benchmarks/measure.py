"""How things are timed, and in which form the results are written down.

All times are *processor time* of a process with one thread: on a machine that others use, too, wall time says more about them than
about us.  Rivals alternate, and what is compared is the ratio within one round, of which the median counts; its quartiles say how much
noise there was.  A fixed loop of plain Python runs in every round as well: its time says how fast the machine was at that moment.
Before anything is timed the caller has compared the results (`agree`).
"""

import subprocess
import sys
import time
from statistics import median, quantiles

import numpy as np

SHORTEST = 0.1  # seconds: what takes less is repeated within a round
WARM = 8.0  # seconds that ours is used before it is timed, since it compiles only what has been used for a while
PATIENCE = 6.0  # seconds that one task may take altogether: slow rivals run in fewer rounds, at least once
LOOP = "a fixed loop of plain Python"


def fixed_loop():
    """The loop that is timed beside every row: 20,000 turns of floating-point arithmetic."""
    x = 0.5
    for _ in range(20_000):
        x = 3.7 * x * (1.0 - x)
    return x


def processor_seconds(task, repeats=1):
    """Processor time of one call; of several, after one more, which finds the caches full of what others left."""
    _ = repeats > 1 and task()
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


def compared(title, ours, seconds, *, agreement, targets=(), note="", missing=None):
    """The result of one comparison: for each rival the median time, and the paired ratio to ours with its quartiles.

    ``targets``: (name, "at least" or "at most", bound), on the ratio name / ours.
    """
    rows = []
    for name, values in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(values, seconds[ours])]
        low, middle, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        rows.append({"name": name, "seconds": median(values), "ratio": middle, "low": low, "high": high, "rounds": len(values)})  # fmt: skip
    found = {row["name"]: row["ratio"] for row in rows}
    wanted = [(name, sense, bound) for name, sense, bound in targets if name in found]
    return {
        "kind": "comparison", "title": title, "ours": ours, "agreement": agreement, "note": note, "rows": rows,
        "targets": [target(f"{name} / {ours}", found[name], sense, bound) for name, sense, bound in wanted], "missing": missing or {},
    }  # fmt: skip


def race(title, ours, makers, rounds, *, tolerance, targets=(), note="", part=lambda found: found):
    """Build the rivals, compare what they give with what ours gives once it is warm, then time them.

    ``makers``: {name: function that returns a task}; the first is ours.  What is not installed is named as missing.
    ``part`` takes from a result what is compared.
    """
    np.empty(2_000_000)  # once it is freed, malloc keeps the memory of temporary arrays, for ours and for theirs
    tasks, missing, words, wanted, first = {}, {}, [], None, time.process_time()
    for name, make in makers.items():
        try:
            task = make()
            found = part(np.asarray(task()))
        except ImportError as problem:
            missing[name] = str(problem)
            continue
        if name.startswith(ours):  # in one way or another
            first, warm = first if tasks else time.process_time() - first, time.process_time() + WARM
            while time.process_time() < warm:
                task()
            before, found = found, part(np.asarray(task()))
            agree("ours, when it is warm", before, found, tolerance)
        wanted = wanted if tasks else found
        words += [agree(name, wanted, found, tolerance)] if tasks else []
        tasks[name] = task
    note += f"  The library's first call, with the making of the problem, took {first:.2g} s."
    return compared(
        title, ours, rounds_of(tasks, rounds), agreement=", ".join(words), targets=targets, note=note, missing=missing
    )


def target(what, value, sense, bound):
    """What was wanted, and whether it was met."""
    met = value >= bound if sense == "at least" else value <= bound
    return {"what": what, "value": value, "sense": sense, "bound": bound, "met": bool(met)}


def growth(title, variable, points, *, fit_from, note=""):
    """The result of a series of measurements {x: seconds}, with the exponent of x fitted where it is at least ``fit_from``."""
    xs = [x for x in points if x >= fit_from]
    slope = float(np.polyfit(np.log(xs), np.log([points[x] for x in xs]), 1)[0])
    return {
        "kind": "growth", "title": title, "variable": variable, "points": [[x, s] for x, s in points.items()], "fit_from": fit_from, "exponent": slope, "note": note,
    }  # fmt: skip


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
    guarded = "import sys\ntry:\n" + "".join(f"    {line}\n" for line in code.strip().splitlines())
    guarded += "except ImportError as problem:\n    print(problem, file=sys.stderr)\n    sys.exit(3)\n"
    command = [sys.executable, "-W", "ignore", "-c", guarded, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    if done.returncode == 3:
        raise ImportError(done.stderr.strip())
    if done.returncode:
        raise RuntimeError(done.stderr)
    *results, seconds = map(float, done.stdout.split())
    return np.array(results), seconds


def processes(title, code, arguments, turns, targets, *, tolerance=1e-9, note="", unseen=0):
    """A comparison in which every measurement is a fresh process, so that nobody finds a cache filled in memory.

    ``turns``: {name: in how many rounds it takes part}; ours is "bea".  The first ``unseen`` rounds are not counted.
    """
    missing, agreement, seconds = {}, [], {}
    for turn in range(-unseen, max(turns.values())):
        for name in turns:
            if name in missing or turn >= turns[name]:
                continue
            try:
                found, took = fresh(code, name, *arguments)
            except ImportError as problem:
                missing[name] = str(problem)
                continue
            if name == "bea":
                ours = found
            else:
                agreement += [agree(name, ours, found, tolerance)][: turn == 0]
            if turn >= 0:
                seconds.setdefault(name, []).append(took)
        seconds.setdefault(LOOP, []).append(processor_seconds(fixed_loop, 10))
    seconds[LOOP] = seconds[LOOP][unseen:]
    said = ", ".join(agreement)
    return compared(title, "bea", seconds, agreement=said, note=note, targets=targets, missing=missing)
