"""Heavy ball on the bilinear model by loops, and the slope of errors: what the claim tests of chapters 6 and 7 share."""

import numpy as np


def gradient(theta):  # of the bilinear model, by hand
    return -2 * (1.5 - 2 * theta[0] * theta[1]) * theta[::-1]


def heavy_ball(theta, beta, step, count, slope=gradient, last=0.0):
    """The recursion with the last step, as printed: no factor 1 - beta; ``beta`` may be a list, one for each step."""
    path, move = [np.array(theta, dtype=float)], last
    for n in range(count):
        now = beta[n] if np.ndim(beta) else beta
        move = now * move - step * slope(path[-1])
        path.append(path[-1] + move)
    return np.array(path)


def slope_of(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]
