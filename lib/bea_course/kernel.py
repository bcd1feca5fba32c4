"""One student's notebook in a Jupyter kernel of its own, under limits.

The kernel is a new process that has never had a solution, a test or another student's file in its
memory.  It gets the notebook's cells one by one; then the examiner's requests pass over the channel
on which a notebook asks for input, and only plain values come back.
"""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from bea_course.fence import Fence, fence, library_folders
from bea_course.wire import LARGEST, line_of

__all__ = ["Fault", "Kernel", "Limits", "Spent"]

BUSY = (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)  # also of what waits for the processor

STUB = '''"""What answers see of the course: nothing."""
class Wrong(AssertionError):
    pass
def checks_of(assignment):
    return lambda *answers: None
'''
SERVE = "import bea_course.agent as _a; _a.serve(get_ipython().user_ns, get_ipython().kernel.raw_input)"


@dataclass(frozen=True)
class Limits:
    """What a notebook may use: seconds for a cell or for the tests of a question, bytes of memory, bytes of
    a file, bytes of all files together, processes, kernels that it may end, and seconds for all of it.

    Seconds are those of the processor, and apart from these as many in which nothing runs: a program that
    waits for the processor loses none, so that a busy machine costs nobody marks.
    """

    seconds: float = 20
    memory: int = 1_000_000_000
    file: int = 10_000_000
    disk: int = 100_000_000
    processes: int = 50
    kernels: int = 6
    whole: float = 1800


class Spent(NamedTuple):
    """Seconds: of the processor for a kernel and for its tests, and of waiting for nothing."""

    kernel: float = 0.0
    tests: float = 0.0
    idle: float = 0.0

    def plus(self, other: "Spent") -> "Spent":
        """Each of the three, added."""
        return Spent(*(a + b for a, b in zip(self, other)))


class Fault(Exception):
    """Ends a cell or a question without marks; the text goes on "it ..."."""


def size_of(folder: Path, most: int) -> int:
    """The bytes of all files in a folder, of which each takes a block, up to ``most`` and a little more.

    What is too deep to be looked at counts as too much.
    """
    total, waiting = 0, [str(folder)]
    while waiting and total <= most:
        place = waiting.pop()
        if len(place) > 3000:
            return most + 1
        with contextlib.suppress(OSError):
            for entry in os.scandir(place):
                total += max(4096, entry.stat(follow_symlinks=False).st_size)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return total


def adopt_orphans() -> None:
    """Become the parent of every process that a kernel leaves behind, so that it can be ended (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def readable(text: str) -> str:
    """Text that comes from an answer, without what would command a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


