// What a page can tell about itself; every function returns plain data that the rules judge.
window.facts = (() => {
  const place = (e) => {
    const name = e.tagName.toLowerCase() + (e.id ? `#${e.id}` : "") +
      (typeof e.className === "string" && e.className ? "." + e.className.trim().split(/\s+/)[0] : "");
    return `${name} "${(e.textContent || "").trim().replace(/\s+/g, " ").slice(0, 50)}"`;
  };

  // Resolves when nothing more will change by itself.
  async function ready() {
    if (document.readyState !== "complete")
      await new Promise((done) => addEventListener("load", done));
    await document.fonts.ready;
  }

  // What has moved by itself so far, and when the largest thing in the window was painted (web.dev/vitals).
  let shift = 0, largest = 0;
  const watch = (type, note) =>
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true });
  watch("layout-shift", (entry) => { if (!entry.hadRecentInput) shift += entry.value; });
  watch("largest-contentful-paint", (entry) => { largest = entry.startTime; });

  // Milliseconds from the start until something was first seen, which on a busy machine is noted a little
  // later, and until the largest thing was; the layout shift.  A page whose clock is a test's has no such times.
  async function times() {
    await ready();
    for (let tries = 0; tries < 50; tries++) {
      const paint = performance.getEntriesByName("first-contentful-paint")[0];
      if (paint && largest) return { paint: paint.startTime, largest, shift };
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error("nothing was seen of the page within five seconds");
  }

  // How often a reader who has no mouse presses Tab from the start of the page to its first figure, or else
  // through the whole page.
  function stops() {
    const figure = document.querySelector(".bd-article :is(figure, .bea-figure)"), all = "a[href], button, input, select, summary, [tabindex]";
    return [...document.querySelectorAll(all)].filter((e) => e.tabIndex >= 0 && !e.disabled
      && e.checkVisibility({ visibilityProperty: true })
      && (!figure || e.compareDocumentPosition(figure) & Node.DOCUMENT_POSITION_FOLLOWING)).length;
  }

  // Opens what is folded, as a reader would: folded text is not seen, nor is what is wrong with it.
  function unfold() {
    const style = document.head.appendChild(document.createElement("style"));
    style.textContent = "* { transition: none !important; animation: none !important }";
    for (const box of document.querySelectorAll("details")) box.open = true;
    for (const button of document.querySelectorAll(".toggle-hidden button.toggle-button")) button.click();
  }

  // The colours that the page shows, once a change of them is on the screen.
  async function theme() {
    for (let k = 0; k < 2; k++) await new Promise(requestAnimationFrame);
    return document.documentElement.dataset.theme;
  }

  // Writes each formula as plain text in its place: thousands of elements less make axe five times as fast.
  function flatten() {
    for (const formula of document.querySelectorAll(".katex"))
      formula.replaceWith(formula.querySelector("annotation").textContent);
  }

  function mathematics() {
    const untypeset = [], wrong = [], raw = [];
    const nodes = document.querySelectorAll("span.math, div.math");
    for (const node of nodes)
      if (node.querySelectorAll(".katex").length !== 1) untypeset.push(place(node));
    for (const node of document.querySelectorAll(".katex-error, .bd-content merror")) wrong.push(place(node));
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const node = texts.currentNode;
      if (node.parentElement.closest("script, style, noscript, template, pre, code, textarea, .katex"))
        continue;
      const match = /\$\$|\\[([]|\\(begin|end)\{|\$[^$\s][^$]*\$|\{(eq|ref|numref|cite|doc|prf:\w+)(:\w+)?\}/.exec(node.data);
      if (match) raw.push(node.data.slice(Math.max(0, match.index - 10), match.index + 40));
    }
    return { nodes: nodes.length, untypeset, wrong, raw };
  }

  // The elements that a reader sees, without the insides of formulas and pictures.
  function* seen(root) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT, (e) => {
      if (e.parentElement.closest(".katex, svg, math")) return NodeFilter.FILTER_REJECT;
      return e.checkVisibility({ visibilityProperty: true, opacityProperty: true })
        ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT;
    });
    while (walker.nextNode()) yield walker.currentNode;
  }

  function overflow() {
    const root = document.scrollingElement, wide = [], clipped = [], unreached = [], backwards = [];
    // KaTeX's copy of each formula for screen readers is one pixel, yet counts as contents.
    const style = document.head.appendChild(document.createElement("style"));
    style.textContent = ".katex-mathml { display: none !important }";
    const column = document.querySelector(".bd-article-container");
    for (const e of seen(document.body)) {
      const box = e.getBoundingClientRect(), { overflowX, overflowY } = getComputedStyle(e);
      // One pixel wide: words for screen readers only.
      if (box.width <= 1 || box.height <= 1) continue;
      const limit = column?.contains(e) ? column.getBoundingClientRect().right : innerWidth;
      if (Math.max(box.right - limit, -box.left) > 1 && !scrolled(e) && !wide.some((w) => w.contains(e)))
        wide.push(e);
      const scrolls = /auto|scroll/.test(overflowX) && e.scrollWidth > e.clientWidth + 1;
      if (scrolls && e.tabIndex < 0 && ![...e.querySelectorAll("*")].some((inner) => inner.tabIndex >= 0))
        unreached.push(place(e));
      const at = e.scrollLeft;
      e.scrollLeft = -1;
      if (scrolls && e.scrollLeft < 0) backwards.push(place(e));
      e.scrollLeft = at;
      const cut = (kind, inner, outer) => /hidden|clip/.test(kind) && outer > 1 && inner > outer + 1;
      if (e.textContent.trim() && (cut(overflowX, e.scrollWidth, e.clientWidth)
                                   || cut(overflowY, e.scrollHeight, e.clientHeight)))
        clipped.push(`${place(e)}: ${e.scrollWidth}x${e.scrollHeight} in ${e.clientWidth}x${e.clientHeight}`);
    }
    style.remove();
    return { page: root.scrollWidth, window: innerWidth, wide: wide.map(place), clipped, unreached, backwards };
  }

  // Whether the element lies in a box that scrolls sideways, or outside the page on purpose (a drawer).
  function scrolled(e) {
    for (let box = e.parentElement; box && box !== document.body; box = box.parentElement)
      if (/auto|scroll/.test(getComputedStyle(box).overflowX) && box.scrollWidth > box.clientWidth) return true;
    return false;
  }

  // What an explorer shows: its sliders, its numbers as read, and all that moves in its figure.
  function explorer(id) {
    const box = document.getElementById(id), all = (what) => [...box.querySelectorAll(what)];
    const sliders = {}, numbers = {};
    for (const s of all("[data-slider]"))
      sliders[s.dataset.slider] = {
        place: Number(s.value), last: Number(s.max), spoken: s.getAttribute("aria-valuetext"),
        named: [...s.labels].map((label) => label.textContent.trim()).join(" "),
        shown: all(`[data-shown="${s.dataset.slider}"]`).map((e) => e.textContent).join(" "),
      };
    for (const e of all("[data-value]"))
      (numbers[e.dataset.value] ??= []).push(e.textContent);
    return {
      sliders, numbers,
      figure: all("[data-moving]").map((e) => e.getAttribute("d") ?? e.getAttribute("transform") ?? e.textContent),
      pressed: box.querySelector("[data-action='play']").getAttribute("aria-pressed"),
    };
  }

  const middle = (times) => times.sort((x, y) => x - y)[times.length >> 1];

  // Milliseconds of one move until the layout is done, and from frame to frame; medians of 60 moves.
  async function frames(id) {
    const box = document.getElementById(id), sliders = [...box.querySelectorAll("[data-slider]")];
    const works = [], waits = [];
    let last = await new Promise(requestAnimationFrame);
    for (let k = 0; k < 60; k++) {
      const slider = sliders[k % sliders.length], begin = performance.now();
      slider.value = Number(slider.value) < Number(slider.max) ? Number(slider.value) + 1 : 0;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      box.getBoundingClientRect();
      works.push(performance.now() - begin);
      const now = await new Promise(requestAnimationFrame);
      waits.push(now - last);
      last = now;
    }
    return { work: middle(works), wait: middle(waits) };
  }

  return { explorer, frames, ready, times, unfold, theme, mathematics, overflow, flatten, stops };
})();
