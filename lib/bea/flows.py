"""Flows: the solution of a modified equation at the times t_n = n h of the iterates."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable
from threading import Lock, local
from typing import Any

import numpy as np

from bea._validate import all_finite, finite, one_number, real_numbers, step_size, whole, with_batch
from bea.modified import KeptEquation, ModifiedEquation, curve, rates, sum_powers
from bea.program import Along, numeric, read_by, remembered
from bea.runs import Divergence, state_after
from bea.series import NoExpansion, Series
from bea.trace import KINKED, OPERATORS, trace
from bea.transient import TransientEquation

__all__ = ["flow"]

METHODS = ("RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")  # SciPy's
#: Operations of a trace that heyoka writes differently; the others have NumPy's names there, with "a" for "arc".
FORMS = OPERATORS | {"expit": "sigmoid({0})", "power": "{0} ** {1}"}
FORMS |= {"log_expit": "select(gt({0}, 0.0), -log1p(exp(-{0})), {0} - log1p(exp({0})))"}
FORMS |= {"logaddexp": "select(gt({0}, {1}), {0} + log1p(exp({1} - {0})), {1} + log1p(exp({0} - {1})))"}
COMPACT = 200  # above so many operations heyoka compiles in its compact mode: slower code, compiled in reasonable time
PIECE = 1000  # points of a compiled Taylor series in one call, which Ctrl-C has to wait for
TOLERANCE = 1e-12  # far below any error that the book measures
SMALL = 500  # up to so many values LSODA may allocate a Jacobian, whose size is their square
ODEPACK, INSIDE = Lock(), local()  # SciPy's odeint runs once at a time, and not within itself
#: Evaluations, and 30 more for each point, before a problem is taken to be stiff; also the most steps that odeint and
#: heyoka take from point to point.
PATIENCE = 3000
SMALLEST, LARGEST = 1e-13, 1e100  # steps, compared with the time, and values of a solution that goes on
REACH = 10  # steps of the optimizer that the solver may take at once, so as not to step over what a run meets
ROUND, PACE = 1000, 0.01  # after so many steps that advance less than this fraction of the flow, a jump is looked for


def flow(
    equation: Any,
    theta0: Any,
    h: float,
    steps: int,
    *,
    per_step: int = 1,
    first: int = 0,
    method: str | None = None,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    r"""Return the solution of a modified equation at the times :math:`t_n = nh`.

    SciPy's compiled LSODA, ``odeint``, computes it; where LSODA gives up, the solution has very many
    values, or the tolerance is below 1e-12, it is DOP853.  If that needs very many evaluations, the equation is
    taken to be stiff, and LSODA, step by step, computes it anew from the start.  If the equation is defined
    step by step, RK45 computes it.  Where many flows of one equation are wanted, ``method="taylor"`` is faster
    again, once it is compiled.

    A flow ends at a kink of the loss where the field points at the kink from both sides, as that of
    :math:`|x|` does at 0: no solution goes on from there.  With an explicit `method` and a `tolerance` above
    1e-9 a kink may be stepped over, or a steep place taken for one; Radau loses most digits at a kink that a flow
    passes.

    Parameters
    ----------
    equation : ModifiedEquation, KeptEquation or TransientEquation
        Any object with a method ``field(h)`` that returns a function of theta, or of theta and a
        parameter named ``time``, serves as well (a control with a wrong coefficient, for instance).
    theta0 : array of shape (d,) or (batch, d)
    h : float
        Step size.
    steps : int
        Number of steps of the run that is followed.
    per_step : int
        Points for each step of the optimizer; more than one for a smooth line in a figure.
    first : int
        With the memory kept: the flow starts from the run's own state after that many steps from
        `theta0`, and returns the points at the steps first, ..., steps.
    method : str, optional
        A method of ``scipy.integrate.solve_ivp``, or ``"taylor"``: the compiled Taylor series of the
        package heyoka, for a ModifiedEquation with a smooth symbolic loss.
    tolerance : float
        Relative and absolute tolerance; ``odeint`` is given a tenth of it.  Below 2e-14 the Runge–Kutta methods
        use 2e-14.

    Returns
    -------
    array of shape ((steps - first) * per_step + 1, d), or (..., batch, d)

    Raises
    ------
    Divergence
        If the solution ceases to exist before the end, which includes a kink that it cannot leave.
    TypeError, ValueError
        If an argument is of the wrong kind or out of its range.
    ImportError
        If ``method="taylor"`` and heyoka is not installed.

    Examples
    --------
    >>> from bea.problems import quadratic
    >>> from bea.modified import modified_equation
    >>> from bea.optimizers import gradient_descent
    >>> equation = modified_equation(gradient_descent(), quadratic([1]), order=1)
    >>> flow(equation, (1.0,), h=0.5, steps=2).ravel().round(6).tolist()
    [1.0, 0.606531, 0.367879]
    """
    h, steps, per_step = step_size(h), whole("steps", steps, 0), whole("per_step", per_step, 1)
    first = whole("first", first, 0, steps)
    tolerance = one_number("the tolerance", tolerance, 0.0, 1.0, open_below=True)
    if np.ndim(h):
        raise ValueError(f"a flow takes one step size, not {h!r}: its times n h are common to all points")
    if not hasattr(equation, "field"):
        raise TypeError(f"a modified equation is needed (or an object with a method field(h)), not {equation!r}")
    if first and not isinstance(equation, KeptEquation):
        raise ValueError("first = ... belongs to equations with the memory kept; start others at theta0")
    times = h * (first + np.arange((steps - first) * per_step + 1) / per_step)
    if isinstance(equation, KeptEquation):
        start, d = _kept_start(equation, theta0, h, first)
    else:
        start = _start(equation, theta0)
        d = start.shape[-1]
    field, timed = equation.field, False
    if isinstance(equation, TransientEquation):
        path, jumps = _in_pieces(equation.pieces(h, steps), start, times, per_step, method, tolerance)
    elif isinstance(equation, KeptEquation) and equation.batches is not None:
        if steps > len(equation.batches):
            raise ValueError(
                f"{steps} steps were asked for, but batches names the mini-batches of {len(equation.batches)}"
            )
        fields = {batch: field(h, equation.batches.index(batch)) for batch in set(equation.batches)}
        pieces = (fields[batch] for batch in equation.batches[first:steps])
        path, jumps = _in_pieces(pieces, start, times, per_step, method, tolerance)
    else:
        rate = field(h)
        timed = _reads_time(equation, rate, np.moveaxis(start, -1, 0)[:d])
        longest = h if timed else REACH * h
        if method == "taylor":
            path, jumps = _by_taylor(equation, start, h, times, tolerance, longest), False
        else:
            path, jumps = _solve(rate, start, times, method, tolerance, longest)
    path = path[..., :d]
    if len(path) < len(times):
        step = -(-len(path) // per_step) + first
        problem = f"the flow is not finite at step {step} of {steps} (h = {h}), or ends before"
        if timed:
            problem += ", or its field jumps in time"
        if jumps:
            problem = (
                f"the flow ends before step {step} of {steps} (h = {h}): the field jumps there, perhaps at a kink of "
                "the loss, and points at the jump from both sides, so that no solution goes on; ask for fewer steps"
            )
        raise Divergence(problem, step, path)
    return path


def _start(equation: Any, theta0: Any) -> np.ndarray:
    """Return the points to start from, with one for each configuration of the optimizer."""
    losses: Any = getattr(equation, "losses", None) or (getattr(equation, "loss", None),)
    if losses[0] is None:
        try:
            start = real_numbers(theta0)
        except (TypeError, ValueError, OverflowError) as problem:
            raise TypeError(f"a point must hold numbers, not {theta0!r}; allowed are (d,) and (batch, d)") from problem
        if start.ndim not in (1, 2) or start.size == 0:
            raise ValueError(f"a point of shape {start.shape} was given; allowed are (d,) and (batch, d)")
        finite("the point", np.moveaxis(start, -1, 0))
        return start
    optimizer = getattr(equation, "optimizer", None)
    batch = () if optimizer is None else numeric(optimizer).batch_shape
    return np.moveaxis(with_batch(losses[0].components(theta0), batch), 0, -1)


def _kept_start(equation: KeptEquation, theta0: Any, h: float, first: int) -> tuple[np.ndarray, int]:
    """Return the state of one run after some steps, and how many of its coordinates are those of the point."""
    if equation.losses[0].components(theta0).ndim > 1 or equation.optimizer.batch_shape:
        raise ValueError("a flow with the memory kept takes one point and one configuration at a time")
    theta, states = state_after(equation.optimizer, equation.losses, theta0, h, first, equation.batches)
    return equation.state(theta, states, h), len(theta)


class Clock(Along):
    """A memory that notices whether it is asked for the time."""

    asked = False

    @property
    def time(self) -> Series:
        self.asked = True
        return super().time


def _reads_time(equation: Any, rate: Callable[..., np.ndarray], theta: np.ndarray) -> bool:
    """Whether a field may depend on the time: a schedule can change at every step."""
    if not isinstance(equation, (ModifiedEquation, KeptEquation)):
        return "time" in inspect.signature(rate).parameters
    optimizer, losses = numeric(equation.optimizer), getattr(equation, "losses", None) or (equation.loss,)

    def asked() -> bool:
        memory = Clock(Series.from_polynomials([[theta]]))
        try:
            memory.update(optimizer, losses[0].gradient_code)
        except (TypeError, ValueError):  # with all of its memory forgotten there is no field
            return True
        return memory.asked

    if (read := read_by(optimizer)) is None:
        return asked()
    return remembered(equation.__dict__.setdefault("clocks", {}), (optimizer, read), asked)


def _in_pieces(
    fields: Iterable[Callable[..., np.ndarray]],
    start: np.ndarray,
    times: np.ndarray,
    per_step: int,
    method: str | None,
    tolerance: float,
) -> tuple[np.ndarray, bool]:
    """Follow one field after another, each over one step of the run, as far as the solution exists, as `_solve` does."""
    path, jumps = [start], False
    for n, field in enumerate(fields):
        piece = times[n * per_step : (n + 1) * per_step + 1]
        whole_piece = piece[-1] - piece[0]
        try:
            solved, jumps = _solve(field, path[-1], piece, method or "RK45", tolerance, whole_piece, whole_piece)
        except NoExpansion:
            if n == 0:
                raise
            return np.array(path), True
        path.extend(solved[1:])
        if len(solved) < len(piece):
            break
    return np.array(path), jumps


def _solve(
    field: Callable[..., np.ndarray],
    start: np.ndarray,
    times: np.ndarray,
    method: str | None,
    tolerance: float,
    longest: float,
    first_step: float | None = None,
) -> tuple[np.ndarray, bool]:
    """Return the solution at `times`, as far as it exists, and whether it ends where the field jumps.

    No step is longer than `longest`; DOP853 may take three times that.
    """
    from scipy import integrate  # here, because it takes nearly half of the library's start

    if method not in (None, *METHODS):
        raise ValueError(f"method = {method!r} must be one of {', '.join(METHODS)}, or taylor for a ModifiedEquation")
    takes_time = "time" in inspect.signature(field).parameters
    rate = getattr(field, "held", lambda: field)()

    def rhs(t: float, y: np.ndarray) -> np.ndarray:
        if not all_finite(y):
            return np.full(y.shape, np.nan)  # the solver takes it back, and gives up in the end
        point = y if start.ndim == 1 else y.reshape(start.shape)
        found = rate(point, time=t) if takes_time else rate(point)
        return found if start.ndim == 1 else np.ravel(found)

    def jumps() -> bool:
        """Whether the field jumps near the solver's point: its difference across the point hardly depends on the distance."""
        across = np.random.default_rng(0).standard_normal(start.size) * max(1.0, np.abs(solver.y).max())
        near, far = (
            np.linalg.norm(rhs(solver.t, solver.y + e * across) - rhs(solver.t, solver.y - e * across))
            for e in (1e3 * tolerance, 1e4 * tolerance)
        )
        return bool(near > 1e-6 * np.linalg.norm(rhs(solver.t, solver.y)) and 0.5 < near / far < 2)

    path, limit = [start.ravel()], PATIENCE + 30 * len(times)
    path[0].flags.writeable = False  # no field may change its argument
    count, reached = 0, times[0]
    with np.errstate(all="ignore"):  # a blow-up is reported by whoever called
        if len(times) > 1:
            slopes = rhs(times[0], path[0])
            if np.shape(slopes) != path[0].shape:
                raise ValueError(f"the field has {np.size(slopes)} values at a point of shape {start.shape}")
            if np.iscomplexobj(slopes):
                raise TypeError("the field is complex at the start")
            finite("the field", np.moveaxis(np.reshape(slopes, start.shape), -1, 0))
            if first_step is None and not np.allclose(slopes, rhs(times[0], path[0]), rtol=1e-6, atol=1e-300):
                raise ValueError("the field has two values at the start: its loss or program is random or keeps state")
        if method is None and start.size <= SMALL and tolerance >= TOLERANCE:
            solved = _by_odeint(rhs, path[0], times, tolerance, longest)
            if solved is not None:
                return solved.reshape(-1, *start.shape), False
        name = method or "DOP853"
        most = 3 * longest if name == "DOP853" else longest  # it looks at twelve places within a step
        options = {"rtol": tolerance, "atol": tolerance, "first_step": first_step, "max_step": most}
        solver = getattr(integrate, name)(rhs, times[0], path[0], times[-1], **options)
        while len(path) < len(times):
            try:
                solver.step()
            except NoExpansion:  # it has met a kink exactly
                return np.array(path).reshape(-1, *start.shape), True
            stuck = solver.status == "running" and solver.step_size < SMALLEST * abs(solver.t)
            if solver.status == "failed" or stuck or not np.abs(solver.y).max() < LARGEST:
                return np.array(path).reshape(-1, *start.shape), jumps()
            if (count := count + 1) % ROUND == 0:
                if solver.t - reached < PACE * (times[-1] - times[0]) and jumps():
                    return np.array(path).reshape(-1, *start.shape), True
                reached = solver.t
            if method is None and solver.nfev > limit:
                return _solve(field, start, times, "LSODA", tolerance, longest)
            passed = times[len(path) : np.searchsorted(times, solver.t, side="right")]
            if len(passed) == 1 and passed[0] == solver.t:
                path.append(solver.y)
            elif len(passed):
                path.extend(solver.dense_output()(passed).T)
    return np.array(path).reshape(-1, *start.shape), False