class Kernel:
    """A Jupyter kernel behind the fence; a context manager, which ends it and all that it started."""

    def __init__(self, limits: Limits = Limits(), around: Fence | None = None) -> None:
        self.limits, self.fence = limits, around or fence()
        self.folder = Path(tempfile.mkdtemp(prefix="bea-")).resolve()
        self.process: subprocess.Popen[bytes] | None = None
        self.examiner: tuple[int, float] | None = None  # the process of the tests, and what was spent before it
        self.spent, self.until, self.looked = Spent(), Spent(), 0.0
        self.others = {child.pid for child in psutil.Process().children()}
        try:
            self._furnish()
            self._start()
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _furnish(self) -> None:
        """Put into the folder what a kernel needs: the agent, the library, and Matplotlib's list of fonts."""
        own, stub = Path(__file__).parent, self.folder / "lib" / "bea_course"
        stub.mkdir(parents=True)
        (stub / "__init__.py").write_text(STUB, encoding="utf-8")
        for name in ("agent.py", "wire.py"):
            shutil.copy(own / name, stub)
        for name, path in library_folders().items():
            place = self.folder / "lib" / name
            place.mkdir() if self.fence.whole else place.symlink_to(path)
        (self.folder / "mpl").mkdir()
        with contextlib.suppress(ImportError):
            import matplotlib

            for path in Path(matplotlib.get_cachedir()).glob("fontlist*.json"):
                shutil.copy(path, self.folder / "mpl")

    def _start(self) -> None:
        connection, _ = write_connection_file(
            str(self.folder / "k.json"), transport="ipc", ip=str(self.folder / "s"), key=os.urandom(16).hex().encode()
        )
        if self.fence.user is not None:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, self.fence.user, self.fence.user, follow_symlinks=False)
        adopt_orphans()
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", connection, "--quiet"]
        self.process = subprocess.Popen(
            self.fence.around(command, self.folder),
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=self._limit,
        )
        self.context = zmq.Context()
        self.context.setsockopt(zmq.MAXMSGSIZE, LARGEST + 10**6)
        self.client = BlockingKernelClient(connection_file=connection, context=self.context)
        self.client.load_connection_file()
        # No channel for output: nobody listens to what answers print, so it costs nothing.
        self.client.start_channels(shell=True, iopub=False, stdin=True, hb=False, control=True)
        self.client.kernel_info()
        self._reply(lambda message: message["msg_type"] == "kernel_info_reply", 60)
        extra = f"import bea_course.agent as _a; _a.prepare({self.limits.memory}); del _a"
        if self.run("import bea, numpy, sympy\n" + extra) is not None:
            raise RuntimeError("a kernel started, but could not import the library")

    def _environment(self) -> dict[str, str]:
        here = str(self.folder)
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": here,
            "TMPDIR": here,
            "IPYTHONDIR": here + "/ipython",
            "MPLCONFIGDIR": here + "/mpl",
            "PYTHONPATH": here + "/lib",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PIP_NO_INDEX": "1",
            "LANG": "C.UTF-8",
        }

    def _limit(self) -> None:
        """What the new process does before it becomes a kernel: take its limits, and end with the grader."""
        import resource

        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.limits.file, self.limits.file))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if self.fence.user is not None:  # counted per user: only where no other process has this one
            resource.setrlimit(resource.RLIMIT_NPROC, (200, 200))

    # --- what it uses --------------------------------------------------------------------------

    def _look(self) -> bool:
        """Read what the kernel, all that it started and its examiner have used; whether one of them runs or could."""
        used, memory, many, busy = 0.0, 0, 0, False
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(self.process.pid if self.process else None)
            for process in (first, *first.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    used += sum(process.cpu_times()[:4])  # also of its children that have ended
                    memory += process.memory_info().rss
                    many += 1
                    busy |= process.status() in BUSY
        tests = self.spent.tests
        with contextlib.suppress(psutil.Error):
            if self.examiner:
                examiner = psutil.Process(self.examiner[0])
                tests = self.examiner[1] + sum(examiner.cpu_times()[:2])
                busy |= examiner.status() in BUSY
        self.spent = Spent(max(self.spent.kernel, used), tests, self.spent.idle)
        if many > self.limits.processes:
            raise Fault(f"started more than {self.limits.processes} processes")
        if memory > 2 * self.limits.memory:
            raise Fault("took too much memory in several processes")
        return busy

    def _watch(self, quiet: bool = True) -> None:
        """Raise Fault if the kernel has ended or has filled its folder, TimeoutError if its time is up.

        ``quiet`` says that nothing has come from it for a while.
        """
        if self.process is None or self.process.poll() is not None:
            raise Fault("ended Python")
        now, before = time.monotonic(), sum(self.spent)
        if now < self.looked + 0.4:
            return
        if size_of(self.folder, self.limits.disk) > self.limits.disk:
            raise Fault(f"wrote more than {self.limits.disk // 10**6} MB of files")
        if not self._look() and quiet:
            idle = max(0.0, min(now - self.looked, 1) - (sum(self.spent) - before))
            self.spent = self.spent.plus(Spent(idle=idle))
        self.looked = now
        if any(a > b for a, b in zip(self.spent, self.until)):
            raise TimeoutError

    def _allow(self, seconds: float) -> None:
        """Let what comes now take so many seconds."""
        self._look()
        self.looked = time.monotonic()
        self.until = self.spent.plus(Spent(seconds, seconds, seconds))

    # --- talking to it -------------------------------------------------------------------------

    def _reply(self, is_it: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        """The next message on the shell channel that is the one; raises Fault, and TimeoutError."""
        self._allow(seconds)
        while True:
            came = self.client.shell_channel.socket.poll(200)
            if came and is_it(message := self._message(self.client.get_shell_msg)):
                return message
            self._watch(not came)

    def _message(self, get: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        """The next message on a channel; raises Fault if it is not in Jupyter's form."""
        try:
            message = get(timeout=1)
            _ = message["msg_type"], message["content"], message["parent_header"].get("msg_id")
        except Exception:
            raise Fault("sent something that is no message of a kernel") from None
        return message

    def _stop(self, message_id: str) -> bool:
        """Interrupt what runs; whether the kernel obeyed."""
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))
        try:
            self._reply(lambda message: message["parent_header"].get("msg_id") == message_id, 3)
        except (TimeoutError, Fault):
            return False
        return True

    def run(self, source: str) -> str | None:
        """Run a cell; returns None, or the text of the exception that it raised.

        Raises
        ------
        Fault
            If the kernel is gone.
        """
        mine = self.client.execute(source, store_history=True, allow_stdin=False, stop_on_error=False)
        try:
            reply = self._reply(lambda message: message["parent_header"].get("msg_id") == mine, self.limits.seconds)
        except TimeoutError:
            if not self._stop(mine):
                raise Fault(f"did not end within {self.limits.seconds:g} seconds") from None
            return f"it did not end within {self.limits.seconds:g} seconds"
        content = reply["content"]
        if content.get("status") == "ok":
            return None
        name, text = str(content.get("ename", "error"))[:80], str(content.get("evalue", ""))
        text = re.sub(r" \(\S*\.py, line (\d+)\)$", r" in its line \1", text.splitlines()[0][:300] if text else "")
        return readable(f"{name}: {text}")

    def converse(self, descriptor: int, write: Callable[[str], None], take: Callable[[str], bool]) -> None:
        """Let an examiner ask for values: pass on the kernel's lines by ``write``, and its requests.

        ``descriptor`` is what the examiner writes to, lines of JSON: those with ``ask`` are for the
        kernel, the others go to ``take``, which returns False for the last.  Raises Fault.
        """
        mine = self.client.execute(SERVE, silent=True, store_history=False, allow_stdin=True)
        stdin, shell = self.client.stdin_channel.socket, self.client.shell_channel.socket
        poller, buffer, waiting, ready = zmq.Poller(), b"", False, {}
        for source in (stdin, shell, descriptor):
            poller.register(source, zmq.POLLIN)
        self._allow(self.limits.seconds)
        while True:
            try:
                self._watch(not ready)
            except TimeoutError:
                if waiting:
                    self._end_serving(mine)  # it is the examiner that takes so long, over a value
                elif not self._stop_serving(mine):
                    raise Fault(f"did not end within {self.limits.seconds:g} seconds") from None
                raise
            ready = dict(poller.poll(200))
            if stdin in ready:
                message = self._message(self.client.get_stdin_msg)
                if message["msg_type"] == "input_request":
                    write(str(message["content"].get("prompt", "")))
                    waiting = True
            if shell in ready:
                message = self._message(self.client.get_shell_msg)
                if message["parent_header"].get("msg_id") == mine:
                    raise Fault("stopped answering")
            if descriptor in ready:
                data = os.read(descriptor, 65536)
                *lines, buffer = (buffer + data).split(b"\n")
                for line in map(bytes.decode, lines):
                    if line.startswith('{"ask"'):
                        self.client.input(line_of(json.loads(line)["ask"]))
                        waiting = False
                    elif not take(line):
                        self._end_serving(mine)
                        return
                if not data:
                    self._end_serving(mine)
                    return

    def _end_serving(self, message_id: str) -> None:
        self.client.input('{"stop": true}')
        with contextlib.suppress(TimeoutError):
            self._reply(lambda message: message["parent_header"].get("msg_id") == message_id, 2)

    def _stop_serving(self, message_id: str) -> bool:
        """Interrupt a function that runs for too long; whether the kernel can be used again."""
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))
        self._allow(3)
        while not self.client.stdin_channel.socket.poll(200):
            try:
                self._watch()
            except (TimeoutError, Fault):
                return False
        self._message(self.client.get_stdin_msg)
        self._end_serving(message_id)
        return True

    def end(self) -> None:
        """End the kernel, all that it started, and its folder."""
        if self.process is not None:
            with contextlib.suppress(Fault):
                self._look()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
            for _ in range(3):  # what left the group is a child of this process now
                for child in psutil.Process().children(recursive=True):
                    if child.pid not in self.others:
                        with contextlib.suppress(psutil.Error):
                            child.kill()
                            child.wait(1)
        if hasattr(self, "client"):
            self.client.stop_channels()
            self.context.destroy(linger=0)
        subprocess.run(["rm", "-rf", self.folder], stderr=subprocess.DEVNULL)  # also what is nested deeply
