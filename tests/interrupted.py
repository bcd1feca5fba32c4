"""What Ctrl-C does, without a keyboard."""

import signal
from contextlib import contextmanager

import pytest


@contextmanager
def interrupted(seconds):
    """What is done inside must end by a KeyboardInterrupt, which comes after so many seconds of processor time."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGVTALRM, interrupt)
    # Again and again, if a callback of another library swallows the first.
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
