// Shows what a link leads to - an equation, a theorem, a figure, a term, a citation - beside it: on hover, on
// focus, and at the first tap; a second tap follows the link.  Escape closes, and so does a tap elsewhere.  The
// pointer may move into the preview (WCAG 1.4.13).  Other pages are asked for once; a page that was opened as a file
// cannot ask for them, and says so, once.
(() => {
  const SHOWN = ".bd-article a.reference[href*='#']";
  const WHOLE = "div.math, figure, .proof, .exercise, .solution, .admonition, .citation, dt";
  const NEED = "Previews of other pages are shown when the book comes from a server, as `make serve` starts one.";
  const pages = new Map();
  let box, owner, timer, touched = false, told = false;

  async function target(link) {
    const url = new URL(link.href), here = url.pathname === location.pathname;
    const id = decodeURIComponent(url.hash.slice(1));
    if (!id || url.origin !== location.origin) return null;
    if (!here && location.protocol === "file:") {
      if (told) return null;
      told = true;
      return { whole: Object.assign(document.createElement("p"), { textContent: NEED }), base: url };
    }
    if (!here && !pages.has(url.pathname))
      pages.set(url.pathname, fetch(url.pathname).then((answer) => answer.text())
        .then((text) => new DOMParser().parseFromString(text, "text/html")));
    const page = here ? document : await pages.get(url.pathname);
    const place = page.getElementById(id);
    const whole = place?.matches(WHOLE) ? place : place?.closest(WHOLE) ?? null;
    return whole && !whole.contains(link) ? { whole, base: url } : null;
  }

  function copy({ whole, base }) {
    const parts = whole.matches("dt") ? [whole, whole.nextElementSibling] : [whole];
    return parts.filter(Boolean).map((part) => {
      const clone = part.cloneNode(true);
      for (const e of clone.querySelectorAll(".headerlink, button, script, .bea-controls, input")) e.remove();
      for (const e of [clone, ...clone.querySelectorAll("[id]")]) e.removeAttribute("id");
      for (const [name, what] of [["src", "img"], ["href", "a"]])
        for (const e of clone.querySelectorAll(`${what}[${name}]`)) {
          e.setAttribute(name, new URL(e.getAttribute(name), base));
          if (what === "a") e.tabIndex = -1;
        }
      clone.classList.remove("toggle-hidden");
      return clone;
    });
  }

  function close() {
    clearTimeout(timer);
    owner?.removeAttribute("aria-describedby");
    box?.remove();
    box = owner = null;
  }

  async function open(link) {
    if (owner === link && box) return;
    close();
    owner = link;
    const found = await target(link).catch(() => null);
    if (!found || owner !== link) return;
    box = document.createElement("div");
    box.className = "book-preview bd-content";
    box.id = "book-preview";
    box.setAttribute("role", "tooltip");
    box.append(...copy(found));
    box.addEventListener("pointerenter", () => clearTimeout(timer));
    box.addEventListener("pointerleave", leave);
    document.body.append(box);
    link.setAttribute("aria-describedby", box.id);
    const at = link.getBoundingClientRect(), wide = document.documentElement.clientWidth;
    box.style.left = `${Math.max(8, Math.min(at.left, wide - box.offsetWidth - 8)) + scrollX}px`;
    const below = innerHeight - at.bottom, above = below < box.offsetHeight + 12 && at.top > below;
    box.style.maxHeight = `${Math.min(0.6 * innerHeight, (above ? at.top : below) - 12)}px`;
    box.style.top = `${(above ? at.top - box.offsetHeight - 4 : at.bottom + 4) + scrollY}px`;
  }

  function leave() {
    clearTimeout(timer);
    timer = setTimeout(close, 250);
  }

  const linkOf = (event) => event.target.closest?.(SHOWN);
  document.addEventListener("pointerdown", (event) => {
    touched = event.pointerType !== "mouse";
    if (box && !box.contains(event.target) && linkOf(event) !== owner) close();
  });
  document.addEventListener("pointerover", (event) => {
    const link = linkOf(event);
    if (!link || event.pointerType !== "mouse") return;
    clearTimeout(timer);
    timer = setTimeout(open, 200, link);
  });
  document.addEventListener("pointerout", (event) => linkOf(event) && event.pointerType === "mouse" && leave());
  document.addEventListener("focusin", (event) => {
    const link = linkOf(event);
    if (link && link.matches(":focus-visible") && !touched) open(link);
  });
  document.addEventListener("focusout", (event) => linkOf(event) && !touched && leave());
  document.addEventListener("keydown", (event) => {
    touched = false;
    if (event.key === "Escape") close();
  });
  document.addEventListener("click", async (event) => {
    const link = linkOf(event);
    if (!link || !touched || owner === link) return;
    event.preventDefault();
    await open(link);
    if (!box) location.assign(link.href);
  }, true);
})();
