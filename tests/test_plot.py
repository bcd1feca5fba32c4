"""Figures draw all that they are given, or say what they need."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from bea import Study
from bea_book import plot


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 3), (3, 4, 2)])
@pytest.mark.parametrize("draw", [plot.iterates, plot.plain_flow, plot.modified_flow])
def test_paths_that_are_not_of_one_run_in_a_plane_are_refused(draw, shape):
    with pytest.raises(ValueError, match=re.escape(f"a path of shape {shape} was given; allowed is (points, 2)")):
        draw(Figure().subplots(), np.ones(shape))


@pytest.mark.parametrize("count", [0, 7])
def test_no_study_goes_without_a_colour(count):
    hs = np.array([0.1, 0.05])
    studies = {f"order {k}": Study(hs, hs**k) for k in range(1, count + 1)}
    with pytest.raises(ValueError, match=f"{count} studies were given; allowed are 1 to 6"):
        plot.error_lines(Figure().subplots(), studies)
