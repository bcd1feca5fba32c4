"""Runs and flows beside one another, in other processes and after an interrupt are what they are alone."""

import inspect
import multiprocessing
import pickle
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from threading import Barrier

import numpy as np
import pytest
import sympy as sp

import bea
from interrupted import interrupted

x, y = sp.symbols("x y", real=True)
ADAM = bea.adam(0.6, 0.8, 0.05)
STARTS = [(0.9, 1.5 + k / 8) for k in range(8)]


def made():
    """A loss of which nothing is known yet, and equations on it."""
    loss = bea.Loss((x**2 + y - 11) ** 2 / 100 + sp.exp(-x * x) * y, (x, y))
    equations = [
        bea.modified_equation(ADAM, loss, 2),
        bea.modified_equation(bea.heavy_ball(0.6), loss, 2, memory="kept"),
        bea.transient_equation(ADAM, loss),
    ]
    return loss, equations


def runs(loss, start):
    """Runs of each kind: one, a batch, one step after another, and read plainly."""
    walk = bea.walk(ADAM, loss, start, 0.01)
    plain = bea.NumericLoss(2, loss.value, loss.gradient)
    return [
        bea.run(ADAM, loss, start, 0.01, 20),
        bea.run(bea.adam([0.3, 0.6], 0.8, 0.05), loss, [start, start[::-1]], 0.01, 20),
        np.array([next(walk) for _ in range(5)]),
        bea.run(ADAM, plain, start, 0.01, 5),
    ]


def flows(equations, start):
    """Flows of equations of each kind."""
    return [bea.flow(equation, start, 0.01, 3) for equation in equations]


def answers(loss, equations, start):
    return runs(loss, start), flows(equations, start)


def assert_same(found, wanted):
    """Runs have the same bits.  A field that is traced meanwhile may round otherwise: flows agree to 1e-11."""
    for a, b in zip(found[0], wanted[0], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(found[1], wanted[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


@pytest.fixture(scope="module")
def alone():
    """What comes out for each start, one after another."""
    loss, equations = made()
    return [answers(loss, equations, start) for start in STARTS]


def test_the_starts_tell_the_answers_apart(alone):
    """A mistaken start or step size would be seen: by more than 1e-3."""
    for left, right in zip(alone, alone[1:]):
        for a, b in zip([*left[0], *left[1]], [*right[0], *right[1]]):
            assert abs(a - b).max() > 1e-3


@pytest.fixture
def hurried():
    """Threads that change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(function, arguments):
    """Call a function for each argument, in as many threads, which begin together."""
    begin = Barrier(len(arguments))

    def called(argument):
        begin.wait(60)
        return function(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(called, arguments))


@pytest.mark.usefixtures("hurried")
def test_threads_on_one_loss(alone):
    """They find its functions and traces unmade, and make them at the same time."""
    found = at_once(partial(answers, *made()), STARTS)
    for a, b in zip(found, alone, strict=True):
        assert_same(a, b)


@pytest.mark.usefixtures("hurried")
def test_threads_on_one_compiled_taylor_series():
    """It holds the time, the point and the step size of the flow that it computes."""
    pytest.importorskip("heyoka", reason="heyoka is not installed")
    equation = made()[1][0]

    def followed(case):
        start, h = case
        return [bea.flow(equation, start, h, 50, method="taylor") for _ in range(20)]

    cases = [(start, 0.01 + k / 1000) for k, start in enumerate(STARTS)]
    wanted = [followed(case) for case in cases]
    for a, b in zip(at_once(followed, cases), wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_process(alone):
    """Losses and equations travel there and say the same; used ones, whose traces stay here, too."""
    loss, equations = made()
    answers(loss, equations, STARTS[0])
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        [found] = pool.map(partial(answers, loss, equations), STARTS[:1])
    assert_same(found, alone[0])
    assert pickle.loads(pickle.dumps(equations[0])).order == 2


def test_a_compiled_taylor_series_can_be_interrupted():
    """After 0.3 seconds of processor time, in a flow that takes over ten."""
    pytest.importorskip("heyoka", reason="heyoka is not installed")
    pendulum = bea.VectorField((y, -sp.sin(x)), (x, y))
    equation = bea.modified_equation(bea.gradient_descent(), pendulum, 1)

    def followed(start, steps):
        return bea.flow(equation, start, 0.5, steps, method="taylor")

    # A long flow comes in pieces of a thousand points: each goes on where the one before it ends.
    short = followed((1.0, 0.0), 2500)
    np.testing.assert_array_equal(short[:801], followed((1.0, 0.0), 800))
    np.testing.assert_allclose(short[800:1601], followed(short[800], 800), atol=1e-9)
    np.testing.assert_allclose(short[1600:], followed(short[1600], 900), atol=1e-9)

    begun = time.process_time()
    with interrupted(0.3):
        followed((1.0, 0.0), 10**7)
    assert time.process_time() - begun < 2
    np.testing.assert_array_equal(followed((1.0, 0.0), 2500), short)


class Interruption:
    """Raises KeyboardInterrupt at a call of a function of the library, or counts the calls.

    Generators are left out: Python drops what is raised in one that it clears away.
    """

    def __init__(self, at=None):
        self.at, self.calls = at, 0

    def __call__(self, frame, event, argument):
        inside = frame.f_globals.get("__name__", "").startswith("bea.")
        if event == "call" and inside and not frame.f_code.co_flags & inspect.CO_GENERATOR:
            self.calls += 1
            if self.calls == self.at:
                raise KeyboardInterrupt

    def __enter__(self):
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)


def test_an_interrupt_at_any_moment_leaves_nothing_wrong(alone):
    """At twenty moments, spread over the first three quarters of the library's calls; then the same is asked again.

    What is timed before it is compiled is called more often at one time than at another.
    """
    calls = []
    for _ in range(3):
        with Interruption() as counting:
            answers(*made(), STARTS[0])
        calls.append(counting.calls)
    moments = np.linspace(1, 0.75 * min(calls), 20).astype(int)
    assert min(calls) > 1000
    for moment in moments:
        loss, equations = made()
        with Interruption(moment), pytest.raises(KeyboardInterrupt):
            answers(loss, equations, STARTS[0])
        assert_same(answers(loss, equations, STARTS[0]), alone[0])
