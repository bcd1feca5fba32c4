"""What a student's kernel may reach: the strongest fence that this machine has.

With bubblewrap a kernel sees Python, the library ``bea`` and a folder of its own, read-only but for
that folder, and neither the network nor a process of anybody else.  Without it, what is left is said
by :attr:`Fence.says`, which every report shows.
"""

import importlib.util
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Fence", "fence"]

FIRST = 200_000  # of the users that kernels run as, where they run as others


@dataclass(frozen=True)
class Fence:
    """How kernels are confined: ``kind``, what to say of it, and whether each runs as a user of its own."""

    kind: str
    says: str
    users: bool = False

    @property
    def whole(self) -> bool:
        """Whether files, network and processes are all out of reach."""
        return self.kind == "bubblewrap"

    @property
    def user(self) -> int | None:
        """The user of the kernels of this process, which are one after another; None for the grader's own."""
        return FIRST + os.getpid() if self.users else None

    def around(self, command: Sequence[str], folder: Path) -> list[str]:
        """The command that runs ``command`` inside the fence, with ``folder`` to write in."""
        if self.kind == "bubblewrap":
            return [*bubblewrap(folder), *command]
        other = [found("setpriv"), f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        other += ["--no-new-privs", "--pdeathsig=KILL"]
        apart = [found("unshare"), "--net", "--pid", "--ipc", "--mount", "--fork", "--kill-child", "--mount-proc"]
        before = {"user and namespaces": [*apart, *other], "user": other}
        return [*before.get(self.kind, []), *command]


def found(program: str) -> str:
    """Where a program is; a kernel's own PATH need not have it."""
    return shutil.which(program) or program


def library_folders() -> dict[str, Path]:
    """Where the packages are that answers may import."""
    found = {}
    for name in ("bea", "bea_book"):
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            found[name] = Path(spec.origin).resolve().parent
    return found


def bubblewrap(folder: Path) -> list[str]:
    """The part of a command line that fences, for a kernel that writes in ``folder`` only."""
    line = [found("bwrap"), "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for top in map(Path, ("/bin", "/sbin", "/lib", "/lib64")):
        if top.is_symlink():
            line += ["--symlink", os.readlink(top), str(top)]
        elif top.exists():
            line += ["--ro-bind", str(top), str(top)]
    roots = ["/usr", *dict.fromkeys(str(Path(p).resolve()) for p in (sys.base_prefix, sys.prefix))]
    roots += [p for p in (sys.base_prefix, sys.prefix) if p not in roots]
    above = {parent for root in (*roots, folder) for parent in Path(root).parents}
    for parent in sorted(above - {Path("/")}):  # can be passed and not listed
        line += ["--perms", "0111", "--dir", str(parent)]
    for root in roots:
        line += ["--ro-bind", root, root]
    for name in ("ld.so.cache", "fonts", "localtime"):
        line += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for place in map(Path, site.getsitepackages()):  # an installed copy of the checks, if there is one
        inside = place / "bea_course"
        if inside.is_dir() and any(place.is_relative_to(root) for root in roots):
            line += ["--tmpfs", str(inside), "--remount-ro", str(inside)]
    line += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--bind", str(folder), str(folder)]
    for name, path in library_folders().items():
        line += ["--ro-bind", str(path), str(folder / "lib" / name)]
    return [*line, "--remount-ro", "/", "--chdir", str(folder), "--"]


FENCES = (
    Fence("bubblewrap", "Fenced by bubblewrap: no network, no files of others, own processes."),
    Fence(
        "user and namespaces",
        "NOT FENCED WHOLLY (no bubblewrap): another user, no network, own processes; it can read, and write, what all may.",
        True,
    ),
    Fence("user", "NOT FENCED WHOLLY (no bubblewrap): another user only; the network is open.", True),
    Fence("none", "NOT FENCED: answers run as you, with your files and network. Install bubblewrap."),
)


def works(one: Fence) -> bool:
    """Whether a Python starts inside this fence."""
    import tempfile

    if one.kind == "none":
        return True
    if one.kind == "bubblewrap" and not shutil.which("bwrap"):
        return False
    if one.users and (os.geteuid() != 0 or not shutil.which("setpriv")):
        return False
    with tempfile.TemporaryDirectory(prefix="bea-") as folder:
        os.chmod(folder, 0o755)
        (Path(folder) / "lib").mkdir()
        command = one.around([sys.executable, "-c", "import zmq, numpy"], Path(folder).resolve())
        environment = {"PATH": os.environ.get("PATH", ""), "OPENBLAS_NUM_THREADS": "1"}
        try:
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return False
    return done.returncode == 0


@cache
def fence(kind: str | None = None) -> Fence:
    """The strongest fence that works here, or the one of this kind.

    Raises
    ------
    SystemExit
        If the machine does not have the fence that is asked for.
    """
    for one in FENCES:
        if kind in (None, one.kind) and works(one):
            return one
    raise SystemExit(f"this machine has no fence {kind!r}; there are: {', '.join(f.kind for f in FENCES)}")
