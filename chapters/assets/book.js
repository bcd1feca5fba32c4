// A box that scrolls sideways must be reachable by keyboard.  The theme looks for such boxes once, before
// what is folded is open; this looks again whenever the text changes its height.
const boxes = "pre, .output, div.math, .bea-formula, .pst-scrollable-table-container, p";

new ResizeObserver(() => {
  for (const box of document.querySelectorAll(`.bd-content :is(${boxes})`))
    if (box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX))
      box.tabIndex = 0;
}).observe(document.body);

// A button that unfolds is named by its title.
addEventListener("load", () => {
  for (const button of document.querySelectorAll(".admonition-title > .toggle-button"))
    button.setAttribute("aria-label", button.parentElement.textContent.trim());
});

// Who follows the link to a live figure that was moved sees this figure; no place of the page has that name.
const [shared, state] = location.hash.slice(1).split("=");
if (state && /^live-/.test(shared) && performance.getEntriesByType("navigation")[0]?.type === "navigate")
  document.getElementById(shared)?.scrollIntoView();

// A long table shows its first rows and a field that finds others by their words; a button shows all of them.
const FEW = 12;
for (const table of document.querySelectorAll(".bd-article table:not(.formula-sheet)")) {
  const rows = [...(table.tBodies[0]?.rows ?? [])];
  if (rows.length <= 3 * FEW || rows.some((row) => row.contains(document.querySelector(":target")))) continue;
  const box = document.createElement("p"), label = document.createElement("label"), status = document.createElement("span");
  const field = Object.assign(document.createElement("input"), { type: "search" });
  const all = Object.assign(document.createElement("button"), { type: "button", textContent: `Show all ${rows.length} rows` });
  box.className = "book-filter";
  status.setAttribute("role", "status");
  label.append("Find rows: ", field);
  box.append(label, all, status);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const choose = (shown) => rows.forEach((row, n) => row.classList.toggle("book-folded", !shown(n)));
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean), found = texts.map((text) => words.every((word) => text.includes(word)));
    choose((n) => (words.length ? found[n] : n < FEW));
    all.hidden = false;
    status.textContent = words.length ? `${found.filter(Boolean).length} of ${rows.length} rows` : "";
  });
  all.addEventListener("click", () => {
    field.value = status.textContent = "";
    choose(() => true);
    all.hidden = true;
    field.focus();
  });
  choose((n) => n < FEW);
  (table.closest(".pst-scrollable-table-container") ?? table).before(box);
}
