"""The benchmarks' page says what was measured, and what it is made with is right.  Nothing is timed here."""

import copy
import importlib
import inspect
import json
import math
import re
from pathlib import Path

import pytest

import fields
import measure
import page

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))


def test_page_is_what_the_results_give():
    text = (ROOT / "chapters" / "benchmarks.md").read_text(encoding="utf-8")
    assert text == page.page(COMMITTED)


def problems_of(results):
    """What results would mislead about."""
    measured = {name.split("/")[0] for name in results}
    problems = [f"no section {name}" for name in page.SECTIONS if name not in measured]
    for name, row in results.items():
        if not re.match(r"\d{4}-\d\d-\d\d, .+, \d+ of \d+ cores, \w+, Python 3\.\d+\.\d+, \w", row["where"]):
            problems.append(f"{name} says not where it was measured")
        result = row["result"]
        title = result["title"]
        if result["kind"] == "comparison":
            if [line["ratio"] for line in result["rows"] if line["name"] == result["ours"]] != [1.0]:
                problems.append(f"{title}: ours is not 1")
            if not result["agreement"]:
                problems.append(f"{title}: results were not compared")
            if measure.LOOP not in [line["name"] for line in result["rows"]]:
                problems.append(f"{title}: the fixed loop is missing")
            for line in result["rows"]:
                if not line["low"] <= line["ratio"] <= line["high"] or line["seconds"] <= 0:
                    problems.append(f"{title}: {line['name']} has impossible numbers")
                wanted = any(wanted["what"].startswith(line["name"] + " / ") for wanted in result["targets"])
                if not (wanted or line["name"] == measure.LOOP or line["name"].startswith(("bea", "diffrax"))):
                    problems.append(f"{title}: nothing was wanted of {line['name']}")
        if result["kind"] == "growth" and not math.isfinite(result["exponent"]):
            problems.append(f"{title}: no exponent")
        for wanted in result.get("targets", []):
            if wanted != measure.target(wanted["what"], wanted["value"], wanted["sense"], wanted["bound"]):
                problems.append(f"{title}: {wanted['what']} is judged wrongly")
    return problems


def test_results_are_whole():
    assert problems_of(COMMITTED) == []


def a_comparison(results):
    return results["runs/polynomial-1"]["result"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda r: [r.pop(n) for n in list(r) if n.startswith("flows")], "no section flows"),
        (lambda r: r["flows/warm-2"].update(where="on a fast machine"), "flows/warm-2 says not where it was measured"),
        (lambda r: a_comparison(r).update(agreement=""), "one configuration, 2,000 steps: results were not compared"),
        (lambda r: a_comparison(r)["rows"].pop(), "the fixed loop is missing"),
        (lambda r: a_comparison(r)["targets"][0].update(value=0.5, met=True, bound=1), "is judged wrongly"),
        (lambda r: a_comparison(r).update(targets=[]), "nothing was wanted of PyTorch, compiled"),
        (lambda r: a_comparison(r)["rows"][1].update(low=1e9), "has impossible numbers"),
    ],
)
def test_spoilt_results_are_caught(spoil, said):
    spoilt = copy.deepcopy(COMMITTED)
    spoil(spoilt)
    assert any(said in problem for problem in problems_of(spoilt))


def test_page_names_every_loss():
    """Every ratio below what was wanted is in the first table, with its factor; the control is a page without losses."""
    found = [row["result"] for row in COMMITTED.values()]
    missed = [t for one in found for t in one.get("targets", []) + page.renewed(one) if not t["met"]]
    losses, met = page.page(COMMITTED).split("## Targets that are met")
    outcomes = [page.outcome(target) for target in missed]
    assert (
        losses.count("| **NOT MET**, ") == sum(x.startswith("**NOT MET**") for x in outcomes) and "NOT MET" not in met
    )
    assert "met" not in outcomes
    behind = [row["ratio"] for name in COMMITTED.values() if name["result"]["kind"] == "comparison"
              for row in name["result"]["rows"] if row["ratio"] < 1 and not row["name"].startswith((name["result"]["ours"], "bea", measure.LOOP))]  # fmt: skip
    first = losses.split("## Other missed targets")[0]
    renewed = [target for one in found for target in page.renewed(one) if target["value"] < 1]
    assert renewed and first.count("× |") == len(behind) + len(renewed), (
        "a rival that is faster is in the first table, whatever was wanted"
    )
    lost = copy.deepcopy(COMMITTED)
    a_comparison(lost)["targets"] = [measure.target("optax / bea", 0.5, "at least", 1)]
    assert "| optax / bea | at least 1 | 0.5 | **NOT MET**, 2× short |" in page.page(lost)


