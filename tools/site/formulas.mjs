// Set the formulas of built pages with KaTeX: `node tools/site/formulas.mjs page.html ...` changes the files.
// A reader's browser then has nothing to set.  A formula that KaTeX does not know stops the build.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const katex = createRequire(new URL("web/", import.meta.url))("katex");

// As Sphinx writes them: the number of an equation, if it has one, comes before its TeX.  Punctuation after a formula
// in a line is kept with it: browsers would begin a line with it.
const FORMULA = /(<(?:span|div) class="[^"]*\bmath\b[^"]*"[^>]*>\s*(?:<span class="eqno">.*?<\/span>)?)\s*(?:\\\(([^<]*?)\\\)(?:\s*<\/span>([,.;:!?)’”]+))?|\\\[([^<]*?)\\\])/gs;
const ENTITIES = { lt: "<", gt: ">", quot: '"', "#39": "'", "#x27": "'", amp: "&" };
const text = (html) => html.replace(/&(lt|gt|quot|#39|#x27|amp);/g, (_, name) => ENTITIES[name]);

const done = new Map();

export function set(tex, displayMode) {
  const key = `${displayMode} ${tex}`;
  if (!done.has(key)) done.set(key, katex.renderToString(tex, { displayMode, strict: "error" }));
  return done.get(key);
}

export function setAll(html) {
  return html.replace(FORMULA, (_, before, inline, after, display) => {
    const formula = before + set(text(inline ?? display), inline === undefined);
    return after ? `<span class="book-joined">${formula}</span>${after}</span>` : formula;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  for (const path of process.argv.slice(2)) {
    const before = readFileSync(path, "utf8");
    try {
      const after = setAll(before);
      if (after !== before) writeFileSync(path, after);
    } catch (error) {
      console.error(`${path}: ${error.message}`);
      process.exitCode = 1;
    }
  }
