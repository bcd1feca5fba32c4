"""How many inputs Hypothesis draws for a test: the same ones every time, or, with FUZZ=n, n times as many new ones."""

import os

from hypothesis import HealthCheck, Phase, settings

FUZZ = int(os.environ.get("FUZZ", "0"))


def draws(examples):
    """Settings for `examples` draws, or for FUZZ times as many, which --hypothesis-seed repeats."""
    return settings(
        max_examples=examples * max(FUZZ, 1),
        derandomize=not FUZZ,
        deadline=None,
        database=None,
        print_blob=True,
        # An example that is found is told as it is: to make it smaller takes longer than to find it.
        phases=[Phase.explicit, Phase.generate] if FUZZ else tuple(Phase),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much] if FUZZ else [],
    )
