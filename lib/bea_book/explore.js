// Moves one explorer of the page: puts the texts of the frame that the sliders choose into its parts.
(() => {
  const explorer = document.currentScript.closest(".bea-explorer");
  const data = JSON.parse(explorer.querySelector("script[type='application/json']").textContent);
  const sliders = [...explorer.querySelectorAll("[data-slider]")];
  const parts = [...explorer.querySelectorAll("[data-moving]")];
  const start = sliders.map((slider) => slider.value);
  const numbers = data.names.map((name) =>
    [...explorer.querySelectorAll("[data-value]")].filter((e) => e.dataset.value === name));
  const attribute = { path: "d", g: "transform" };
  let current = [];

  function show() {
    let frame = 0;
    for (const slider of sliders) {
      const name = slider.dataset.slider, text = data.sliders[name][slider.value];
      frame = frame * data.sliders[name].length + Number(slider.value);
      slider.setAttribute("aria-valuetext", text);
      for (const place of explorer.querySelectorAll(`[data-shown="${name}"], [data-value="${name}"]`))
        place.textContent = text;
    }
    const texts = data.frames[frame];
    texts.forEach((text, k) => {
      if (text === current[k]) return;
      const part = parts[k], value = data.strings[text];
      if (!part) for (const place of numbers[k - parts.length]) place.textContent = value;
      else if (attribute[part.tagName]) part.setAttribute(attribute[part.tagName], value);
      else part.textContent = value;
    });
    current = texts;
  }

  // Play moves the slider that was touched last; with reduced motion one step for each press.
  const play = explorer.querySelector("[data-action='play']");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  let active = sliders[0], timer = null;
  const name = () => { play.textContent = still.matches ? "Step" : timer ? "Pause" : "Play"; };
  function stop() {
    clearInterval(timer);
    timer = null;
    play.setAttribute("aria-pressed", "false");
    name();
  }
  function step() {
    active.value = active.value === active.max ? 0 : Number(active.value) + 1;
    show();
    if (active.value === active.max) stop();
  }
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (!still.matches) {
      timer = setInterval(step, 500);
      play.setAttribute("aria-pressed", "true");
    }
    step();
    name();
  });
  still.addEventListener("change", stop);
  explorer.querySelector("[data-action='reset']").addEventListener("click", () => {
    stop();
    sliders.forEach((slider, k) => { slider.value = start[k]; });
    show();
  });
  for (const slider of sliders)
    slider.addEventListener("input", () => { stop(); active = slider; show(); });
  // A browser that comes back to the page may have kept the sliders' places: begin afresh.
  sliders.forEach((slider, k) => { slider.value = slider.getAttribute("value"); start[k] = slider.value; });
  show();
  name();
})();
