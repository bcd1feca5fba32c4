"""Answers that break something, and what the report must say: (title, code, said)."""

#: These end the kernel.
ENDS = [
    (
        "sleeps for ever, and catches what it can",
        "import time\nwhile True:\n    try:\n        time.sleep(100)\n    except BaseException:\n        pass",
        "did not end within",
    ),
    ("ends Python", "import os\nos._exit(0)", "ended Python"),
    (
        "ends Python in a thread",
        "import os, threading\nthreading.Thread(target=os._exit, args=(1,)).start()\nimport time\ntime.sleep(9)",
        "ended Python",
    ),
    (
        "fills the disk",
        "for k in range(10**6):\n    open(f'big{k}', 'wb').write(bytes(9 * 10**6))",
        "MB of files",
    ),
    ("crashes", "import ctypes\nctypes.string_at(0)", "ended Python"),
]
#: These stop a cell.
FAULTS = [
    ("loops for ever", "while True:\n    pass", "did not end within"),
    ("fills a file", "open('big', 'wb').write(bytes(10**8))", "File too large"),
    ("takes 20 gigabytes", "x = bytes(20 * 10**9)", "MemoryError"),
    ("recurses for ever", "def f():\n    return f()\nf()", "RecursionError"),
    ("is no Python", "def f(:", "SyntaxError"),
    ("asks for input", "x = input()", "StdinNotImplementedError"),
    ("takes the checks", "from bea_course.checks import a05", "ModuleNotFoundError"),
    (
        "looks for the solutions in its memory",
        "import gc\n[o for o in gc.get_objects() if type(o).__name__ == 'Question'][0].solution",
        "IndexError",
    ),
]
#: These are values that cannot be tested.
VALUES = [
    ("is a list without end", "half_step = [1]\nhalf_step.append(half_step)", "RecursionError"),
    (
        "takes the examiner's time",
        "half_step = sp.Pow(10, sp.Pow(10, 10, evaluate=False), evaluate=False)",
        "",
    ),
    ("is large", "half_step = 'x' * 3 * 10**7", "too large"),
    ("lies about what it is", "class E(sp.Symbol):\n    pass\nhalf_step = E('g')", "not ½"),
]
#: With no more than these, none of what is tried here may succeed: {title: code that sets `half_step`}.
REACH = [
    ("writes outside its folder", "import os\nhalf_step = open(OUTSIDE, 'w').write('x')"),
    ("removes a file outside", "import os\nhalf_step = os.remove(MARKED)"),
    ("reads the source of the assignment", "half_step = open(SOURCE).read()"),
    ("uses the network", "import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)\nhalf_step = 1"),
    ("ends the grader", "import os, signal\nos.kill(GRADER, signal.SIGKILL)\nhalf_step = 1"),
    (
        "ends the grader by its descriptor",
        "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open(GRADER), 9)\nhalf_step = 1",
    ),
    ("reads another's memory", "half_step = len(os.listdir(f'/proc/{GRADER}/fd'))"),
]
# Beside right answers: what one cell breaks must cost no other its marks.
BREAKS = "step = sp.Symbol('step')\ncheck = print = None\nraise ValueError"
