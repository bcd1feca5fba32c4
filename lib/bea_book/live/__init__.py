"""Live figures, whose sliders move continuously: `bea` in the reader's browser.

``traces`` makes data of optimizers and losses, ``engine.js`` computes with them, ``phase_plane`` and
``figure.js`` draw.
"""

from bea_book.live.phase_plane import LiveFigure, figure
from bea_book.live.traces import engine, loss_data, program_data

__all__ = ["LiveFigure", "engine", "figure", "loss_data", "program_data"]