def _by_odeint(
    rhs: Callable[..., Any], start: np.ndarray, times: np.ndarray, tolerance: float, longest: float
) -> np.ndarray | None:
    """Return the solution at `times` by SciPy's compiled LSODA, or None where it does not get to the end."""
    from scipy import integrate

    if len(times) == 1 or getattr(INSIDE, "odepack", False):
        return None
    with ODEPACK, warnings.catch_warnings():
        warnings.simplefilter("ignore", integrate.ODEintWarning)
        local = tolerance / 10  # errors of its steps add up more than those of DOP853
        limits = {"rtol": local, "atol": local, "hmax": longest, "tcrit": times[-1:], "mxstep": PATIENCE}
        try:
            INSIDE.odepack = True
            path, report = integrate.odeint(rhs, start, times, tfirst=True, full_output=True, **limits)
        except NoExpansion:  # at a kink, which DOP853 may miss
            return None
        finally:
            INSIDE.odepack = False
    done = report["message"] == "Integration successful." and np.abs(path).max() < LARGEST
    return path if done else None


def _by_taylor(
    equation: Any, start: np.ndarray, h: float, times: np.ndarray, tolerance: float, longest: float
) -> np.ndarray:
    """Return the solutions at `times` by heyoka, as far as all of them exist."""
    if not isinstance(equation, ModifiedEquation) or not hasattr(equation.loss, "gradient_expressions"):
        raise TypeError("method = 'taylor' takes a ModifiedEquation of a symbolic loss; leave the method out here")
    optimizer = numeric(equation.optimizer)
    if optimizer.batch_shape:
        raise ValueError("method = 'taylor' takes one configuration at a time; leave the method out for several")
    read = read_by(optimizer)
    key = (optimizer, read, tolerance)
    kept = equation.__dict__.setdefault("taylor", {}) if read is not None else {}  # what may change is read anew
    solver, alone = remembered(kept, key, lambda: (_taylor_solver(equation, optimizer, tolerance), Lock()))
    paths = []
    for point in np.atleast_2d(start):
        rows = [np.atleast_2d(point)]
        with alone:  # a solver holds the time, the point and h of one flow
            solver.time, solver.state[:], solver.pars[:] = times[0], point, h
            for first in range(0, len(times) - 1, PIECE):
                piece = times[first : first + PIECE + 1]
                found = solver.propagate_grid(piece, max_steps=PATIENCE * len(piece), max_delta_t=longest)[-1]
                rows.append(found[1:])
                if len(rows[-1]) < len(piece) - 1 or not np.abs(rows[-1][-1]).max() < LARGEST:
                    break
        found = np.concatenate(rows)
        paths.append(found[np.logical_and.accumulate(np.abs(found).max(axis=1) < LARGEST)])
    shortest = min(map(len, paths))
    return np.stack([path[:shortest] for path in paths], axis=1).reshape(shortest, *start.shape)


