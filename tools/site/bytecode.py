"""Put bytecode into wheels, so that the browser's Python need not compile them at every start.

`bytecode.mjs` runs this in that Python.  The book's own packages keep their source, which readers look at.
"""

import marshal
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path
from zipfile import ZipFile, ZipInfo


def compiled(name, source):
    """The content of a .pyc file that Python takes without a look at the source."""
    code = compile(source, name, "exec", dont_inherit=True)
    return MAGIC_NUMBER + bytes([1, 0, 0, 0]) + source_hash(source) + marshal.dumps(code)


def compile_wheel(wheel):
    """Add the bytecode to a wheel, in place; only packages whose name starts with bea keep their source."""
    with ZipFile(wheel) as old:
        files = {info: old.read(info) for info in old.infolist()}
    with ZipFile(wheel, "w") as new:
        for info, content in files.items():
            name, is_own = info.filename, info.filename.startswith("bea")
            if not name.endswith(".py") or is_own:
                new.writestr(info, content)
            if name.endswith(".py"):
                place = ZipInfo(cache_from_source(name) if is_own else f"{name}c", info.date_time)
                place.compress_type = info.compress_type
                new.writestr(place, compiled(name, content))


if __name__ == "__main__":
    for path in Path("/wheels").iterdir():
        if path.suffix in (".whl", ".zip"):
            compile_wheel(path)
