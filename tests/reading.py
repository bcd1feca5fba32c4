"""Reading the book's notebooks: cells, outputs, directives and running text."""

import re


def code_cells(notebook):
    """(number, cell) of each code cell; the number counts all cells from 1."""
    return [(n, c) for n, c in enumerate(notebook.cells, 1) if c.cell_type == "code"]


def markdown_cells(notebook):
    return [(n, c) for n, c in enumerate(notebook.cells, 1) if c.cell_type == "markdown"]


def text_of(output):
    """Everything in an output that is read as text, as one string."""
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return "\n".join(str(v) for k, v in output.data.items() if k.startswith("text/"))


def images_of(cell):
    data = [o.data for o in cell.outputs if "data" in o]
    return [d for d in data if any(kind.startswith("image/") for kind in d)]


DIRECTIVE = re.compile(r"^\s*(?:`{3,}|:{3,}|~{3,})\{([\w:-]+)\}[ \t]*(.*)$")
OPTION = re.compile(r"^\s*:([\w-]+):[ \t]*(.*)$")


def directives_of(notebook):
    """(cell number, name, argument, options) of every MyST directive in the prose."""
    found = []
    for number, cell in markdown_cells(notebook):
        lines = cell.source.splitlines()
        for k, line in enumerate(lines):
            if match := DIRECTIVE.match(line):
                options = {}
                for following in lines[k + 1 :]:
                    option = OPTION.match(following)
                    if not option:
                        break
                    options[option[1]] = option[2].strip()
                found.append((number, match[1], match[2].strip(), options))
    return found


FENCE = re.compile(r"^\s*(`{3,}|~{3,})(.*)$")


def prose_of(source):
    """(line number, line) of what is running text: no code, displayed formula, table, heading or option."""
    fence = None  # the mark that closes the code block we are in
    in_math = False
    for number, line in enumerate(source.splitlines(), 1):
        mark = FENCE.match(line)
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = None
            continue
        if mark and (not mark[2].strip().startswith("{") or mark[2].startswith(("{math}", "{code"))):
            # A closing fence of a directive also comes here; it opens nothing.
            if mark[2].strip():
                fence = mark[1]
            continue
        if re.match(r"^\s*\\(begin|end)\{(align|equation|gather)", line):
            in_math = r"\begin" in line
            continue
        if line.count("$$") == 1:
            in_math = not in_math
            continue
        if in_math or "$$" in line or DIRECTIVE.match(line) or OPTION.match(line):
            continue
        if re.match(r"^\s*(\||#|\(.*\)=\s*$)", line):
            continue
        yield number, line