# --- what measures -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sense", "value", "said"),
    [
        ("at least", 0.25, "**NOT MET**, 2× short"),
        ("at least", 0.42, "draw"),
        ("at least", 0.59, "draw"),
        ("at least", 0.61, "met"),
        ("at most", 1.0, "**NOT MET**, 2× short"),
        ("at most", 0.59, "draw"),
        ("at most", 0.4, "met"),
    ],
)
def test_what_is_close_to_its_target_is_a_draw(sense, value, said):
    assert page.outcome(measure.target("a ratio", value, sense, 0.5)) == said


def test_a_wrong_rival_is_not_timed():
    assert measure.agree("a rival", [1.0, 2.0], [1.0, 2.0], 1e-9) == "a rival exactly"
    assert measure.agree("a rival", [1.0, 2.0], [1.0, 2.0 + 2e-10], 1e-9) == "a rival to 1e-10"
    with pytest.raises(AssertionError, match="a rival: results differ by 5.0e-02, more than 1e-09"):
        measure.agree("a rival", [1.0, 2.0], [1.0, 2.1], 1e-9)
    with pytest.raises(AssertionError, match="shapes"):
        measure.agree("a rival", [1.0, 2.0], [1.0], 1e-9)


def test_every_row_has_a_name_of_its_own_and_can_be_run_alone():
    for section in page.SECTIONS:
        rows = importlib.import_module(section).ROWS
        assert rows and all(callable(row) and re.fullmatch(r"[a-z0-9-]+", name) for name, row in rows.items())


def test_a_race_compares_times_and_names_who_is_missing(monkeypatch):
    monkeypatch.setattr(measure, "WARM", 0.0)

    def absent():
        raise ImportError("no such package")

    makers = {"ours": lambda: lambda: [1.0, 2.0], "theirs": lambda: lambda: [1.0, 2.0], "nobody's": absent}
    result = measure.race("race", "ours", makers, 2, tolerance=1e-9)
    assert result["agreement"] == "theirs exactly" and result["missing"] == {"nobody's": "no such package"}
    assert [row["name"] for row in result["rows"]] == ["ours", "theirs", measure.LOOP]
    makers["theirs"] = lambda: lambda: [1.0, 2.1]
    with pytest.raises(AssertionError, match="theirs: results differ"):
        measure.race("race", "ours", makers, 2, tolerance=1e-9)


def test_ratios_are_paired():
    """A machine that is three times slower in the second round changes no ratio."""
    result = measure.compared("race", "ours", {"ours": [1.0, 3.0, 1.0], "theirs": [2.0, 6.0]}, agreement="exactly",
                              targets=[("theirs", "at least", 2), ("theirs", "at most", 1.5)])  # fmt: skip
    assert [(row["ratio"], row["low"], row["high"], row["rounds"]) for row in result["rows"]] == [
        (1, 1, 1, 3),
        (2, 2, 2, 2),
    ]
    assert [wanted["met"] for wanted in result["targets"]] == [True, False]
    line = measure.compared("race", "ours", {"ours": [1.0, 1.0], "theirs": [2.0, 6.0]}, agreement="exactly")["rows"][1]
    assert (line["ratio"], line["low"], line["high"], line["times"]) == (4, 2, 6, [2.0, 6.0])


def test_the_fastest_form_is_timed_and_named(monkeypatch):
    """One bad trial decides nothing: of three the shortest counts."""
    trials = iter([0.1, 0.2, 0.9, 0.2, 0.1, 0.2, 0.1, 0.2])  # two that set the repeats, then three rounds of two forms
    monkeypatch.setattr(
        measure, "processor_seconds", lambda task, repeats=1: 1.0 if task is measure.fixed_loop else next(trials)
    )
    forms = {"quick": lambda: 1, "slow": lambda: 2}
    assert measure.fastest(iter(forms.items())) is forms["quick"] and forms["quick"].about == "quick"


