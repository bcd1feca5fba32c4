// The book's search: MiniSearch over the places that tools/site/sections.py lists.  The page search.html shows
// what is found; the tests ask the same functions under Node.js.
const bookSearch = (() => {
  const GREEK = Object.fromEntries(("α=alpha β=beta γ=gamma δ=delta ε=epsilon ζ=zeta η=eta θ=theta κ=kappa λ=lambda " +
    "μ=mu ν=nu ξ=xi π=pi ρ=rho σ=sigma ς=sigma τ=tau φ=phi χ=chi ψ=psi ω=omega ∞=infinity ∇=nabla")
    .split(" ").map((pair) => pair.split("=")));
  // β2, β_2, β₂ and beta2 are one word, as are epsilon and ε; so are step and steps.
  const words = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase()
    .replace(/[α-ω∞∇]/g, (letter) => ` ${GREEK[letter] ?? letter}`)
    .replace(/([a-z])_\{?(\d)/g, "$1$2").match(/[\p{L}\p{N}]+/gu) ?? [];
  const stem = (word) => word.length > 3 && /[^aisu]s$/.test(word) ? word.slice(0, -1) : word;
  const COMMON = new Set("a an and are as at be by does for from how in is it of on or that the to what when which why with".split(" "));
  // 1.2: theorems; common: sections that many pages have, such as a quiz.  Who asks for code writes bea.adam or order_study.
  const WEIGHT = { page: 1.5, term: 1.3, section: 1, code: 0.6, exercise: 0.15, solution: 0.1, common: 0.4 };
  const CODE = /[a-z][._][a-z]/i;
  // Pages about the book instead of its matter come later.
  const BEHIND = /chapters\/(instructor|course|how_we_know|run_times|benchmarks|bibliography|running|library)$/;
  const weigh = (id, word, { kind, page }) => (WEIGHT[kind] ?? 1.2) * (BEHIND.test(page) ? 0.15 : 1);
  // warm-up is found as warmup, too
  const joined = (text) => (text.match(/[a-z]+(?:-[a-z]+)+/gi) ?? []).map((word) => word.replace(/-/g, "").toLowerCase());
  const content = (text) => words(text).filter((word) => !COMMON.has(word)).map(stem);

  function make(MiniSearch, places) {
    const titles = Object.fromEntries(places.filter((p) => p[3] === "page").map((p) => [p[0], p[2]]));
    const pages = {};
    for (const [page, , title] of places) (pages[title] ??= new Set()).add(page);
    const kindOf = (title, kind) => kind === "section" && pages[title].size > 2 ? "common" : kind;
    const index = new MiniSearch({
      fields: ["title", "chapter", "text"], storeFields: ["kind", "page"],
      tokenize: (text) => [...words(text), ...joined(text)], processTerm: (word) => COMMON.has(word) ? null : stem(word),
      searchOptions: {
        boost: { title: 6, chapter: 2 }, combineWith: "AND",
        prefix: (word) => word.length > 2, weights: { prefix: 0.4, fuzzy: 0.2 },
        boostDocument: weigh,
      },
    });
    index.addAll(places.map(([page, , title, kind, text], id) => (
      { id, page, title, kind: kindOf(title, kind), text, chapter: titles[page] })));
    return { index, places, titles, read: [] };
  }

  // Whether all words, or others that begin so, are in a title; side by side in a text, in whatever order.
  const starts = (word, begin) => word === begin || (begin.length > 2 && word.startsWith(begin));
  const within = (asked, all) => asked.every((begin) => all.some((word) => starts(word, begin)));
  const together = (asked, all) => all.some((_, k) => within(asked, all.slice(k, k + asked.length)));

  // The places that hold all words of the query, or words spelled nearly so, or else some of the words:
  // {page, anchor, title, chapter, text, terms}.  Whole words count more than beginnings, and most in a row.
  function find({ index, places, titles, read }, query) {
    const asked = [...new Set(content(query))], begins = new Set(asked.map((word) => word[0]));
    if (!asked.length) return [];
    const look = (more) => index.search(asked.join(" "), more);
    const nearly = (edits) => ({
      fuzzy: (word) => Math.min(edits, Math.floor(word.length / 2.5)),
      boostDocument: (id, word, fields) => begins.has(word[0]) ? weigh(id, word, fields) : 0,
    });
    const found = [{}, nearly(1), nearly(2), { ...nearly(1), combineWith: "OR" }].reduce(
      (found, more) => found.some(({ page }) => !BEHIND.test(page)) ? found : look(more), []);
    const scored = found.map(({ id, terms, match, score }) => {
      const [page, anchor, title, kind, text] = places[id], [named, told] = read[id] ??= [content(title), content(text)];
      const whole = asked.every((word) => Object.hasOwn(match, word)) ? 3 : 1, code = CODE.test(query) && kind === "code" ? 20 : 1;
      const row = asked.length === 1 ? 1 : named.join(" ") === asked.join(" ") ? 6
        : within(asked, named) ? 4 : together(asked, told) ? 2 : 1;
      return { page, anchor, title, kind, text, terms, chapter: titles[page], score: score * whole * row * code };
    });
    return scored.sort((one, other) => other.score - one.score);
  }

  // A piece of the text around the first word that was found, as [words, is it a hit] pairs.
  function excerpt(text, terms, length = 180) {
    const hit = (word) => [...words(word), ...joined(word)].some((part) => terms.includes(stem(part)));
    const all = text.split(" "), first = Math.max(0, all.findIndex(hit)), pieces = [];
    let size = 0, start = Math.max(0, first - 6);
    for (let k = start; k < all.length && size < length; size += all[k++].length + 1) pieces.push([all[k], hit(all[k])]);
    if (start) pieces.unshift(["…", false]);
    if (start + pieces.length < all.length) pieces.push(["…", false]);
    return pieces;
  }

  function show(box, state, query) {
    const found = find(state, query), make = (name, parent, text = "") => {
      const e = parent.appendChild(document.createElement(name));
      e.textContent = text;
      return e;
    };
    box.replaceChildren();
    if (!query.trim()) return;
    const count = found.length === 1 ? "One place" : `${found.length || "No"} places`;
    make("p", box, `${count} found${found.length > 50 ? "; the first 50" : ""}.`).setAttribute("role", "status");
    const list = make("ol", box);
    for (const { page, anchor, title, chapter, text, terms } of found.slice(0, 50)) {
      const item = make("li", list), link = make("a", item, title);
      const marked = terms.filter((term) => term.length > 2 && !/\d/.test(term)).join(" ");
      link.href = `${page}.html${marked && `?highlight=${encodeURIComponent(marked)}`}${anchor && `#${anchor}`}`;
      if (title !== chapter) make("small", item, chapter);
      const piece = make("p", item);
      for (const [word, hit] of excerpt(text, terms)) {
        make(hit ? "mark" : "span", piece, word);
        piece.append(" ");
      }
    }
  }

  return { make, find, excerpt, show };
})();

if (typeof module === "object") module.exports = bookSearch;
else document.addEventListener("DOMContentLoaded", () => {
  const field = document.querySelector(".bd-search-container input[name=q]"), box = document.getElementById("search-results");
  const state = bookSearch.make(MiniSearch, bookSections);
  field.value = new URLSearchParams(location.search).get("q") ?? "";
  field.form.addEventListener("submit", (event) => event.preventDefault());
  const answer = () => {
    history.replaceState(null, "", `?q=${encodeURIComponent(field.value)}`);
    bookSearch.show(box, state, field.value);
  };
  field.addEventListener("input", answer);
  if (field.value) answer();
  // The places are the next stop of Tab; on a telephone this would call the keyboard up, over them.
  if (matchMedia("(pointer: fine)").matches) field.focus();
});
