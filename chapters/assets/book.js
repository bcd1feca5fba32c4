// A box that scrolls sideways must be reachable by keyboard.  The theme looks for such boxes once, before
// what is folded is open; this looks again whenever the text changes its height.
const boxes = "pre, .output, div.math, .bea-formula, .pst-scrollable-table-container, p";

new ResizeObserver(() => {
  for (const box of document.querySelectorAll(`.bd-content :is(${boxes})`))
    if (box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX))
      box.tabIndex = 0;
}).observe(document.body);
