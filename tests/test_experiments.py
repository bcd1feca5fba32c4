"""The studies in experiments/: the models' gradients, the equations against the engine, and results computed again."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import bea
from bea_book import Network, compare
from experiments import data
from experiments.studies import STUDIES

ROOT = Path(__file__).resolve().parent.parent
RESULTS = sorted((ROOT / "experiments" / "results").glob("*.json"))
SHAPES = {"tanh": (3, 64), "resnet": (3, 14, 14), "conv": (3, 40), "transformer": (2, 32)}


def needs_jax():
    return pytest.importorskip("jax", reason="JAX is not installed (make peers)")


def random_data(name):
    rng = np.random.default_rng(1)
    shape = SHAPES[name]
    if name == "transformer":
        return rng.integers(37, size=shape), rng.integers(37, size=shape)
    return rng.normal(size=shape), rng.integers(10, size=shape[0])


@pytest.mark.parametrize("name", SHAPES)
def test_gradients(name):
    """The gradient, through bea.from_jax, and the product that the equations use, against differences."""
    jax = needs_jax()
    from experiments.models import MODELS

    model, (x, y), rng = MODELS[name], random_data(name), np.random.default_rng(2)
    theta = model.start(0) + 0.05 * rng.normal(size=model.start(0).shape)
    loss = bea.from_jax(lambda t: model.loss(t, x, y), len(theta))
    v, s = rng.normal(size=len(theta)), 1e-5
    v /= np.linalg.norm(v)
    slope = (loss.value(theta + s * v) - loss.value(theta - s * v)) / (2 * s)
    assert slope == pytest.approx(loss.gradient(theta) @ v, rel=1e-5, abs=1e-8)
    product = (loss.gradient(theta + s * v) - loss.gradient(theta - s * v)) / (2 * s)
    derivative = jax.jit(lambda t, v: jax.jvp(jax.grad(lambda t: model.loss(t, x, y)), (t,), (v,))[1])
    # It runs once, so that what is compiled fastest takes least.
    along = derivative.lower(theta, v).compile(compiler_options={"xla_backend_optimization_level": 0})(theta, v)
    assert np.allclose(product, along, rtol=1e-4, atol=1e-6)


def test_tanh_network_is_the_books():
    """The same loss and gradient by the book's NumPy code, parameters in its order."""
    jax = needs_jax()
    from experiments.models import MODELS

    model = MODELS["tanh"]
    x, y = model.train(0)
    theta = model.start(0)
    loss = Network((64, 32, 10)).loss(x, y)

    def ordered(flat):
        p = {k: np.asarray(v) for k, v in model.unravel(flat).items()}
        return np.concatenate([p[k].ravel() for k in ("in", "in_bias", "out", "out_bias")])

    assert loss.value(ordered(theta)) == pytest.approx(float(model.loss(theta, x, y)), rel=1e-12)
    gradient = jax.grad(model.loss)(theta, x, y)
    assert np.allclose(loss.gradient(ordered(theta)), ordered(gradient), rtol=1e-9, atol=1e-14)


def test_equations_are_the_engines():
    """The step and the equation that keeps its memory, one and two terms, against bea's."""
    jax = needs_jax()
    from experiments.measure import Cell

    h, rng = 1e-3, np.random.default_rng(0)
    cell = Cell("tanh", 0, h, epsilon=1e-4)
    loss = bea.from_jax(cell.full, len(cell.start))
    adam = bea.adam(0.9, 0.999, 1e-4, epsilon_inside=False)
    z, n = cell.rest(), 7
    step = jax.jit(cell.step)
    for k in range(n):
        z = step(z, float(k), 0)
    assert np.allclose(z[0], bea.run(adam, loss, np.asarray(cell.start), h, n)[-1], rtol=1e-10, atol=1e-12)
    noisy = z[0], (z[1][0], z[1][1] + 1e-6 * rng.random(len(z[0])))
    state = np.concatenate([noisy[0], noisy[1][0], [0.9**n], noisy[1][1], [0.999**n]])
    keep = np.ones(len(state), bool)
    keep[[2 * len(z[0]), -1]] = False
    for order, field in ((1, cell.kept), (2, cell.kept_two)):
        theta, averages = field(noisy, np.float64(n * h), 0)
        engine = bea.modified_equation(adam, loss, order, memory="kept").field(h)(state, n * h)
        assert np.allclose(engine[keep], np.concatenate([theta, *averages]), rtol=1e-6, atol=1e-9)


