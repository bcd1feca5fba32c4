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
  const WEIGHT = { page: 1.5, term: 1.3, section: 1, code: 0.7, exercise: 0.5, solution: 0.4 }; // 1.2: theorems
  // Pages about the book instead of its matter come later.
  const BEHIND = /chapters\/(instructor|course|how_we_know|run_times|benchmarks|bibliography|running|library)$/;

  function make(MiniSearch, places) {
    const titles = Object.fromEntries(places.filter((p) => p[3] === "page").map((p) => [p[0], p[2]]));
    const index = new MiniSearch({
      fields: ["title", "chapter", "text"], storeFields: ["kind", "page"],
      tokenize: words, processTerm: (word) => COMMON.has(word) ? null : stem(word),
      searchOptions: {
        boost: { title: 6, chapter: 2 }, combineWith: "AND",
        prefix: (word) => word.length > 2, fuzzy: (word) => word.length > 5 ? 0.2 : false,
        weights: { prefix: 0.4, fuzzy: 0.2 },
        boostDocument: (id, word, { kind, page }) => (WEIGHT[kind] ?? 1.2) * (BEHIND.test(page) ? 0.3 : 1),
      },
    });
    index.addAll(places.map(([page, , title, kind, text], id) => ({ id, page, title, kind, text, chapter: titles[page] })));
    return { index, places, titles };
  }

  // The places that hold all words of the query, or else some: {page, anchor, title, chapter, text, terms}.
  function find({ index, places, titles }, query) {
    const asked = words(query).filter((word) => !COMMON.has(word)).join(" ");
    let found = asked ? index.search(asked) : [];
    if (!found.length && asked) found = index.search(asked, { combineWith: "OR" });
    return found.map(({ id, terms }) => {
      const [page, anchor, title, kind, text] = places[id];
      return { page, anchor, title, kind, text, terms, chapter: titles[page] };
    });
  }

  // A piece of the text around the first word that was found, as [words, is it a hit] pairs.
  function excerpt(text, terms, length = 180) {
    const hit = (word) => words(word).some((part) => terms.includes(stem(part)));
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
});
