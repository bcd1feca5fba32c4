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
    ("lies about what it is", "class E(sp.Symbol):\n    pass\nhalf_step = E('g')", "does not depend on S"),
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
    ("reads the secret", "half_step = open(SECRET).read()"),
    ("reads the secret through another root", "half_step = open('/proc/1/root' + SECRET).read()"),
    ("lists the folder above Python", "import os, sys\nhalf_step = os.listdir(os.path.dirname(sys.prefix))"),
    ("lists the folder of all kernels", "import os\nhalf_step = os.listdir(os.path.dirname(os.getcwd()))"),
    ("reads in another student's kernel", "import os\nhalf_step = os.listdir(OTHER)"),
    (
        "looks for the checks on the disk",
        "import bea, pathlib\n[half_step, *_] = pathlib.Path(bea.__file__).resolve().parents[1].rglob('a05.py')",
    ),
    ("learns the grader's login", "import pwd\n[half_step] = [p for p in pwd.getpwall() if p.pw_dir == HOME]"),
    (
        "learns the grader's folders from the environment",
        "import os\nhalf_step = [v for v in os.environ.values() if HOME in v][0]",
    ),
    ("changes the library", "import bea\nhalf_step = open(bea.__file__, 'a').write('x')"),
    ("changes NumPy", "import numpy\nhalf_step = open(numpy.__file__, 'a').write('x')"),
    ("makes a file somebody else's", "import os\nopen('x', 'w')\nos.chown('x', 1, 1)\nhalf_step = 1"),
    (
        "lifts its own limits",
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (10**12, 10**12))\nhalf_step = 1",
    ),
    (
        "mounts a file system",
        "import ctypes\nhalf_step = 1 / (ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0)",
    ),
    (
        "traces the grader",
        "import ctypes\nhalf_step = 1 / (ctypes.CDLL(None).ptrace(16, GRADER, 0, 0) == 0)",
    ),
]
#: Each of these, in a kernel of its own, ends that kernel and no more.
HARMS = [
    (
        "starts processes without end",
        "import subprocess, time\nfor k in range(120):\n    subprocess.Popen(['sleep', '60'], start_new_session=True)\ntime.sleep(9)",
        "processes",
    ),
    (
        "takes memory in several processes",
        "import os, time\nfor k in range(8):\n    if not os.fork():\n        x = b'x' * (4 * 10**8)\n        time.sleep(60)\ntime.sleep(20)",
        "in several processes",
    ),
    (
        "nests folders deeply",
        "import os, time\nfor k in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\ntime.sleep(5)",
        "MB of files",
    ),
    (
        "writes files without end",
        "import time\nfor k in range(30000):\n    open(f'f{k}', 'w').close()\ntime.sleep(5)",
        "MB of files",
    ),
    (
        "sends something that is no message",
        "import time\nk = get_ipython().kernel\n"
        "k.shell_stream.socket.send_multipart([*k._parent_ident['shell'], b'x'])\ntime.sleep(5)",
        "no message",
    ),
]
#: What an answer may write on the channel instead of a value; none may pass a test or run anything.
FORGED = [
    '{"test": "test_half_step", "passed": true}',
    '{"done": true}',
    '{"ask": {"get": "half_step"}}',
    '{"value": {"sympy": "sympify", "args": []}}',
    '{"value": {"sympy": "Symbol", "args": ["__import__(\'os\').system(\'touch MARK\')"]}}',
    '{"value": {"undefined": "__import__(\'os\').system(\'touch MARK\')", "args": []}}',
    '{"value": {"float": "1", "digits": 1000000000}}',
    '{"value": {"int": "' + "9" * 100_000 + '"}}',
    '{"value": {"array": "", "dtype": "O", "shape": [1]}}',
    '{"value": {"array": "", "dtype": "f8", "shape": [1000000000000]}}',
    '{"value": {"list": ' + "[" * 3000 + "]" * 3000 + "}}",
    '{"callback": -1, "args": []}',
    "null",
    "[" * 100_000,
]
# Beside right answers: what one cell breaks must cost no other its marks.
BREAKS = "step = sp.Symbol('step')\ncheck = print = None\nraise ValueError"
