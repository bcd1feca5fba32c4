"""A notebook in JupyterLab, run in the browser: with a kernel on this machine, or in JupyterLite.

Both are asked through the application object that `exposeAppInBrowser` puts into the page; an explorer
is moved as a reader moves it, with the keyboard.
"""

import time

SHOWN = "window.jupyterapp?.shell.currentWidget?.context?.isReady"
# Cells come from source to text when they are shown, one by one.
RAW_MARKUP = r"""async () => {
    const raw = /:::|```|\$\$|\{[a-z:-]+\}`/
    const notebook = jupyterapp.shell.currentWidget.content, found = []
    for (const [number, cell] of notebook.widgets.entries()) {
        if (cell.model.type != 'markdown') continue
        await notebook.scrollToItem(number, 'start')
        const is_raw = () => !cell.node.innerText.trim() || raw.test(cell.node.innerText)
        for (let k = 0; k < 600 && is_raw(); k++) await new Promise(then => setTimeout(then, 50))
        if (is_raw()) found.push(`cell ${number + 1}: ${cell.node.innerText}`)
    }
    return found
}"""
CELLS = """jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells
    .filter(cell => cell.cell_type == 'code')"""
START = """async () => {
    window.finished = null
    const notebook = jupyterapp.shell.currentWidget
    await notebook.sessionContext.ready
    jupyterapp.commands.execute('notebook:run-all-cells')
        .then(all => finished = all ? 'all' : 'stopped', error => finished = String(error))
}"""
EXECUTE = """async code => {
    const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel
    const future = kernel.requestExecute({code})
    let text = ''
    future.onIOPub = message => {
        const {name, text: more, ename, evalue} = message.content
        if (ename) throw new Error(ename + ': ' + evalue)
        if (name == 'stdout') text += more
    }
    await future.done
    return text
}"""
SCROLL = """async number => {
    const notebook = jupyterapp.shell.currentWidget.content
    const code = notebook.widgets.filter(cell => cell.model.type == 'code')
    await notebook.scrollToItem(notebook.widgets.indexOf(code[number]), 'start')
}"""


def open_notebook(page, url):
    """Load JupyterLab with the notebook, and wait until it is shown."""
    page.goto(url)
    page.wait_for_function(SHOWN, timeout=120_000)


def run_all(page, seconds):
    """Run all cells and return the code cells with their new outputs, as in the notebook's file.

    Raises TimeoutError, with the number of cells that were run, if that takes longer.
    """
    page.evaluate(START)
    end = time.monotonic() + seconds
    while not page.evaluate("finished"):
        if time.monotonic() > end:
            done = sum(cell["execution_count"] is not None for cell in page.evaluate(CELLS))
            raise TimeoutError(f"after {seconds} s {done} cells were run")
        page.wait_for_timeout(1000)
    return page.evaluate(CELLS)


def execute(page, code):
    """What the notebook's kernel prints when it runs the code."""
    return page.evaluate(EXECUTE, code)


def check_an_assignment(page, assignment, seconds):
    """Run an open student copy: nothing is answered yet; then give the right answers, and each is told so."""
    cells = run_all(page, seconds)
    assert problems_of_run(cells) == []
    said = [texts(cell).get("stdout", "") for cell in cells if cell["source"].startswith("check(")]
    by_hand = [text for text in said if "a person reads this answer" in text]
    assert len(by_hand) == sum(question.by_hand for question in assignment.questions)
    assert all("not answered yet" in text for text in said if text not in by_hand)
    for question in assignment.questions:
        if not question.by_hand:
            check = f"check({question.name!r}, {', '.join(question.tests[0].arguments)})"
            text = execute(page, f"{question.solution}\n{check}")
            assert text == f"{question.name}: right, as far as this check sees.\n"


def problems_of_run(cells):
    """Cells that were not run, and errors in outputs."""
    problems = []
    for number, cell in enumerate(cells, 1):
        if cell["execution_count"] is None and "".join(cell["source"]).strip():
            problems.append(f"code cell {number} was not run")
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                problems.append(f"code cell {number}: {output['ename']}: {output['evalue']}")
    return problems


def texts(cell):
    """{kind: text} of what a cell printed and showed; streams are joined, pictures left out."""
    found = {}
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            pieces = {output["name"]: output["text"]}
        else:
            data = output.get("data", {})
            pieces = {kind: text for kind, text in data.items() if kind.startswith("text/")}
        for kind, text in pieces.items():
            found[kind] = found.get(kind, "") + "".join(text)
    return found


def explorers(cells):
    """The numbers of the code cells whose new outputs hold widgets; the committed ones hold none."""
    widget = "application/vnd.jupyter.widget-view+json"
    shown = [[kind for o in cell["outputs"] for kind in o.get("data", {})] for cell in cells]
    return [number for number, kinds in enumerate(shown) if widget in kinds]


def move_explorer(page, number):
    """Pictures of the explorer in a code cell: at first, moved by a key, and after Reset."""
    page.evaluate(SCROLL, number)
    cell = page.locator(".jp-CodeCell", has=page.locator(".bea-explorer")).first
    figure = cell.locator(".bea-explorer svg[role=img]")
    pictures = [figure.inner_html()]

    def changed():
        for _ in range(100):
            if figure.inner_html() != pictures[-1]:
                break
            page.wait_for_timeout(100)
        pictures.append(figure.inner_html())

    slider = cell.get_by_role("slider").first
    at_end = slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemax")
    slider.press("ArrowLeft" if at_end else "ArrowRight")
    changed()
    cell.get_by_role("button", name="Reset").click()
    changed()
    return pictures
