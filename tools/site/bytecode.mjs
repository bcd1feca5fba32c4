// Put bytecode into the wheels of a folder: `node tools/site/bytecode.mjs folder`.
// The browser's Python does it, because bytecode goes with one version of Python; that may not be the book's.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { loadPyodide } = createRequire(new URL("web/", import.meta.url))("pyodide");
// Hashes of strings seed the order of sets.
const python = await loadPyodide({ env: { PYTHONHASHSEED: "0" } });
python.mountNodeFS("/wheels", process.argv[2]);
python.runPython(readFileSync(new URL("bytecode.py", import.meta.url), "utf8"));
