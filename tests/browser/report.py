"""The table of the browser tests: what was measured in each page."""

COLUMNS = [
    "explorers",
    "requests",
    "kB",
    "kB gzip",
    "first paint desktop, ms",
    "first paint phone, ms",
    "LCP desktop, ms",
    "LCP phone, ms",
    "CLS desktop",
    "CLS phone",
    "tab stops to the first figure",
    "ms per frame",
    "serious axe violations",
    "outside requests",
]


def merged(values):
    """One cell: numbers add up, texts stand one after the other."""
    if all(isinstance(value, int) for value in values):
        return str(sum(values)) if values else ""
    return ", ".join(str(value) for value in values)


class Report:
    """A pytest plugin that gathers the tests' measurements and writes `report.md`.

    Tests hand over `record_property("row", (page, {column: value}))`, which reaches this process from
    every worker.
    """

    def __init__(self, folder):
        self.folder = folder
        self.rows = {}

    def pytest_runtest_logreport(self, report):
        if report.when != "call":
            return
        for name, value in report.user_properties:
            if name == "row":
                page, cells = value
                self.rows.setdefault(page, []).append(cells)

    def table(self):
        """The lines of a Markdown table, one row a page."""
        lines = ["| page | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
        for page, records in sorted(self.rows.items()):
            cells = [merged([r[column] for r in records if column in r]) for column in COLUMNS]
            lines.append(f"| {page} | " + " | ".join(cells) + " |")
        return lines

    def pytest_terminal_summary(self, terminalreporter):
        if not self.rows:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "report.md"
        path.write_text("\n".join(self.table()) + "\n", encoding="utf-8")
        terminalreporter.section("what the browser measured")
        for line in self.table():
            terminalreporter.line(line)
        terminalreporter.line(f"The table is in {path}, screenshots beside it after `PICTURES=yes make browser-test`.")