def test_forgetful_equation_is_the_engines():
    """The theorem's equation with two terms, against the engine's for a full memory."""
    needs_jax()
    from experiments.measure import Cell

    cell = Cell("tanh", 0, 1e-3, beta=0.5, rho=0.8, epsilon=1e-2, inside=True)
    loss = bea.from_jax(cell.full, len(cell.start))
    engine = bea.modified_equation(bea.adam(0.5, 0.8, 1e-2), loss, 2).field(1e-3)(np.asarray(cell.start))
    assert np.allclose(engine, cell.forgotten(cell.start, 1e3, (), True), rtol=1e-9, atol=1e-12)


def test_seeds_share_no_example():
    needs_jax()
    from experiments.models import MODELS

    model = MODELS["tanh"]
    rows = [tuple(row) for seed in range(model.seeds) for row in np.round(model.train(seed)[0] * 16).astype(int)]
    repeated = len(rows) - len(set(rows))  # scikit-learn's digits hold a few images twice
    assert model.seeds == 10 and repeated <= 5
    with pytest.raises(ValueError, match="10 subsets"):
        model.train(10)


def test_data_that_are_not_there_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match="make experiments-data"):
        data.load("mnist")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_answer_the_declaration(path):
    """Each file of results has a row for every cell of its study, under the present declaration."""
    found = json.loads(path.read_text(encoding="utf-8"))
    study = STUDIES[path.stem]
    assert found["declaration"] == study.digest, "declare a new study instead of changing this one"
    assert [(r["case"], r["seed"]) for r in found["rows"]] == [(c, s) for c in study.cases for s in study.numbers]
    assert json.loads(json.dumps(asdict(study)))  # plain values only


def test_decay_rates_together_are_those_alone():
    """Runs with several decay rates in one cell, with mini-batches, against a cell for each."""
    needs_jax()
    from experiments.measure import Cell, passing

    pairs = [[0.0, 0.99], [0.9, 0.999]]
    together, at = passing(Cell("tanh-70", 20, 4e-3, batch=14), (0.8,), 5, (20,), pairs)
    for i, (beta, rho) in enumerate(pairs):
        alone, there = passing(Cell("tanh-70", 20, 4e-3, "adam", beta, rho, batch=14), (0.8,), 5, (20,))
        assert np.allclose(together[0, i], alone[0, 0], rtol=1e-9, atol=1e-12)
        assert np.allclose(at[0, i], there[0, 0], rtol=1e-9, atol=1e-12)


def test_what_is_established_and_what_is_null():
    """Holm's correction and the two one-sided tests, on numbers with known answers and on a control for each."""
    noise = np.random.default_rng(0).normal(size=(400, 20))
    established = compare.established({k: row for k, row in enumerate(noise)} | {"shifted": noise[0] + 5})
    assert established == {"shifted"}
    uncorrected = [k for k, row in enumerate(noise) if abs(row.mean()) > compare.interval(row)[1]]
    assert len(uncorrected) > 10  # one in twenty: what the correction removes
    small = noise[0] - noise[0].mean()
    assert compare.null(small, 1.0) and not compare.null(small + 0.9, 1.0) and not compare.null(small, 0.2)


def test_what_has_no_t_test_hides_no_other_change():
    """A run that diverged, wherever it stands; changes without any spread, zero or not; one seed."""
    clear = {"b": [5.0, 5.1, 4.9], "c": [3.0, 3.1, 2.9]}
    for place in range(3):
        rows = list(clear.items())
        rows.insert(place, ("a", [np.nan, 1.0, 2.0]))
        assert compare.established(dict(rows)) == {"b", "c"}
    same = {"up": [5.0, 5.0, 5.0], "down": [-5, -5, -5], "none": [0.0, 0.0, 0.0]}
    assert compare.results(same) == {"up": "rises", "down": "falls", "none": "null"}
    assert compare.established({"one seed": [5.0]}) == set()


