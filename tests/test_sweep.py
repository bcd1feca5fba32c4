"""Sweeps: the same bits whoever computes them, errors within seconds, and a store that is never wrong."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial, wraps
from multiprocessing import get_context
from pathlib import Path
from threading import Lock

import numpy as np
import pytest

import bea
import bea_book
import sweep_tasks
from bea_book._stored import identity
from sweep_tasks import deadly, diverging, failing, large, measured_run, noted, scaled

xarray = pytest.importorskip("xarray", reason="xarray is not installed (make scale)")
sweep = partial(bea_book.sweep, progress=False)
GRID = {"beta": [0.0, 0.5, 0.9], "h": [0.01, 0.02]}


def begun(log):
    return Counter(int(line) for line in Path(log).read_text().split())


def bits(dataset):
    """Everything in a Dataset, to the last bit."""
    return {n: (v.dims, v.dtype, v.shape, v.values.tobytes()) for n, v in dataset.variables.items()}


def ran(folder, log="", count=30, pause=0.0, limit=0):
    """A program that sweeps, in a process of its own."""
    command = [sys.executable, sweep_tasks.__file__, *map(str, (folder, log, count, pause, limit))]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def ends_at(program, condition, number):
    """Send a signal as soon as a condition holds; return what the program wrote."""
    while program.poll() is None and not condition():
        time.sleep(0.01)
    program.send_signal(number)
    return program.communicate(timeout=60)[1]


@pytest.fixture(scope="module")
def serial():
    return sweep(measured_run, GRID, repeats=3, seed=7)


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


@contextmanager
def cluster(workers=2, allowed_failures=3):
    dask = pytest.importorskip("dask", reason="Dask is not installed (make scale)")
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (make scale)")
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    settings = {"distributed.scheduler.allowed-failures": allowed_failures}
    with dask.config.set(settings), distributed.LocalCluster(**options, silence_logs=50) as local:
        with distributed.Client(local) as client:
            yield client


@pytest.fixture(scope="module")
def client():
    with cluster() as client:
        yield client


# --- results ------------------------------------------------------------------------------------


def test_results_are_labelled(serial):
    assert dict(serial.sizes) == {"beta": 3, "h": 2, "repeat": 3, "step": 6}
    assert serial.loss.dims == ("beta", "h", "repeat", "step")
    assert serial.norm.dtype == float and serial.steps.dtype.kind == "i"
    assert serial.attrs == {"function": "sweep_tasks.measured_run", "seed": "7"}
    child = np.random.SeedSequence(7).spawn(3)[2]
    alone = measured_run(0.9, 0.01, np.random.default_rng(child))
    np.testing.assert_array_equal(serial.loss.sel(beta=0.9, h=0.01, repeat=2), alone["loss"][1])


def test_kinds_of_arguments_and_results():
    def shape(kind, size):
        return np.full((2, 2), size) if kind == "square" else np.eye(2) * size

    found = sweep(shape, {"kind": ["square", "diagonal"], "size": range(1, 4)})
    assert found.result.dims == ("kind", "size", "result_0", "result_1")
    assert found.result.dtype == float  # whole numbers at some points, at others not
    assert found.result.sel(kind="diagonal", size=3).values.tolist() == [[3, 0], [0, 3]]
    assert sweep(lambda: 4, {}).result.item() == 4
    assert sweep(lambda flag: flag, {"flag": [True, False]}).result.values.tolist() == [True, False]
    named = sweep(lambda a: (("x", "y"), np.eye(2)), {"a": np.array([1.0])}).result
    assert named.dims == ("a", "x", "y")


def test_repeats_share_their_random_numbers():
    found = sweep(lambda a, rng: rng.normal(), {"a": [1, 2]}, repeats=50).result
    assert (found.sel(a=1) == found.sel(a=2)).all() and len(np.unique(found)) == 50
    other = sweep(lambda a, rng: rng.normal(), {"a": [1]}, repeats=50, seed=1).result
    assert not np.intersect1d(found, other).size


@pytest.mark.parametrize("form", ["netcdf", "zarr"])
def test_dataset_round_trip(serial, form, tmp_path):
    package = "netCDF4" if form == "netcdf" else "zarr"
    pytest.importorskip(package, reason=f"{package} is not installed (make scale)")
    if form == "netcdf":
        serial.to_netcdf(tmp_path / "found.nc", engine="netcdf4")
        again = xarray.load_dataset(tmp_path / "found.nc", engine="netcdf4")
    else:
        serial.to_zarr(tmp_path / "found.zarr", consolidated=False)
        again = xarray.open_zarr(tmp_path / "found.zarr", chunks=None, consolidated=False).load()
    xarray.testing.assert_identical(again, serial)


# --- executors ----------------------------------------------------------------------------------


def test_processes_give_the_same_bits(serial, pool):
    assert bits(sweep(measured_run, GRID, repeats=3, seed=7, executor=pool)) == bits(serial)


def test_threads_give_the_same_bits(serial):
    with ThreadPoolExecutor(4) as pool:
        assert bits(sweep(measured_run, GRID, repeats=3, seed=7, executor=pool)) == bits(serial)


def test_cluster_gives_the_same_bits(serial, client):
    executor = client.get_executor()
    assert bits(sweep(measured_run, GRID, repeats=3, seed=7, executor=executor)) == bits(serial)


def test_more_calls_than_are_in_flight(monkeypatch):
    monkeypatch.setattr(sys.modules["bea_book.sweep"], "IN_FLIGHT", 3)
    with ThreadPoolExecutor(2) as pool:
        found = sweep(scaled, {"a": range(50)}, executor=pool).result
    assert found.values.tolist() == list(range(50))


def test_progress_bar(capsys):
    bea_book.sweep(lambda a: a, {"a": [1, 2, 3]}, progress=True)
    assert "3/3" in capsys.readouterr().err
    bea_book.sweep(lambda a: a, {"a": [1, 2, 3]})  # not on a terminal
    assert capsys.readouterr().err == ""


def test_lambda_is_refused_before_the_first_call(pool, tmp_path):
    with pytest.raises(TypeError, match="cannot be sent to another process; define it with def"):
        sweep(lambda a: a, {"a": [1]}, executor=pool)
    with pytest.raises(TypeError, match="and bind plain values: cannot pickle"):
        sweep(partial(scaled, t=Lock()), {"a": [1]}, executor=pool)


# --- errors -------------------------------------------------------------------------------------


def notes(error):
    return error.value.__notes__


def test_error_says_where(pool):
    where = "In this sweep, it happened at a = 3, repeat = 0."
    with ThreadPoolExecutor(2) as threads:
        for executor in (None, threads, pool):
            with pytest.raises(ArithmeticError, match="three is too many") as caught:
                sweep(failing, {"a": range(6)}, repeats=2, executor=executor)
            assert where.replace("0", "") in notes(caught)[0].replace("1", "").replace("0", "")


def test_notes_do_not_accumulate():
    error = ArithmeticError("always the same object")

    def raises(a):
        raise error

    for a in (1, 2, 3):
        with pytest.raises(ArithmeticError):
            sweep(raises, {"a": [a]})
    assert error.__notes__ == ["In this sweep, it happened at a = 3."]


def test_error_on_a_cluster_comes_back(client):
    for _ in range(15):
        start = time.monotonic()
        with pytest.raises(ArithmeticError, match="three") as caught:
            sweep(failing, {"a": range(40)}, executor=client.get_executor())
        assert notes(caught) == ["In this sweep, it happened at a = 3."]
        assert time.monotonic() - start < 60


def test_killed_worker_comes_back():
    """One worker is lost at each try; a loaded machine may fail to replace them in time."""
    with cluster(workers=6, allowed_failures=0) as client:
        for _ in range(5):
            with pytest.raises(Exception) as caught:
                sweep(deadly, {"a": range(12)}, executor=client.get_executor())
            assert type(caught.value).__name__ == "KilledWorker"
            assert notes(caught)[0].startswith("In this sweep, it happened at a = ")
            assert notes(caught)[0].endswith(" or elsewhere on the same worker.")


def test_cluster_replaces_a_killed_worker(client, tmp_path):
    task = partial(deadly, flag=str(tmp_path / "flag"))
    found = sweep(task, {"a": range(12)}, executor=client.get_executor(), folder=tmp_path / "kept")
    assert found.result.values.tolist() == list(range(12)) and (tmp_path / "flag").exists()


def test_broken_pool_names_all_that_were_running(tmp_path):
    ask = partial(sweep, partial(deadly, flag=str(tmp_path / "flag")), {"a": range(12)})
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        with pytest.raises(BrokenProcessPool) as caught:
            ask(executor=pool, folder=tmp_path / "kept")
        with pytest.raises(BrokenProcessPool):  # the pool stays broken
            ask(executor=pool, folder=tmp_path / "kept")
    [note] = notes(caught)
    assert "at a = 5" in note and note.count("at a = ") <= 5
    assert ask(folder=tmp_path / "kept").result.values.tolist() == list(range(12))


def test_results_before_an_error_are_kept(tmp_path):
    with pytest.raises(ArithmeticError):
        sweep(failing, {"a": range(6)}, folder=tmp_path)
    [path] = tmp_path.iterdir()
    with np.load(path) as file:
        assert file["arr_1"].tolist() == [0, 1, 2]


def test_divergence_comes_through_another_process(pool):
    with pytest.raises(bea.Divergence) as caught:
        sweep(diverging, {"h": [1e200]}, executor=pool)
    assert caught.value.step == 2 and caught.value.path.shape == (2, 1)


# --- interruptions ------------------------------------------------------------------------------


def test_resume_after_kills(tmp_path):
    """A killed program loses what it was computing, and no more than a second of finished work."""
    log, folder = tmp_path / "log", tmp_path / "kept"
    for kills in (1, 2):
        program = ran(folder, log, count=30, pause=0.15)
        ends_at(program, lambda n=kills: len(list(folder.glob("*.npz"))) >= n, signal.SIGKILL)
        assert program.returncode == -signal.SIGKILL
    assert len(list(folder.glob("*.npz"))) >= 2
    task = partial(noted, log=str(log), pause=0.15)
    found = sweep(task, {"a": range(30)}, repeats=1, folder=folder)
    calm = sweep(partial(noted, log=str(tmp_path / "other")), {"a": range(30)}, repeats=1)
    assert bits(found) == bits(calm)
    count = begun(log)
    assert set(count) == set(range(30)) and sum(count.values()) <= 30 + 2 * 9


def test_interrupt_leaves_a_store_that_resumes(tmp_path):
    log, folder = tmp_path / "log", tmp_path / "kept"
    program = ran(folder, log, pause=0.05)
    text = ends_at(program, lambda: log.exists() and sum(begun(log).values()) > 3, signal.SIGINT)
    assert "KeyboardInterrupt" in text and program.returncode != 0
    first = begun(log)
    sweep(partial(noted, log=str(log), pause=0.05), {"a": range(30)}, repeats=1, folder=folder)
    count = begun(log)
    assert set(count) == set(range(30)) and sum(count.values()) <= 31 and len(first) < 30


def test_full_disk(tmp_path):
    pytest.importorskip("resource", reason="limits of file sizes are Unix's")
    program = ran(tmp_path, count=20, limit=1_000_000)  # the results take three times as much
    assert "OSError" in program.communicate(timeout=60)[1] and program.returncode != 0
    assert list(tmp_path.iterdir()) == []
    found = sweep(large, {"a": range(20)}, folder=tmp_path)
    assert found.result.shape == (20, 20_000)


def test_leftovers_are_removed(tmp_path):
    left = tmp_path / f"0000000-{'0' * 16}.npz.{'f' * 32}.part"
    left.write_bytes(b"half")
    mine = tmp_path / "film.part"
    mine.touch()
    sweep(scaled, {"a": [1]}, folder=tmp_path)
    assert not left.exists() and mine.exists()


def test_two_programs_with_one_folder(tmp_path):
    logs = [tmp_path / "log0", tmp_path / "log1"]
    programs = [ran(tmp_path / "kept", logs[0], count=20, pause=0.02) for _ in range(2)]
    assert [(p.communicate(timeout=60), p.returncode)[1] for p in programs] == [0, 0]
    task = partial(noted, log=str(logs[0]), pause=0.02)
    before = sum(begun(logs[0]).values())
    found = sweep(task, {"a": range(20)}, repeats=1, folder=tmp_path / "kept")
    assert sum(begun(logs[0]).values()) == before <= 40
    calm = sweep(partial(noted, log=str(logs[1])), {"a": range(20)}, repeats=1)
    assert bits(found) == bits(calm)


def test_cleaned_up_file_is_written_again(tmp_path, monkeypatch):
    """Another program starts, and removes the unfinished file as a leftover."""
    replace, removed = Path.replace, []

    def after_removal(path, target):
        if not removed:
            removed.append(path)
            path.unlink()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", after_removal)
    sweep(scaled, {"a": [1, 2]}, folder=tmp_path)
    assert removed and len(list(tmp_path.glob("*.npz"))) == 1


def test_few_files_and_little_overhead(tmp_path):
    start = time.process_time()
    sweep(scaled, {"a": range(5000)}, folder=tmp_path)
    assert time.process_time() - start < 5
    assert len(list(tmp_path.iterdir())) < 20
    assert sweep(scaled, {"a": range(5000)}, folder=tmp_path).result.values.tolist() == list(range(5000))


# --- the same question, or another --------------------------------------------------------------


def asked(factor=1, name="a", values=(1, 2), bound=None, **options):
    def task(rng=None, bound=None, **given):
        return factor * given[name]

    return sweep(partial(task, bound=bound), {name: values}, **options)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"factor": 2}, "definition"),
        ({"factor": 1.0}, "definition"),
        ({"factor": True}, "definition"),
        ({"bound": 1}, "definition"),
        ({"bound": np.zeros(3)}, "definition"),
        ({"name": "b"}, "definition and grid"),
        ({"values": (1, 3)}, "grid"),
        ({"values": (2, 1)}, "grid"),
        ({"values": (1.0, 2.0)}, "grid"),
        ({"values": (1,)}, "grid"),
        ({"repeats": 1}, "grid"),
        ({"seed": 1}, "seed"),
        ({"version": "other"}, "definition and version"),
    ],
)
def test_other_questions_are_refused(tmp_path, change, word):
    first = asked(folder=tmp_path)
    names = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(ValueError, match=f"another question, with another {word};"):
        asked(**change, folder=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert bits(asked(folder=tmp_path)) == bits(first)


def test_changed_global_is_noticed(tmp_path, monkeypatch):
    assert sweep(scaled, {"a": [1]}, folder=tmp_path).result.item() == 1
    monkeypatch.setattr(sweep_tasks, "RATE", 2)
    with pytest.raises(ValueError, match="another definition"):
        sweep(scaled, {"a": [1]}, folder=tmp_path)


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, a):
        return self.factor * a

    def method(self, a):
        return self.factor * a


STATE = Scale(2)


def reads_state(a):
    return [STATE.factor for _ in range(1)][0] * a  # inside another code object in Python 3.11


def defined(text):
    """The function of a text that is in no file."""
    found = {}
    exec(text, found)
    return found["task"]


def frame():
    return pytest.importorskip("pandas").DataFrame({"x": [1]})


@pytest.mark.parametrize(
    "task",
    [
        lambda: Scale(2),
        lambda: Scale(2).method,
        lambda: partial(scaled, t=Scale(2)),
        lambda: partial(scaled, t=[1, {"x": Scale(2)}]),
        lambda: partial(scaled, t=frame()),
        lambda: partial(scaled, t=np.array([Scale(2)])),
        lambda: partial(scaled, t=np.ma.array([1, 2], mask=[0, 1])),
        lambda: partial(scaled, t=bea.quadratic([1])),
        lambda: partial(scaled, t={1, 2}),
        lambda: reads_state,
        lambda: cache(scaled),
        lambda: lambda a: a,
        lambda: eval("lambda a: a"),
        lambda: defined("def task(a): return a"),
    ],
)
def test_what_cannot_be_recognized_is_refused(tmp_path, task):
    with pytest.raises(TypeError, match="use plain values .* or give version="):
        sweep(task(), {"a": [1]}, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_holds_itself_is_refused(tmp_path):
    def factorial(a):
        return a * factorial(a - 1) if a else 1

    loop = []
    loop.append(loop)
    for task in (factorial, partial(scaled, t=loop)):
        with pytest.raises(TypeError, match="holds itself, or uses what does; give version="):
            sweep(task, {"a": [3]}, folder=tmp_path)
    assert sweep(factorial, {"a": [3]}, folder=tmp_path, version=1).result.item() == 6


def test_changed_decorator_is_noticed(tmp_path):
    def double(function):
        @wraps(function)
        def task(a):
            return 2 * function(a)

        return task

    def triple(function):
        @wraps(function)
        def task(a):
            return 3 * function(a)

        return task

    assert sweep(double(scaled), {"a": [1]}, folder=tmp_path).result.item() == 2
    with pytest.raises(ValueError, match="another definition"):
        sweep(triple(scaled), {"a": [1]}, folder=tmp_path)


def test_version_stands_for_everything(tmp_path):
    ask = partial(sweep, grid={"a": [1]}, folder=tmp_path)
    assert ask(Scale(2), version=1).result.item() == 2
    assert ask(Scale(3), version=1).result.item() == 2  # as promised: not looked at
    with pytest.raises(ValueError, match="another version"):
        ask(Scale(3), version=2)
    with pytest.raises(ValueError, match="another version"):
        ask(Scale(3), version="1")
    with pytest.raises(TypeError, match=r"version = np.int64\(2\) must be a string or a number"):
        ask(Scale(3), version=np.int64(2))


def test_identity_is_that_of_values():
    made = [partial(scaled, t=v) for v in (1, 1.0, True, "1", None, [1], 1 + 2**60, np.int64(1),
                                           np.zeros(2), np.zeros((1, 2)), np.zeros(2, "f4"),
                                           {"x": 1}, {"x": 2}, float("nan"), (1,), {1: 2}, {"1": 2},
                                           {(1, 2): 3}, Path("1"), ["list", 1])]  # fmt: skip
    assert len({identity(task) for task in made}) == len(made)
    assert [identity(task) for task in made] == [identity(task) for task in made]
    inner = partial(scaled, t=Path("x"))
    assert identity(partial(scaled, t=inner)) == identity(partial(scaled, t=partial(scaled, t=Path("x"))))


# --- damage -------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    """A sweep, its file, and a file of another sweep."""
    ask = partial(sweep, scaled, {"a": [1, 2, 3, 4, 5, 3.5]}, folder=tmp_path / "kept")
    second = tmp_path / "second"
    asked(folder=second)
    ask()
    [path] = (tmp_path / "kept").glob("*.npz")
    return ask, path, next(second.glob("*.npz"))


def test_damage_is_refused(store):
    ask, path, other = store
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged in (b"", b"nothing", content[:-30], content + b"0", bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{path.name} is damaged; remove it"):
            ask()
    path.write_bytes(other.read_bytes())  # swapped
    with pytest.raises(ValueError, match="is damaged"):
        ask()
    path.unlink()
    assert ask().result.values.tolist() == [1, 2, 3, 4, 5, 3.5]


def test_file_of_another_sweep_is_refused(store):
    ask, path, other = store
    shutil.copy(other, path.parent)
    with pytest.raises(ValueError, match="another question"):
        ask()


def test_file_twice_is_harmless(store):
    ask, path, _ = store
    shutil.copy(path, path.parent / f"9{path.name}")
    assert ask().result.values.tolist() == [1, 2, 3, 4, 5, 3.5]


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    sweep(scaled, {"a": [1]}, folder=tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(FileExistsError):
        sweep(scaled, {"a": [1]}, folder=tmp_path / "notes.txt")


# --- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "options", "error", "word"),
    [
        ([1, 2], {}, TypeError, "mapping"),
        ({"a": 3}, {}, TypeError, "iterable"),
        ({"a": "words"}, {}, ValueError, "sequence"),
        ({"a": [1, "x"]}, {}, ValueError, "sequence"),
        ({"a": [[1], [2]]}, {}, ValueError, "sequence"),
        ({"a": [[1], [2, 3]]}, {}, ValueError, "the values of a must be a sequence"),
        ({"a": [None]}, {}, ValueError, "sequence"),
        ({"a": [1j]}, {}, ValueError, "sequence"),
        ({"a": [10**400]}, {}, ValueError, "sequence"),
        ({"a": {1: 2}}, {}, ValueError, "sequence"),
        ({"a": []}, {}, ValueError, "sequence"),
        ({"a": [1, 1]}, {}, ValueError, "different"),
        ({"a": [np.nan]}, {}, ValueError, "different"),
        ({"rng": [1]}, {}, ValueError, "itself"),
        ({"repeat": [1]}, {}, ValueError, "itself"),
        ({"b": [1]}, {}, TypeError, "unexpected keyword argument 'b'"),
        ({"a": [1]}, {"repeats": 2}, TypeError, "unexpected keyword argument 'rng'"),
        ({"a": [1]}, {"repeats": 0}, ValueError, "repeats"),
        ({"a": [1]}, {"repeats": 1.5}, TypeError, "repeats"),
        ({"a": [1]}, {"seed": -1}, ValueError, "seed"),
        ({"a": [1]}, {"seed": None}, TypeError, "seed"),
        ({"a": [1]}, {"executor": 2}, TypeError, "Executor"),
        ({"a": [1]}, {"folder": 2}, TypeError, "int"),
    ],
)
def test_questions_are_checked(grid, options, error, word):
    with pytest.raises(error, match=word):
        sweep(lambda a: a, grid, **options)


@pytest.mark.parametrize(
    ("function", "error", "word"),
    [
        (lambda a: None, TypeError, "must be real"),
        (lambda a: "x", TypeError, "must be real"),
        (lambda a: 1j, TypeError, "must be real"),
        (lambda a: ("step", 1.0), TypeError, "axis"),
        (lambda a: (("x", "x"), np.eye(2)), TypeError, "axis"),
        (lambda a: np.zeros(a), ValueError, "must be the same everywhere"),
        (lambda a: {f"r{a}": 1}, ValueError, "must be the same everywhere"),
        (lambda a: {"x": 1} if a == 2 else {}, ValueError, "must be the same everywhere"),
        (lambda a: {"a": 1}, ValueError, "of the grid different"),
        (lambda a: ("a", [1, 2]), ValueError, "of the grid different"),
        (lambda a: {"t": ("t", [1, 2])}, ValueError, "of their axes and of the grid different"),
        (lambda a: {"x": ("t", [1]), "y": ("t", [1, 2])}, ValueError, "one length in all arrays"),
        (lambda a: np.ma.array([1, 2], mask=[0, 1]), TypeError, "none masked"),
    ],
)
def test_results_are_checked(function, error, word):
    with pytest.raises(error, match=word):
        sweep(function, {"a": [1, 2]})
    with ThreadPoolExecutor(1) as pool, pytest.raises(error, match=word):
        sweep(function, {"a": [1, 2]}, executor=pool)


def test_function_is_needed():
    with pytest.raises(TypeError, match="not a function"):
        sweep(3, {})


def test_without_xarray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"pip install bea-book\[scale\]"):
        sweep(abs, {})


def test_import_is_light():
    names = "{'xarray', 'dask', 'distributed', 'pandas', 'zarr'}"
    code = f"import sys, bea_book; print(sorted({names} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
