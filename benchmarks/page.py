"""The page chapters/benchmarks.md, made from benchmarks/results.json and from nothing else.

python benchmarks/page.py          (writes it again, without measuring)
"""

import json
from pathlib import Path
from statistics import median, mode

from measure import ANEW, LOOP, WARM, target

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "chapters" / "benchmarks.md"
#: In the page's order.
SECTIONS = {"fields": "Modified fields", "runs": "Runs", "networks": "Networks", "flows": "Flows"}
DRAW = 1.2  # a ratio that differs from its target by at most this factor decides nothing: sessions differ by as much
TEXT = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")


def number(value):
    """Three digits, as one reads them."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds):
    unit, size = ("s", 1) if seconds >= 1 else ("ms", 1e-3) if seconds >= 1e-3 else ("µs", 1e-6)
    return f"{number(seconds / size)} {unit}"


def outcome(target):
    """met, a draw, or NOT MET and by which factor it is missed."""
    factor = (target["value"] / target["bound"]) ** (1 if target["sense"] == "at least" else -1)
    if max(factor, 1 / factor) <= DRAW:
        return "draw"
    return "met" if factor > 1 else f"**NOT MET**, {1 / factor:.3g}× short"


def table(head, align, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(align) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def renewed(result):
    """Targets for the rivals where the library gets other hyper-parameters in every run, as a sweep gives them."""
    seconds = {row["name"]: row["seconds"] for row in result.get("rows", []) if result["kind"] == "comparison"}
    return [target(f"{name} / {ANEW}", theirs / seconds[ANEW], "at least", 1) for name, theirs in seconds.items()
            if ANEW in seconds and not name.startswith(("bea", LOOP))]  # fmt: skip


def shown(result):
    """One result as Markdown."""
    after = ""
    if result["kind"] == "comparison":
        rows = [[row.get("label", row["name"]), duration(row["seconds"]), number(row["ratio"]),
                 f"{number(row['low'])} to {number(row['high'])}" if row["rounds"] > 1 and row["name"] != result["ours"] else "",
                 str(row["rounds"])] for row in result["rows"] if row["name"] != LOOP]  # fmt: skip
        head = ["method", "median time", f"ratio to {result['ours']}", "smallest to largest ratio", "rounds"]
        body = table(head, ["---", *["---:"] * 4], rows)
        after = f"Agreement: {result['agreement']}.\n"
    elif result["kind"] == "growth":
        rows = [[f"{x:,}", duration(seconds)] for x, seconds in result["points"]]
        body = table([result["variable"], "median time"], ["---:", "---:"], rows)
        after = f"From {result['fit_from']:,} {result['variable']} upwards the time grows with the power {result['exponent']:.2f} of their number (a line fitted to the logarithms).\n"
    else:
        rows = [[what, f"{number(value)} {unit}".strip()] for what, value, unit in result["rows"]]
        body = table(["what", "measured"], ["---", "---:"], rows)
    notes = "".join(f"{sentence.strip()}\n" for sentence in result["note"].split("  ") if sentence)
    return f"### {result['title']}\n\n{body}\n\n{after}{notes}".rstrip("\n")


def page(results):
    """The page's text, from what was measured: {section/row: where, code, result}."""
    found = [row["result"] for row in results.values()]
    lost, short, met = [], [], []
    for result, wanted in [(one, wanted) for one in found for wanted in one.get("targets", []) + renewed(one)]:
        bound = f"{wanted['sense']} {number(wanted['bound'])}"
        row = [result["title"], wanted["what"], bound, number(wanted["value"]), outcome(wanted)]
        if result["kind"] == "comparison" and wanted["value"] < 1:
            lost.append([*row, f"{number(1 / wanted['value'])}×"])
        else:
            (short if row[-1].startswith("*") else met).append(row)
    head, align = ["table", "quantity", "target", "measured", "result"], ["---", "---", "---:", "---:", "---"]
    compared = [result for result in found if result["kind"] == "comparison"]
    missing = {name: why for result in compared for name, why in result["missing"].items()}
    rivals = [row for result in compared for row in result["rows"]
              if row["name"] not in (result["ours"], LOOP) and row["rounds"] > 1]  # fmt: skip
    loops = [row["seconds"] for result in compared for row in result["rows"] if row["name"] == LOOP]
    codes = [row["code"] for row in results.values()]
    others = [result["title"] for result, code in zip(found, codes) if code != mode(codes)]
    where, sections = {}, {section: [] for section in SECTIONS}
    for name, row in results.items():
        section = name.split("/")[0]
        where.setdefault(row["where"], {})[SECTIONS[section]] = None
        sections[section].append(shown(row["result"]))
    return TEXT.format(
        where="\n".join(f"- {', '.join(names)}: {text}" for text, names in where.items()), but=f", except: {'; '.join(others)}" if others else "",
        draw=DRAW, warm=WARM, noise=f"{median((row['high'] - row['low']) / row['ratio'] for row in rivals):.0%}",
        loop=duration(min(loops)), busy=duration(max(loops)),
        missing="".join(f"Left out: {name}, which is not installed.\n" for name in missing),
        lost=table([*head, "slower"], [*align, "---:"], lost) if lost else "The library loses no comparison measured here.",
        short=table(head, align, short), met=table(head, align, met),
        **{section: "\n\n".join(tables) for section, tables in sections.items()},
    )  # fmt: skip


def main():
    PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