def commit():
    """A number that changes with each commit; zero outside a repository."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return int(hashlib.sha256(found.stdout.encode()).hexdigest(), 16)


@pytest.fixture(scope="module")
def cells():
    """The cells of all studies whose data are here."""
    rows = []
    for path in RESULTS:
        found = json.loads(path.read_text(encoding="utf-8"))
        try:
            for name in found["data"]:
                data.load(name)
        except FileNotFoundError as problem:
            print(f"{path.stem} is not computed again: {problem}")
            continue
        rows += [(path.stem, row) for row in found["rows"]]
    return rows


def sample(cells, number):
    """Three of the cells, others for another number."""
    return [cells[k] for k in np.random.default_rng(number).choice(len(cells), 3, replace=False)]


@pytest.mark.parametrize("k", range(3))
def test_cell_computed_again(cells, k):
    """The first moment, level or pair of a cell, other cells for each commit; a changed number is noticed."""
    needs_jax()
    from experiments.run import difference, measured

    study, row = sample(cells, commit())[k]
    print(f"computed again: {study}, {row['case']}, seed {row['seed']}")
    new = measured(study, row["case"], row["seed"], stop=1)
    assert difference(study, row, new) < 0.01
    name = next(name for name in ("error", "change", "ratio", "value") if name in row)
    changed = {**row, name: (1.02 * np.array(row[name], dtype=float)).tolist()}
    assert difference(study, changed, new) > 0.01


def test_another_sample_for_each_commit(cells):
    """The samples of many numbers differ, and together they hold cells of all studies."""
    drawn = [tuple(f"{s}, {r['case']}, {r['seed']}" for s, r in sample(cells, number)) for number in range(400)]
    assert len(set(drawn)) > 390
    assert {cell.split(",")[0] for three in drawn for cell in three} == {study for study, _ in cells}


def test_interrupted_study_goes_on(monkeypatch, tmp_path):
    """Nothing is lost and nothing is measured twice; the file has a row for every cell."""
    needs_jax()
    from experiments import run

    study = replace(STUDIES["law"], cases={f"case {k}": {} for k in range(4)}, seeds=[3, 5])
    begun = []

    def measured(name, case, seed):
        begun.append((case, seed))
        if len(begun) == 4:
            raise KeyboardInterrupt
        return {"value": 10.0 * seed + int(case[-1]), "seconds": 1.0}

    monkeypatch.setattr(run, "measured", measured)
    monkeypatch.setattr(run, "git", lambda *words: "" if words[0] == "status" else "0" * 40)
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    with pytest.raises(KeyboardInterrupt):
        run.run(study, None, "cpu", tmp_path / "cells")
    assert not (tmp_path / "results").exists()
    found = json.loads(run.run(study, None, "cpu", tmp_path / "cells").read_text(encoding="utf-8"))
    again = run.run(study, None, "cpu", tmp_path / "cells").read_text(encoding="utf-8")
    assert json.loads(again)["rows"] == found["rows"]
    cells = [(case, seed) for case in study.cases for seed in study.numbers]
    assert sorted(begun) == sorted([*cells, begun[3]])  # the one that was interrupted is begun again
    assert [(r["case"], r["seed"], r["value"]) for r in found["rows"]] == [
        (c, s, 10.0 * s + int(c[-1])) for c, s in cells
    ]
    assert found["processor_seconds"] == 8


def test_check_without_the_device_says_so():
    """`make gpu-check` on a machine without a GPU ends with one clear line."""
    needs_jax()
    command = [sys.executable, "-m", "experiments", "--device", "cuda", "--check", "law"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert ended.returncode == 1 and "nothing was checked" in ended.stderr and "Traceback" not in ended.stderr


def test_page_shows_the_results():
    """The page of evidence is what the report makes of the committed files."""
    from experiments import report

    assert report.PAGE.read_text(encoding="utf-8") == report.page()


def test_figures_show_the_results(tmp_path):
    """The figures of the page are what is drawn of the committed files, to the last digits of their coordinates.

    Matplotlib names clips and markers by a hash of their coordinates, which depends on their last digits.
    """
    from experiments import figures

    def read(path):
        text = path.read_text(encoding="utf-8")
        names = list(dict.fromkeys(re.findall(r'id="([mp][0-9a-f]{10})"', text)))
        text = re.sub(r"\b[mp][0-9a-f]{10}\b", lambda found: f"name {names.index(found[0])}", text)
        return re.split(r"-?\d+\.\d+", text), np.array(re.findall(r"-?\d+\.\d+", text), float)

    figures.draw(tmp_path)
    for new in sorted(tmp_path.iterdir()):
        (old_text, old), (text, now) = read(figures.FOLDER / new.name), read(new)
        assert text == old_text and np.allclose(old, now, atol=1e-3), new.name
