"""Assignment 6: an experiment of the student's own.

Nothing is known of the method, so all is graded by property: slopes as predicted, a control that
fails, an interval that covers as often as it says, an effect that is seen and a control that is not.
"""

import numpy as np
from scipy.stats import t as student

from bea_course.compare import Answer, answered, demand, generator, number, slope, vector

# --- slopes ------------------------------------------------------------------------------------


def measure(measure: Answer, hs: Answer, slopes: Answer, part: float = 1.0) -> None:
    """Slopes over the student's own step sizes, times ``part``."""
    answered(measure, hs, slopes)
    hs = vector(hs, np.shape(hs), "hs")
    demand(hs.ndim == 1 and len(hs) >= 4, "`hs` must be a list of four or more step sizes.")
    demand((hs > 0).all() and (np.diff(hs) < 0).all(), "`hs` must fall, and stay positive.")
    demand(
        hs[0] / hs[-1] >= 7.9,
        "a slope over less than a factor of 8 in h says little: spread `hs` more.",
    )
    wanted = vector(slopes, (2,), "slopes")
    demand(
        wanted[0] - wanted[1] > 0.7,
        "the predicted slope with the correction must be larger by about 1 than that of the control.",
    )
    found = []
    for factor, name in ((1.0, "with the correction"), (0.0, "of the control")):
        errors = vector(measure(part * hs, factor), hs.shape, "measure", returned=True)
        demand((errors > 0).all(), "an error here is a distance, and positive.")
        scaled = errors / hs ** round(slope(hs, errors))
        bend = scaled - np.polyval(np.polyfit(hs, scaled, 1), hs)
        demand(
            abs(bend).max() > 1e-11 * abs(scaled).max(),
            f"the errors {name} are an exact formula in h: is that measured?",
        )
        found.append((errors, slope(hs, errors), name))
    (with_it, _, _), (without, _, _) = found
    few = vector(measure((1.5 - part) * hs[:2], 1.0), (2,), "measure", returned=True)
    demand(
        not np.allclose(few, with_it[:2], rtol=1e-3, atol=0),
        "at half of the step sizes the errors are the same: `measure` has to use the `hs` that it is given.",
    )
    again = vector(measure(part * hs[:3:2], 1.0), (2,), "measure", returned=True)
    demand(
        np.allclose(again, with_it[:3:2], rtol=1e-6, atol=0),
        "measured again beside other step sizes, two have other errors: the random draws of a step size must be the same whenever it is measured.",
    )
    demand(
        not np.allclose(with_it, without, rtol=1e-6, atol=0),
        "the control has the same errors: `factor` does not reach the correction.",
    )
    ratios = np.diff(np.log(with_it / without)) / np.diff(np.log(hs))
    demand(
        np.ptp(ratios) > 1e-10,
        "the errors with the correction are those of the control times a power of h: is that measured?",
    )
    for (_, measured, name), predicted in zip(found, wanted):
        demand(
            abs(measured - predicted) < 0.2,
            f"you predict the slope {predicted:g} {name} and measure {measured:.2f}. Are the step sizes small enough, and still above rounding? Else the prediction is refuted: say so in the report, and predict anew.",
        )


# --- interval ----------------------------------------------------------------------------------