def _taylor_solver(equation: ModifiedEquation, optimizer: Any, tolerance: float) -> Any:
    """Return heyoka's compiled solver of the traced equation; its parameter is h."""
    try:
        import heyoka
    except ImportError as problem:
        raise ImportError("method = 'taylor' needs heyoka: pip install 'bea-book[taylor]'") from problem
    code = trace(
        lambda theta, time: rates(curve(optimizer, equation.loss, theta, equation.order, time)),
        {"theta": (equation.loss.dimension,), "time": ()},
    )
    used = {name for name, *_ in code.operations}
    scope: dict[str, Any] = {
        name: getattr(heyoka, name.replace("arc", "a"), None)
        for name in used | {"exp", "gt", "log1p", "select", "sigmoid"}
    }
    if lacking := sorted(name for name in used if name in KINKED or name not in FORMS and scope[name] is None):
        raise ValueError(f"method = 'taylor' knows no {', '.join(lacking)}; leave the method out here")
    exec(code.source(FORMS), scope)
    variables = heyoka.make_vars(*code.inputs[:-1])
    terms = np.array(scope["straight"](*np.atleast_1d(variables), heyoka.time), dtype=object)
    total = sum_powers(terms.reshape(equation.order, -1), heyoka.par[0])
    system = [(x, heyoka.expression(0.0) + f) for x, f in zip(np.atleast_1d(variables), total)]
    return heyoka.taylor_adaptive(
        system, [0.0] * len(system), tol=tolerance, compact_mode=len(code.operations) > COMPACT
    )
