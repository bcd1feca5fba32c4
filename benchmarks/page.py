"""The page chapters/benchmarks.md, made from benchmarks/results.json and from nothing else.

python benchmarks/page.py          (writes it again, without measuring)
"""

import json
from pathlib import Path
from statistics import median

from measure import LOOP, WARM

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "chapters" / "benchmarks.md"

#: The sections, in the page's order: module, heading, what it asks.
SECTIONS = {
    "fields": ("Modified fields", "How long does it take to evaluate the modified equation, given an optimizer and a loss?  "
               "BSeries and kauri derive formulas and substitute numbers into them; the library computes the numbers at one point without formulas.  One table compares the times for the formulas alone."),
    "runs": ("Runs", "How long do Adam's iterates take?  Everywhere epsilon is outside the root.  "
             "Paths are compared over their first steps only: near a sign change of the gradient Adam amplifies round-off."),
    "networks": ("Networks", "The same for a small network trained on scikit-learn's digits; then the cost of its modified field."),
    "flows": ("Flows", "How long does it take to compute the flow with which the iterates are compared?"),
}  # fmt: skip

DRAW = 0.1  # a ratio that is as close to its target decides nothing
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
    if max(factor, 1 / factor) <= 1 + DRAW:
        return "draw"
    return "met" if factor > 1 else f"**NOT MET**, {1 / factor:.3g}× short"


def table(head, align, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(align) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def shown(result):
    """One result as Markdown."""
    if result["kind"] == "comparison":
        rows = [
            [row["name"], duration(row["seconds"]), number(row["ratio"]),
             f"{number(row['low'])} to {number(row['high'])}" if row["rounds"] > 1 and row["name"] != result["ours"] else "", str(row["rounds"])]
            for row in result["rows"] if row["name"] != LOOP
        ]  # fmt: skip
        head = ["method", "median", f"ratio to {result['ours']}", "interquartile range", "rounds"]
        body = table(head, ["---", *["---:"] * 4], rows)
        after = f"Agreement: {result['agreement']}.\n" if result["agreement"] else ""
    elif result["kind"] == "growth":
        rows = [[f"{x:,}", duration(seconds)] for x, seconds in result["points"]]
        body, after = table([result["variable"], "median"], ["---:", "---:"], rows), ""
    else:
        rows = [[what, f"{number(value)} {unit}".strip()] for what, value, unit in result["rows"]]
        body, after = table(["what", "measured"], ["---", "---:"], rows), ""
    notes = "".join(f"{sentence.strip()}\n" for sentence in result["note"].split("  ") if sentence)
    return f"### {result['title']}\n\n{body}\n\n{after}{notes}".rstrip("\n") + "\n"


def page(results):
    """The page's text, from what was measured: {section/row: where, code, result}."""
    found = [row["result"] for row in results.values()]
    targets = [
        [result["title"], target["what"], f"{target['sense']} {number(target['bound'])}", number(target["value"]), outcome(target)]
        for result in found for target in result.get("targets", [])
    ]  # fmt: skip
    slower = [1 / target["value"] if result["kind"] == "comparison" and target["value"] < 1 else 0
              for result in found for target in result.get("targets", [])]  # fmt: skip
    lost = [[*row, f"{number(factor)}×"] for row, factor in zip(targets, slower) if factor]
    others = [row for row, factor in zip(targets, slower) if not factor]
    head, align = ["row", "quantity", "target", "measured"], ["---", "---", "---:", "---:"]
    grown = [result for result in found if result["kind"] == "growth"]
    compared = [result for result in found if result["kind"] == "comparison"]
    missing = {name: why for result in compared for name, why in result["missing"].items()}
    rivals = [row for result in compared for row in result["rows"]
              if row["name"] not in (result["ours"], LOOP) and row["rounds"] > 1]  # fmt: skip
    loops = [row["seconds"] for result in compared for row in result["rows"] if row["name"] == LOOP]
    where, sections = {}, {}
    for name, row in results.items():
        section = name.split("/")[0]
        where.setdefault(row["where"], {})[SECTIONS[section][0]] = None
        sections.setdefault(section, []).append(row["result"])
    return TEXT.format(
        where="\n".join(f"- {', '.join(names)}: {text}" for text, names in where.items()),
        draw=DRAW, warm=WARM, noise=f"{median((row['high'] - row['low']) / row['ratio'] for row in rivals):.0%}",
        loop=duration(min(loops)), busy=duration(max(loops)), versions=len({row["code"] for row in results.values()}),
        missing="".join(f"Left out: {name}, which is not installed.\n" for name in missing),
        lost=table([*head, "result", "slower"], [*align, "---", "---:"], lost) if lost else "Nowhere in what is measured here.",
        short=table([*head, "result"], [*align, "---"], [row for row in others if row[-1].startswith("*")]),
        met=table([*head, "result"], [*align, "---"], [row for row in others if not row[-1].startswith("*")]),
        exponents=table(["what", "variable", "exponent", "fitted from"], ["---", "---", "---:", "---:"],
                        [[r["title"], r["variable"], f"{r['exponent']:.2f}", f"{r['fit_from']:,}"] for r in grown]),
        sections="".join(f"\n## {SECTIONS[name][0]}\n\n" + SECTIONS[name][1].replace("  ", "\n") + "\n" + "".join(f"\n{shown(result)}" for result in rows)
                         for name, rows in sections.items()),
    )  # fmt: skip


def main():
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(page(results), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
