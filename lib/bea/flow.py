"""Runs of an optimizer, and flows of its modified equation at the same times t_n = n h."""

from itertools import count, islice

import numpy as np

from bea.compiled import straight_line_run
from bea.losses import batch_losses
from bea.modified import (
    TransientEquation,
    batch_sequence,
    step_size,
    with_settings,
)
from bea.optimizers import Optimizer
from bea.series import whole

__all__ = ["Divergence", "flow", "run", "walk"]

TOLERANCE = 1e-12  # of SciPy's solvers: far below any error that the book measures


class Divergence(ArithmeticError):
    """A run or a flow left the finite numbers.

    ``step`` is the first step whose result is not finite (of those that are kept, if not all are),
    ``path`` all that was kept up to there, and ``settings`` the indices of the settings that
    diverged at that step, empty if there is only one.
    """

    def __init__(self, message, step, path, settings=()):
        super().__init__(message)
        self.step, self.path, self.settings = step, path, settings

    def __reduce__(self):  # so that another process can raise it
        return type(self), (*self.args, self.step, self.path, self.settings)


def run(optimizer, loss, theta0, h, steps, *, batches=None, memory=None, every=1):
    r"""The iterates :math:`\theta^{(0)}, \dots, \theta^{(\mathrm{steps})}` of an optimizer.

    Parameters
    ----------
    optimizer : Optimizer; hyper-parameters that are arrays (batch,) run as many settings at once
    loss : a loss, or a list of mini-batch losses
    theta0 : shape (d,) or (batch, d)
    h : step size, or one per setting, shape (batch,)
    steps : number of steps, 0 or more
    batches : for several losses, the index of the mini-batch of each step
    memory : the averages before the first step, as :meth:`bea.modified.ModifiedEquation.memory` gives them
        Without it they are zero.  With it there is no bias correction: memory that is there already
        has no start to correct.
    every : keep the iterates 0, every, 2 every, ... up to ``steps``, a multiple of it; memory grows
        with what is kept, not with ``steps``

    Returns
    -------
    array of shape (steps // every + 1, d), or (steps // every + 1, batch, d)

    Raises
    ------
    Divergence
        If an iterate that is kept is not finite: it says at which step, and holds those before.
    TypeError or ValueError
        If an argument is of the wrong kind or out of its range.

    Examples
    --------
    >>> from bea.losses import quadratic
    >>> from bea.optimizers import gradient_descent
    >>> run(gradient_descent(), quadratic([1]), theta0=(1.0,), h=0.5, steps=3).ravel().tolist()
    [1.0, 0.5, 0.25, 0.125]
    >>> run(gradient_descent(), quadratic([1]), theta0=(1.0,), h=0.5, steps=4, every=2).ravel().tolist()
    [1.0, 0.25, 0.0625]
    """
    steps, every = whole("steps", steps, 0), whole("every", every, 1)
    if steps % every:
        raise ValueError(f"every = {every} must divide the number of steps, {steps}")
    optimizer, losses, theta, h, batches, state, correct = _prepared(
        optimizer, loss, theta0, h, batches, memory
    )
    if batches is not None and len(batches) < steps:
        raise ValueError(
            f"batches names the mini-batches of {len(batches)} steps, "
            f"but {steps} steps were asked for"
        )
    path = None
    if len(losses) == 1 and hasattr(losses[0], "gradient_expressions"):
        path = straight_line_run(optimizer, losses[0], theta, h, steps, state, correct, every)
    if path is None:
        path = np.empty((steps // every + 1, *theta.shape))
        walked = _walk(optimizer, losses, theta, h, batches, state, correct)
        with np.errstate(all="ignore"):  # what is not finite is reported below, with its step
            for row, theta in enumerate(islice(walked, 0, steps + 1, every)):
                path[row] = theta
        path = np.moveaxis(path, 1, -1)
    _check_finite(path, "the run", f"h = {h}", every)
    return path


def walk(optimizer, loss, theta0, h, *, batches=None):
    r"""The iterates :math:`\theta^{(0)}, \theta^{(1)}, \dots` one after another, for runs that are
    too large to be kept: measure each and let it go.

    Arguments and errors as for :func:`run`; each iterate has the shape (d,) or (batch, d).  The walk
    ends with the mini-batches that ``batches`` names, and never without them.

    Examples
    --------
    >>> from bea.losses import quadratic
    >>> from bea.optimizers import gradient_descent
    >>> walked = walk(gradient_descent(), quadratic([1]), theta0=(1.0,), h=0.5)
    >>> [next(walked).item() for n in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """
    prepared = _prepared(optimizer, loss, theta0, h, batches, None)
    return _checked_walk(_walk(*prepared), f"h = {h}")


def flow(equation, theta0, h, steps, *, per_step=1):
    r"""The solution of a modified equation at the times :math:`t_n = nh`.

    SciPy's DOP853 computes it at a relative tolerance of 1e-12, and RK45 the short pieces of a
    transient equation.

    Parameters
    ----------
    equation : made by :func:`bea.modified.modified_equation` or :func:`bea.modified.transient_equation`; any object
        with a method ``field(h)`` that returns a function of theta serves as well (a control with
        a wrong coefficient, for instance)
    theta0, h, steps : as for :func:`run`
    per_step : how many points to give for each step of the optimizer; more than one for a smooth
        line in a figure

    Returns
    -------
    array of shape (steps * per_step + 1, d), or (steps * per_step + 1, batch, d)

    Raises
    ------
    Divergence
        If the solution does not exist that long.
    TypeError or ValueError
        If an argument is of the wrong kind or out of its range.

    Examples
    --------
    >>> from bea.losses import quadratic
    >>> from bea.modified import modified_equation
    >>> from bea.optimizers import gradient_descent
    >>> flow(modified_equation(gradient_descent(), quadratic([1]), order=1), (1.0,), h=0.5, steps=2).ravel().round(6).tolist()
    [1.0, 0.606531, 0.367879]
    """
    h, steps, per_step = step_size(h), whole("steps", steps, 0), whole("per_step", per_step, 1)
    if np.ndim(h):
        raise ValueError(
            f"a flow takes one step size, not {h!r}: its times n h are common to all points"
        )
    if not hasattr(equation, "field"):
        raise TypeError(
            f"a modified equation is needed (or an object with a method field(h)), not {equation!r}"
        )
    if hasattr(equation, "optimizer"):
        loss = equation.losses[0] if isinstance(equation, TransientEquation) else equation.loss
        start = np.moveaxis(
            with_settings(loss.components(theta0), equation.optimizer.settings), 0, -1
        )
    else:
        start = np.array(theta0, dtype=float)
    if isinstance(equation, TransientEquation):
        path = _flow_in_pieces(equation, start, h, steps, per_step)
    else:
        path = _flow_smooth(equation.field(h), start, h, steps, per_step)
    _check_finite(path, "the flow", f"h = {h}")
    return path


# --- runs ---------------------------------------------------------------------------------------


def _prepared(optimizer, loss, theta0, h, batches, memory):
    """What a run needs, checked: optimizer, losses, start, h, batches, averages, and whether they
    are bias-corrected."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"an optimizer such as bea.adam(beta=0.9, rho=0.999, epsilon=1e-8) is needed, not {optimizer!r}"
        )
    if optimizer.symbols:
        raise ValueError(
            f"{optimizer} holds the symbols {', '.join(sorted(map(str, optimizer.symbols)))}; give them numbers to run it"
        )
    optimizer, losses, h = optimizer.in_floats(), batch_losses(loss), step_size(h)
    batches = batch_sequence(batches, len(losses))
    settings = optimizer.settings
    if np.ndim(h):
        settings = np.broadcast_shapes(settings, np.shape(h))
    theta = with_settings(losses[0].components(theta0), settings)
    state = _initial_memory(optimizer, losses[0], theta, memory)
    correct = optimizer.bias_correction and memory is None
    return optimizer, losses, theta, h, batches, state, correct


def _walk(optimizer, losses, theta, h, batches, state, correct):
    """Many settings, many coordinates, or mini-batches: one NumPy operation per operation of the
    formula.  Yields the iterates, coordinates first."""
    yield theta
    forgotten = [1.0] * len(
        state
    )  # decay^(n+1): the weight that the averages have not gathered yet
    for batch in batches or (0 for _ in count()):
        gradient = losses[batch].gradient_code(theta)
        if gradient.shape != theta.shape:
            raise ValueError(
                f"gradient_code returned the shape {gradient.shape} for theta of shape {theta.shape}; they must be the same"
            )
        state = [
            average.advance(m, average.of(gradient))
            for average, m in zip(optimizer.averages, state)
        ]
        seen = state
        if correct:
            forgotten = [
                weight * average.decay for average, weight in zip(optimizer.averages, forgotten)
            ]
            seen = [m * (1 / (1 - weight)) for m, weight in zip(state, forgotten)]
        theta = theta - h * optimizer.step(theta, *seen)
        yield theta


def _checked_walk(walked, where):
    """The points of a walk with the coordinates last, up to the first that is not finite."""
    last = None
    for n, theta in enumerate(walked):
        point = np.moveaxis(theta, 0, -1)
        finite = np.isfinite(point).all(axis=-1)
        if not finite.all():
            raise Divergence(
                f"the walk diverged at step {n}; take a smaller step than {where}",
                n,
                last[None],
                tuple(np.flatnonzero(~finite).tolist()) if point.ndim == 2 else (),
            )
        last = point
        yield point


def _initial_memory(optimizer, loss, theta, memory):
    if memory is None:
        return [np.zeros(theta.shape) for _ in optimizer.averages]
    memory = tuple(memory)
    if len(memory) != len(optimizer.averages):
        raise ValueError(
            f"{optimizer.name} keeps {len(optimizer.averages)} averages, but memory holds {len(memory)}"
        )
    return [with_settings(loss.components(m), theta.shape[1:]) for m in memory]


# --- flows --------------------------------------------------------------------------------------


def _flow_smooth(field, start, h, steps, per_step):
    if steps == 0:
        return start[None]
    times = h * np.arange(steps * per_step + 1) / per_step
    solution = _solve(field, start, times[-1], t_eval=times)
    path = solution.y.T.reshape(-1, *start.shape)
    if not solution.success:
        reached = (len(path) - 1) // per_step
        raise Divergence(
            f"the flow stops after step {reached} of {steps}: {solution.message}", reached + 1, path
        )
    return path


def _flow_in_pieces(equation, start, h, steps, per_step):
    path = np.empty((steps * per_step + 1, *start.shape))
    path[0] = start
    times = h * np.arange(per_step + 1) / per_step
    for n, field in enumerate(equation.pieces(h, steps)):
        first = n * per_step
        # over one step RK45 needs half of DOP853's evaluations; interpolation costs a quarter more,
        # so of a whole step only the end is asked for
        inner = times if per_step > 1 else None
        piece = _solve(field, path[first], h, t_eval=inner, first_step=h, method="RK45")
        if not piece.success:
            raise Divergence(
                f"the flow stops between steps {n} and {n + 1} of {steps}", n + 1, path[: first + 1]
            )
        path[first + 1 : first + per_step + 1] = piece.y.T[-per_step:].reshape(-1, *start.shape)
    return path


def _solve(field, start, time, method="DOP853", **options):
    """SciPy's solution from ``start`` up to ``time``."""
    # here, because it takes nearly half of the library's start
    from scipy.integrate import solve_ivp

    with np.errstate(all="ignore"):  # a blow-up is reported by whoever called
        return solve_ivp(
            lambda t, y: field(y.reshape(start.shape)).ravel(),
            (0, time),
            start.ravel(),
            method=method,
            rtol=TOLERANCE,
            atol=TOLERANCE,
            **options,
        )


# --- shared small parts -------------------------------------------------------------------------


def _check_finite(path, what, where, every=1):
    finite = np.isfinite(path)
    if finite.all():
        return
    of_step = finite.all(axis=-1).reshape(len(path), -1)
    row = int(np.argmin(of_step.all(axis=1)))
    step = row * every
    settings = tuple(np.flatnonzero(~of_step[row]).tolist()) if path.ndim == 3 else ()
    which = f" (settings {list(settings)})" if settings else ""
    raise Divergence(
        f"{what} diverged at step {step}{which}: the last finite iterate is step {step - every}; take a smaller step than {where}",
        step,
        path[:row],
        settings,
    )
