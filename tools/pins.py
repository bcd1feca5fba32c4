"""Write constraints.txt from what pip says that it would install.

    python -m tools.pins report.json constraints.txt

`make constraints` runs this; it needs no environment.
"""

import json
import sys
from pathlib import Path


def pins(report):
    """`name==version` of every package in pip's report, sorted; a build's own label such as +cpu goes."""
    found = [item["metadata"] for item in report["install"] if "dir_info" not in item["download_info"]]
    lines = [f"{data['name']}=={data['version'].partition('+')[0]}" for data in found]
    return sorted(lines, key=str.lower)


def main():
    report, target = map(Path, sys.argv[1:])
    comment = [line for line in target.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
    lines = comment + pins(json.loads(report.read_text(encoding="utf-8")))
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