def interval(interval: Answer, seed: int = 6) -> None:
    """The probability that the interval covers the mean, from its ends in units of the standard error."""
    answered(interval)
    rng = generator(seed)
    shifted = rng.normal(size=5)
    low, high = (np.sum(vector(interval(shifted + by), (2,), "interval", returned=True)) / 2 for by in (0, 10))
    demand(
        abs(high - low - 10) < 5,
        "if all values grow by 10, the interval has to move by 10: it lies about their mean.",
    )
    for n in (int(rng.integers(4, 8)), int(rng.integers(9, 30))):
        ends = []
        for _ in range(6):
            values = rng.normal(rng.uniform(-5, 5), rng.uniform(0.5, 2), n)
            low, high = vector(interval(values.copy()), (2,), "interval", returned=True)
            demand(low < high, "return the lower end first.")
            error = values.std(ddof=1) / np.sqrt(n)
            ends.append((np.array([low, high]) - values.mean()) / error)
        q = np.array(ends) * [-1, 1]
        covers = float(np.mean(student.cdf(q[:, 1], n - 1) - student.cdf(-q[:, 0], n - 1)))
        right = student.ppf(0.975, n - 1)
        if abs(covers - 0.95) > 0.005:
            named = {
                "that is how far single values spread; the mean spreads less, by the root of their number.": right
                * np.sqrt(n),
                "that is the normal distribution's 1.96; with the spread estimated from few values, Student's t is wider.": 1.96,
                "take Student's t instead of 1.96, and estimate the spread with n − 1, not n (`ddof=1`).": 1.96
                * np.sqrt(1 - 1 / n),
                "the standard error of the mean is the spread divided by the root of n, not by n.": right / np.sqrt(n),
                "2 standard errors are too few for few values: take Student's t.": 2.0,
                "the spread must be estimated with n − 1, not n (`ddof=1`).": right * np.sqrt(1 - 1 / n),
                "that leaves out 5 percent on each side; 95 percent leave out 2.5.": student.ppf(0.95, n - 1),
                "one standard error is no interval of 95 percent.": 1.0,
                "Student's t here has n − 1 degrees of freedom, not n − 2.": student.ppf(0.975, max(n - 2, 1)),
                "Student's t here has n − 1 degrees of freedom.": student.ppf(0.975, n),
            }
            for message, width in named.items():
                demand(not np.allclose(q, width, rtol=1e-3), message)
            demand(
                False,
                f"with {n} normal values such an interval covers the mean in {100 * covers:.1f} percent of all cases, not in 95.",
            )


# --- effect and control ------------------------------------------------------------------------

PERIOD = 720720  # of every table of up to 16 numbers


def _interval(values: np.ndarray) -> tuple[float, float]:
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def _computes_with(function: Answer, seed: int, values: np.ndarray) -> bool:
    """Whether a function of a seed moves a little where the seed does; a generator refuses such a seed, or leaps."""
    try:
        near = [number(function(seed + by), "effect", returned=True) for by in (1e-7, 2e-7)]
    except Exception:
        return False
    return 0 < max(abs(value - values[0]) for value in near) < 1e-3 * np.ptp(values)


def seeds(effect: Answer, control: Answer, smallest: Answer, first: int = 0) -> None:
    """One of effect and control must be seen, the other not, over eight seeds."""
    answered(effect, control, smallest)
    size = number(smallest, "smallest")
    demand(size > 0, "`smallest` must be positive: the size below which an effect would not matter.")
    drawn = [first + int(seed) for seed in generator(6 + first).choice(1000, 8, replace=False)]
    verdicts = {}
    for name, function in (("effect", effect), ("control", control)):
        values = np.array([number(function(seed), name, returned=True) for seed in drawn])
        demand(
            number(function(drawn[0]), name, returned=True) == values[0],
            f"`{name}` must give the same number for the same seed: make a generator from the seed, and use no other.",
        )
        demand(
            name == "control" or np.ptp(values) > 0,
            "`effect` is the same for every seed: nothing in it is drawn at random, and an interval means nothing.",
        )
        demand(
            not _computes_with(function, drawn[0], values),
            f"`{name}` computes with the seed as with a number; make a generator from it, and draw from that.",
        )
        demand(
            name == "control" or any(number(function(k + PERIOD), name) != value for k, value in zip(drawn, values)),
            f"`{name}` gives the same for a seed and for that seed + {PERIOD}: it takes its number from a table. Make a generator from the seed, and draw from that.",
        )
        low, high = _interval(values)
        seen = low > size or high < -size
        demand(
            seen or (-size < low and high < size),
            f"the interval of `{name}`, {low:.3g} to {high:.3g}, has ±{size:g} in it and decides nothing. Make its spread smaller, or say before you look what would matter.",
        )
        verdicts[name] = seen
    demand(
        any(verdicts.values()),
        "neither is seen. That nothing happens is a result only if your instrument can see: let `control` be a case where it must.",
    )
    demand(
        not all(verdicts.values()),
        "the control also shows the effect: what you switched off is not its cause, or the switch does not reach it.",
    )
