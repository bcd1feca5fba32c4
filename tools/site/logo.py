"""Draw the book's mark: chapters/assets/logo.svg, and logo.png where a picture of pixels is wanted.

    python -m tools.site.logo

A rotation has circles as its flow (green).  Euler's method steps outwards (dots), on a spiral that
is the flow of another equation (blue): the one that backward error analysis finds.  The colours are
Okabe and Ito's; each has a contrast of at least 3 with white and with the theme's dark ground.
"""

from pathlib import Path

import numpy as np

ASSETS = Path(__file__).resolve().parents[2] / "chapters" / "assets"
SIZE = 32  # the picture's width and height, in its own units
LINE, DOT = 3.0, 3.3  # line width and radius
CIRCLE, SPIRAL, DOTS = "#009E73", "#0072B2", "#D55E00"


def curves(h=0.8, steps=3, start=0.54 - 0.84j):
    """Circle, spiral and iterates of z' = iz as complex numbers, scaled into the picture, y upwards."""
    circle = start * np.exp(1j * np.linspace(0, 2 * np.pi, 61))
    iterates = start * (1 + 1j * h) ** np.arange(steps + 1)
    # (1 + ih)^n = exp(n log(1 + ih)): the flow of z' = log(1 + ih)/h z meets every iterate.
    spiral = start * np.exp(np.linspace(0, steps, 31) * np.log(1 + 1j * h))
    every = np.concatenate([circle, spiral])
    x, y = every.real, every.imag
    scale = (SIZE - 2 * DOT - 0.6) / max(np.ptp(x), np.ptp(y))
    middle = complex(x.min() + x.max(), y.min() + y.max()) / 2
    return [scale * (z - middle) + SIZE / 2 * (1 + 1j) for z in (circle, spiral, iterates)]


def svg():
    circle, spiral, iterates = curves()

    def path(points, color):
        places = " ".join(f"{z.real:.1f} {SIZE - z.imag:.1f}" for z in points)
        return f'<path stroke="{color}" d="M{places}"/>'

    dots = "".join(f'<circle cx="{z.real:.1f}" cy="{SIZE - z.imag:.1f}" r="{DOT}"/>' for z in iterates)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}">\n'
        f'<g fill="none" stroke-width="{LINE}" stroke-linecap="round">\n'
        f"{path(circle, CIRCLE)}\n{path(spiral, SPIRAL)}\n</g>\n"
        f'<g fill="{DOTS}">{dots}</g>\n</svg>\n'
    )


def save_png(path, pixels=180):
    """On white, since home screens and social cards show no transparent ground well."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1), dpi=pixels, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, SIZE), ylim=(0, SIZE))
    axes.set_axis_off()
    points = 72 / SIZE  # one unit of the picture, in points
    for z, color in zip(curves(), (CIRCLE, SPIRAL)):
        axes.plot(z.real, z.imag, color=color, lw=LINE * points, solid_capstyle="round")
    z = curves()[2]
    axes.plot(z.real, z.imag, "o", color=DOTS, ms=2 * DOT * points, mew=0)
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    (ASSETS / "logo.svg").write_text(svg(), encoding="utf-8")
    save_png(ASSETS / "logo.png")
