"""Answers that break something, and what the report must say: (title, code, said)."""

FAULTS = [
    ("loops for ever", "while True:\n    pass", "did not end within"),
    (
        "sleeps for ever, and catches what it can",
        "import time\nwhile True:\n    try:\n        time.sleep(100)\n    except BaseException:\n        pass",
        "did not end within",
    ),
    ("calls exit()", "exit()", "called exit()"),
    ("ends Python", "import os\nos._exit(0)", "ended Python"),
    (
        "writes outside its folder",
        "open('../outside.txt', 'w').write('x')",
        "write outside its own folder",
    ),
    (
        "writes outside, and hides the error",
        "try:\n    open('../outside.txt', 'w').write('x')\nexcept Exception:\n    pass",
        "write outside its own folder",
    ),
    (
        "removes a file outside",
        "import os\nos.remove('../outside.txt')",
        "change files outside its own folder",
    ),
    ("fills the disk", "open('big', 'wb').write(bytes(10**8))", "File too large"),
    ("prints a gigabyte", "for _ in range(1000):\n    print('x' * 10**6)", "printed more than"),
    ("takes 20 gigabytes", "x = bytes(20 * 10**9)", "too much memory"),
    ("starts a program", "import subprocess\nsubprocess.run(['true'])", "start programs"),
    ("forks", "import os\nos.fork()", "start programs"),
    (
        "uses the network",
        "import socket\nsocket.create_connection(('127.0.0.1', 9))",
        "use the network",
    ),
    (
        "reads the source of the assignment",
        "open(SOURCE).read()",
        "read files that are not its own",
    ),
    ("crashes", "import ctypes\nctypes.string_at(0)", "ended Python"),
    ("recurses for ever", "def f():\n    return f()\nf()", "RecursionError"),
    ("is no Python", "def f(:", "SyntaxError"),
]
# Beside right answers: what one cell breaks must cost no other its marks.
BREAKS = "import numpy, sympy\nnumpy.allclose = sympy.diff = np = sp = check = print = None\nraise ValueError"