def test_the_page_names_the_form_and_compares_with_new_hyper_parameters():
    result = measure.compared("race", "bea", {"bea": [1.0], "JAX": [2.0], measure.ANEW: [4.0], measure.LOOP: [1.0]},
                              agreement="JAX exactly", about={"JAX": "all at once"})  # fmt: skip
    assert "| JAX (all at once) | 2 s | 2 |" in page.shown(result)
    assert page.renewed(result) == [measure.target(f"JAX / {measure.ANEW}", 0.5, "at least", 1)]
    assert page.renewed(measure.facts("facts", [("what", 1.0, "s")])) == []


@pytest.mark.parametrize("order", [1, 2, 3])
def test_powers_as_products_change_nothing(order):
    """Formulas with products of square roots, and as SymPy prints powers, give the same numbers as the library."""
    equation, point = fields.adam(order), (0.9, 1.5)
    wanted = equation.field(0.1)(point)
    for products in (True, False):
        field = fields.formulas(equation, 0.1, math, products=products)
        assert field(*point) == pytest.approx(tuple(wanted), rel=1e-12)
    assert "**" in inspect.getsource(field)
    assert "**" not in inspect.getsource(fields.formulas(equation, 0.1, math))


def test_processes_count_rounds_and_not_those_before_them(monkeypatch):
    calls = []
    monkeypatch.setattr(measure, "fresh", lambda code, name: calls.append(name) or ([1.0], float(len(calls))))
    result = measure.processes("cold", "", (), {"bea": 2, "theirs": 2, "slow": 1}, 3, 1, unseen=1)
    assert calls == ["bea", "theirs", "slow", "bea", "theirs", "slow", "bea", "theirs"]
    assert [row["times"] for row in result["rows"][:3]] == [[4.0, 7.0], [5.0, 8.0], [6.0]]
    assert [wanted["what"] for wanted in result["targets"]] == ["theirs / bea", "slow / bea"]


def test_exponents_are_fitted_where_they_are_meant_to(monkeypatch):
    points = {n: 1e-3 + 2e-6 * n**1.5 if n < 100 else 2e-6 * n**1.5 for n in (1, 10, 100, 1000, 10_000)}
    monkeypatch.setattr(fields, "rounds_of", lambda tasks, rounds: {n: [points[n]] * rounds for n in tasks})
    for fit_from, exponent in ((100, pytest.approx(1.5)), (1, pytest.approx(1.1, abs=0.4))):
        assert fields.grown("time", "n", lambda n: None, points, fit_from, "", 3)["exponent"] == exponent


def test_slow_rivals_stop_early(monkeypatch):
    """Twenty milliseconds are allowed: what takes as long runs once, what is fast in every round."""
    monkeypatch.setattr(measure, "processor_seconds", lambda task, repeats=1: task())
    monkeypatch.setattr(measure, "PATIENCE", 0.02)
    assert measure.rounds_of({"slow": lambda: 0.5, "fast": lambda: 0.03 / 10}, 3)["slow"] == [0.5]
    monkeypatch.setattr(measure, "PATIENCE", 12.0)
    assert measure.rounds_of({"slow": lambda: 0.5}, 3)["slow"] == [0.5] * 3


def test_a_missing_rival_is_named():
    with pytest.raises(ImportError, match="no_such_rival"):
        measure.fresh("import no_such_rival\nprint(1, 2)")
    numbers, seconds = measure.fresh("print(1, 2, float(sys.argv[1]))", 0.5)
    assert numbers.tolist() == [1, 2] and seconds == 0.5


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.12345, "0.123"), (12.345, "12.3"), (1234.5, "1,234"), (99.96, "100")],
)
def test_numbers_read_well(value, text):
    assert page.number(value) == text


def test_durations_read_well():
    assert [page.duration(s) for s in (2.5, 0.0025, 2.5e-6)] == ["2.5 s", "2.5 ms", "2.5 µs"]
