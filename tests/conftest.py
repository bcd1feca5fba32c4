"""What all tests share: figures are drawn without a screen, and notebooks are timed."""

import matplotlib

# Not through the environment: the notebooks' kernels would inherit it and draw nothing inline.
matplotlib.use("agg")

pytest_plugins = ["pytester", "notebook_clock"]
