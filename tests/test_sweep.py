"""Sweeps: the answer is the same bit for bit whoever computes it, and survives what dies on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import bea
import bea_book
from sweep_tasks import deadly, diverging, measured_run, noted

xarray = pytest.importorskip("xarray", reason="xarray is not installed (make scale)")
sweep = partial(bea_book.sweep, progress=False)
GRID = {"beta": [0.0, 0.5, 0.9], "h": [0.01, 0.02]}


def begun(logfile):
    return Counter(int(line) for line in Path(logfile).read_text().split())


def bits(dataset):
    """Everything of a Dataset, to the last bit."""
    return {
        name: (v.dims, v.dtype, v.shape, v.values.tobytes())
        for name, v in dataset.variables.items()
    }


@pytest.fixture(scope="module")
def serial():
    return sweep(measured_run, GRID, repeats=3, seed=7)


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (make scale)")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


# --- what comes out -----------------------------------------------------------------------------


def test_results_are_labelled(serial):
    assert dict(serial.sizes) == {"beta": 3, "h": 2, "repeat": 3, "step": 6}
    assert serial.loss.dims == ("beta", "h", "repeat", "step")
    assert serial.norm.dtype == float and serial.steps.dtype.kind == "i"
    assert serial.attrs == {"function": "sweep_tasks.measured_run", "seed": "7"}
    child = np.random.SeedSequence(7).spawn(3)[2]
    alone = measured_run(0.9, 0.01, np.random.default_rng(child))
    np.testing.assert_array_equal(serial.loss.sel(beta=0.9, h=0.01, repeat=2), alone["loss"][1])


def test_numbers_arrays_words_and_no_repeats():
    def shape(kind, size):
        return np.full((2, 2), size) if kind == "square" else np.eye(2) * size

    found = sweep(shape, {"kind": ["square", "diagonal"], "size": range(1, 4)})
    assert found.result.dims == ("kind", "size", "result_0", "result_1")
    assert found.result.sel(kind="diagonal", size=3).values.tolist() == [[3, 0], [0, 3]]
    assert sweep(lambda: 4, {}).result.item() == 4
    assert sweep(lambda flag: flag, {"flag": [True, False]}).result.values.tolist() == [True, False]
    assert sweep(lambda rng: rng.normal(), {}, repeats=2).result.shape == (2,)


def test_repeats_are_the_same_at_all_settings_and_differ_from_each_other():
    found = sweep(lambda a, rng: rng.normal(), {"a": [1, 2]}, repeats=50).result
    assert (found.sel(a=1) == found.sel(a=2)).all() and len(np.unique(found)) == 50
    other = sweep(lambda a, rng: rng.normal(), {"a": [1]}, repeats=50, seed=1).result
    assert not np.intersect1d(found, other).size


@pytest.mark.parametrize("form", ["netcdf", "zarr"])
def test_a_dataset_is_saved_and_read_again(serial, form, tmp_path):
    pytest.importorskip(
        "netCDF4" if form == "netcdf" else "zarr", reason="not installed (make scale)"
    )
    if form == "netcdf":
        serial.to_netcdf(tmp_path / "found.nc", engine="netcdf4")
        again = xarray.load_dataset(tmp_path / "found.nc", engine="netcdf4")
    else:
        serial.to_zarr(tmp_path / "found.zarr", consolidated=False)
        again = xarray.open_zarr(tmp_path / "found.zarr", chunks=None, consolidated=False).load()
    xarray.testing.assert_identical(again, serial)


# --- whoever computes it --------------------------------------------------------------------------


def test_processes_give_the_same_bits(serial, pool):
    assert bits(sweep(measured_run, GRID, repeats=3, seed=7, executor=pool)) == bits(serial)


def test_threads_give_the_same_bits(serial):
    with ThreadPoolExecutor(4) as pool:
        assert bits(sweep(measured_run, GRID, repeats=3, seed=7, executor=pool)) == bits(serial)


def test_a_cluster_gives_the_same_bits(serial, client):
    executor = client.get_executor()
    assert bits(sweep(measured_run, GRID, repeats=3, seed=7, executor=executor)) == bits(serial)


def test_another_seed_gives_other_bits(serial):
    assert bits(sweep(measured_run, GRID, repeats=3, seed=8)) != bits(serial)


def test_a_progress_bar_counts_the_settings(capsys):
    bea_book.sweep(lambda a: a, {"a": [1, 2, 3]})
    assert "3/3" in capsys.readouterr().err


# --- what dies on the way ---------------------------------------------------------------------------


def test_a_killed_worker_of_a_cluster_costs_nothing_but_what_it_had_in_hand(client, tmp_path):
    logfile, folder = str(tmp_path / "log"), str(tmp_path / "kept")
    task = partial(deadly, logfile=logfile, folder=folder)
    before = set(client.scheduler_info()["workers"])
    found = sweep(task, {"a": range(12)}, repeats=2, executor=client.get_executor(), folder=folder)
    at_the_kill, count = json.loads(Path(logfile + ".killed").read_text()), begun(logfile)
    kept = set(at_the_kill["kept"])
    assert set(client.scheduler_info()["workers"]) != before
    assert set(count) == set(range(12)) and count[5] >= 3
    assert all(count[a] == 2 for a in range(12) if {2 * a, 2 * a + 1} <= kept)
    # begun again is the one that the worker had in hand, and at most what was not kept yet
    assert 25 <= sum(count.values()) <= 24 + at_the_kill["begun"] - len(kept)
    calm = sweep(partial(noted, logfile=str(tmp_path / "other")), {"a": range(12)}, repeats=2)
    assert bits(found) == bits(calm)


def test_a_killed_process_of_a_pool_leaves_what_is_finished(tmp_path):
    logfile, folder = str(tmp_path / "log"), str(tmp_path / "kept")
    ask = partial(
        sweep,
        partial(deadly, logfile=logfile, folder=folder),
        {"a": range(9)},
        repeats=1,
        folder=folder,
    )
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        with pytest.raises(BrokenProcessPool) as caught:
            ask(executor=pool)
    assert "This was at a = " in caught.value.__notes__[0]
    kept, lost = [int(p.stem) for p in Path(folder).glob("*.npz")], begun(logfile)
    assert len(kept) >= 4
    found, count = ask(), begun(logfile)
    assert all(count[a] == 1 for a in kept) and sum(count.values()) == 9 + sum(lost.values()) - len(
        kept
    )
    assert bits(found) == bits(
        sweep(partial(noted, logfile=str(tmp_path / "other")), {"a": range(9)}, repeats=1)
    )


def test_a_sweep_that_is_killed_again_and_again_computes_nothing_twice(tmp_path):
    """SIGKILL to the whole program whenever three more settings are finished: only what was under way then is begun again."""
    logfile, folder = str(tmp_path / "log"), tmp_path / "kept"
    script = (
        "import sys; from functools import partial; import bea_book; from sweep_tasks import noted\n"
        "task = partial(noted, logfile=sys.argv[1], pause=0.05)\n"
        "bea_book.sweep(task, {'a': range(8)}, repeats=1, folder=sys.argv[2], progress=False)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    for kills in (1, 2):
        command = [sys.executable, "-c", script, logfile, str(folder)]
        program = subprocess.Popen(command, env=environment)
        while program.poll() is None and len(list(folder.glob("*.npz"))) < 3 * kills:
            time.sleep(0.002)
        program.kill()
        assert program.wait() == -signal.SIGKILL
    kept = {int(p.stem) for p in folder.glob("*.npz")}
    assert 6 <= len(kept) < 8
    found = sweep(
        partial(noted, logfile=logfile, pause=0.05), {"a": range(8)}, repeats=1, folder=folder
    )
    count = begun(logfile)
    assert set(count) == set(range(8)) and sum(count.values()) <= 8 + 2
    assert bits(found) == bits(
        sweep(partial(noted, logfile=str(tmp_path / "other")), {"a": range(8)}, repeats=1)
    )
    again = begun(logfile)
    assert bits(
        sweep(
            partial(noted, logfile=logfile, pause=0.05), {"a": range(8)}, repeats=1, folder=folder
        )
    ) == bits(found)
    assert begun(logfile) == again


def test_a_result_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    """Dead between writing and naming: what stands there under its own name is whole, and the rest is done again."""
    replace = os.replace

    def dying(source, target):
        if target.name == "0000001.npz":
            raise KeyboardInterrupt
        replace(source, target)

    task = partial(noted, logfile=str(tmp_path / "log"))
    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        sweep(task, {"a": range(3)}, repeats=1, folder=tmp_path / "kept")
    monkeypatch.undo()
    left = sorted(p.name for p in (tmp_path / "kept").iterdir())
    assert (
        left[0] == "0000000.npz"
        and left[1].startswith("0000001.npz.")
        and left[2] == "question.json"
    )
    sweep(task, {"a": range(3)}, repeats=1, folder=tmp_path / "kept")
    assert begun(tmp_path / "log") == {0: 1, 1: 2, 2: 1}


def test_an_error_says_where_and_keeps_the_rest(tmp_path):
    def fails(a):
        if a == 3:
            raise bea.Divergence("far away", 4, np.zeros((4, 1)))
        return a

    with pytest.raises(bea.Divergence, match="far away") as caught:
        sweep(fails, {"a": range(5)}, folder=tmp_path / "kept")
    assert caught.value.__notes__ == ["This was at a = 3."]
    with ThreadPoolExecutor(1) as pool, pytest.raises(bea.Divergence):
        sweep(fails, {"a": range(5)}, folder=tmp_path / "kept", executor=pool)
    assert len(list((tmp_path / "kept").glob("*.npz"))) >= 3


def test_a_divergence_comes_through_another_process(pool):
    with pytest.raises(bea.Divergence, match="diverged at step") as caught:
        sweep(diverging, {"h": [1e200]}, executor=pool)
    assert caught.value.step == 2 and caught.value.path.shape == (2, 1)


# --- the same question, or another ------------------------------------------------------------------


def asked(factor=1, name="a", values=(1, 2), **options):
    def task(rng=None, **given):
        return factor * given[name]

    return sweep(task, {name: values}, **options)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"factor": 2}, "code"),
        ({"name": "b"}, "grid"),
        ({"values": (1, 3)}, "grid"),
        ({"values": (2, 1)}, "grid"),
        ({"values": (1,)}, "grid"),
        ({"repeats": 1}, "repeats"),
        ({"seed": 1}, "seed"),
    ],
)
def test_answers_to_another_question_are_refused(tmp_path, change, word):
    first = asked(folder=tmp_path / "kept")
    names = sorted(p.name for p in (tmp_path / "kept").iterdir())
    with pytest.raises(ValueError, match=f"another question, with another.* {word}"):
        asked(**change, folder=tmp_path / "kept")
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == names
    assert bits(asked(folder=tmp_path / "kept")) == bits(first)


def test_functions_are_told_apart_by_code_and_bound_values_not_by_comments():
    from bea_book.sweep import _Question

    def digest(source, **bound):
        names = {}
        exec(source, names)
        return _Question(partial(names["f"], **bound), {}, None, 0).described()["code"]

    plain = "def f(x=1):\n    return x + 2"
    assert digest(plain) == digest(
        "# a comment\n\n" + plain.replace("\n    ", "\n    # another\n    ")
    )
    assert digest(plain) != digest(plain.replace("+ 2", "+ 3"))
    assert digest(plain) != digest(plain.replace("+ 2", "- 2"))
    assert digest(plain) != digest(plain.replace("x=1", "x=2"))
    assert digest(plain) != digest(plain, x=np.zeros(2)) != digest(plain, x=np.array([0.0, 1.0]))
    assert digest(plain, x=object()) == digest(plain, x=object())
    # what a loss has computed and kept for later is no part of the question
    loss = bea.quadratic([1, 2])
    fresh = digest(plain, x=loss)
    loss.gradient([1.0, 1.0])
    assert digest(plain, x=loss) == fresh != digest(plain, x=bea.quadratic([1, 3]))


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ValueError, match="not empty|is a file"):
            sweep(lambda: 1, {}, folder=folder)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "question.json").write_text("{")
    with pytest.raises(ValueError, match="not what a sweep wrote"):
        sweep(lambda: 1, {}, folder=tmp_path)
    (tmp_path / "question.json").write_text(json.dumps([1]))
    with pytest.raises(ValueError, match="not what a sweep wrote"):
        sweep(lambda: 1, {}, folder=tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    asked(folder=tmp_path / "kept")
    path = tmp_path / "kept" / "0000001.npz"
    whole = path.read_bytes()
    for content in (b"", b"no such file", whole[:-30], np.zeros(3).tobytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="0000001.npz is damaged"):
            asked(folder=tmp_path / "kept")


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "options", "error", "word"),
    [
        ([1, 2], {}, TypeError, "mapping"),
        ({"a": 3}, {}, TypeError, "sequence"),
        ({"a": "words"}, {}, TypeError, "sequence"),
        ({"a": [1, "x"]}, {}, TypeError, "sequence"),
        ({"a": [[1], [2]]}, {}, TypeError, "sequence"),
        ({"a": [[1], [2, 3]]}, {}, TypeError, "sequence"),
        ({"a": [True, 2]}, {}, TypeError, "sequence"),
        ({"a": [None]}, {}, TypeError, "sequence"),
        ({"a": [1j]}, {}, TypeError, "sequence"),
        ({"a": [10**400]}, {}, TypeError, "sequence"),
        ({"a": {1: 2}}, {}, TypeError, "sequence"),
        ({"a": []}, {}, ValueError, "no values"),
        ({"a": [1, 1]}, {}, ValueError, "differ"),
        ({"a": [np.nan]}, {}, ValueError, "differ"),
        ({1: [1]}, {}, TypeError, "name"),
        ({"a b": [1]}, {}, TypeError, "name"),
        ({"rng": [1]}, {}, ValueError, "own"),
        ({"repeat": [1]}, {}, ValueError, "own"),
        ({"b": [1]}, {}, TypeError, "cannot be called with b"),
        ({"a": [1]}, {"repeats": 2}, TypeError, "cannot be called with a, rng"),
        ({"a": [1]}, {"repeats": 0}, ValueError, "repeats"),
        ({"a": [1]}, {"repeats": 1.5}, TypeError, "repeats"),
        ({"a": [1]}, {"repeats": True}, TypeError, "repeats"),
        ({"a": [1]}, {"seed": -1}, ValueError, "seed"),
        ({"a": [1]}, {"seed": None}, TypeError, "seed"),
        ({"a": [1]}, {"executor": 2}, TypeError, "Executor"),
        ({"a": [1]}, {"folder": 2}, TypeError, "path"),
        ({"a": [1]}, {"progress": 2}, TypeError, "progress"),
    ],
)
def test_questions_are_checked(grid, options, error, word):
    with pytest.raises(error, match=word):
        sweep(lambda a: a, grid, **options)


@pytest.mark.parametrize(
    ("function", "error", "word"),
    [
        (lambda a: None, TypeError, "real number"),
        (lambda a: "x", TypeError, "real number"),
        (lambda a: 1j, TypeError, "real number"),
        (lambda a: {1: 2}, TypeError, "name"),
        (lambda a: ("step", 1.0), ValueError, "axes"),
        (lambda a: (("x", "x"), np.eye(2)), ValueError, "axes"),
        (lambda a: np.zeros(a), ValueError, "same at all settings"),
        (lambda a: {f"r{a}": 1}, ValueError, "same at all settings"),
        (lambda a: {"a": 1}, ValueError, "'a', which the grid has"),
        (lambda a: ("a", [1, 2]), ValueError, "'a', which the grid has"),
    ],
)
def test_results_are_checked(function, error, word):
    with pytest.raises(error, match=word):
        sweep(function, {"a": [1, 2]})


def test_a_sweep_needs_a_function():
    with pytest.raises(TypeError, match="a function is needed"):
        sweep(3, {})


def test_without_xarray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"pip install bea-book\[scale\]"):
        sweep(abs, {})


def test_importing_the_library_brings_none_of_it():
    code = "import sys, bea; print(sorted({'xarray', 'dask', 'distributed', 'pandas', 'zarr'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
