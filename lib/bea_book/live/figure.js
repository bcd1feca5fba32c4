// A live phase plane: the reader drags the start and moves the sliders; the iterates and the flows follow.
// What stays (words, controls, the parts of the picture) is HTML from bea_book.live; here it is set in motion.
import { closely, distance, evaluator, field, flow, keptState, optimizer, run, slowMemory, withValues } from "./engine.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, EDGE] = [560, 400, 46, 40, 10]; // the drawing, and what its axes take
const POINTS = 60; // of each flow; a third of them while something moves
const [ROUGH, FEW] = [1e-3, 60]; // then, the tolerance of the flows, and the extra steps that they may take
const LONGEST = 3000; // steps of a run
const DOTS = 300; // of it that are drawn

const formatted = (x) => String(Number(x.toPrecision(3))).replaceAll("-", "\u2212").replace("+", "");

export function show(root) {
  const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const parts = Object.fromEntries([...root.querySelectorAll("[data-part]")].map((element) => [element.dataset.part, element]));
  const part = (name) => parts[name] ?? null;
  const [[x0, x1], [y0, y1]] = data.window;
  const across = (x) => LEFT + ((x - x0) / (x1 - x0)) * (WIDTH - LEFT - EDGE);
  const up = (y) => HEIGHT - BOTTOM - ((y - y0) / (y1 - y0)) * (HEIGHT - BOTTOM - EDGE);
  const within = ([x, y]) => [Math.min(Math.max(x, x0), x1), Math.min(Math.max(y, y0), y1)];
  // far outside all numbers are as good as any other, and SVG takes no very large ones
  const place = ([x, y]) => [across(x), up(y)].map((v) => Math.min(Math.max(v, -9999), 9999).toFixed(1)).join(" ");
  const line = (path) => path.map((point, n) => (n ? "L" : "M") + place(point)).join("");
  const dots = (path, every) =>
    path.map((point, n) => (n % every && n < path.length - 1 ? "" : `M${place(point)}h0`)).join("");
  const inWords = (point) => data.coordinates.map((name, i) => `${name} = ${formatted(point[i])}`).join(", ");

  // --- what stays: axes and level lines ------------------------------------------------------------

  function ticks(low, high) {
    const raw = (high - low) / 5, ten = 10 ** Math.floor(Math.log10(raw));
    const step = ten * [1, 2, 5, 10].find((m) => m * ten >= raw);
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, k) => (first + k) * step);
  }
  const label = (x, y, anchor, text) => `<text x="${x}" y="${y}" text-anchor="${anchor}">${formatted(text)}</text>`;
  part("axes").innerHTML =
    ticks(x0, x1).map((x) => label(across(x), HEIGHT - BOTTOM + 16, "middle", x)).join("") +
    ticks(y0, y1).map((y) => label(LEFT - 6, up(y) + 4, "end", y)).join("");

  // Level lines cell by cell: on each edge of a cell whose ends lie on two sides of the level there is a point.
  function levelLines() {
    const value = evaluator(data.loss.value), [m, n] = [90, 64];
    const at = (i, j) => [x0 + ((x1 - x0) * i) / m, y0 + ((y1 - y0) * j) / n];
    const grid = Array.from({ length: m + 1 }, (_, i) => Array.from({ length: n + 1 }, (_, j) => value(at(i, j))[0]));
    let text = "";
    for (const level of data.levels)
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], found = [];
          corners.forEach((a, k) => {
            const b = corners[(k + 1) % 4], [u, v] = [grid[a[0]][a[1]] - level, grid[b[0]][b[1]] - level];
            const part = u / (u - v);
            if (u < 0 !== v < 0) found.push(place(at(a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]))));
          });
          for (let k = 0; k + 1 < found.length; k += 2) text += `M${found[k]}L${found[k + 1]}`;
        }
    return text;
  }
  if (data.loss.value) part("levels").setAttribute("d", levelLines());

  // --- what moves: the start, the hyper-parameters, the memory at the start --------------------------

  const sliders = [...root.querySelectorAll("[data-slider]")], handle = part("start"), empty = part("empty");
  const guess = part("guess"), centre = [(x0 + x1) / 2, (y0 + y1) / 2];
  // a prediction is asked for, then it is shown beside the run; or there is none
  const opening = { start: data.start, values: data.values, empty: data.empty, guess: centre, phase: guess ? "asking" : "" };
  const method = optimizer(data.program, data.loss); // its functions are written once
  let state = structuredClone(opening);

  // A slider runs from 0 to 1: through a range evenly, or evenly in the logarithm of the value or of 1 - value.
  const scales = {
    linear: [(x) => x, (x) => x],
    log: [Math.log, Math.exp],
    decay: [(x) => -Math.log(1 - x), (x) => 1 - Math.exp(-x)],
  };
  function valueAt({ low, high, scale }, part) {
    const [to, from] = scales[scale];
    return from(to(low) + part * (to(high) - to(low)));
  }
  function partOf({ low, high, scale }, value) {
    const [to] = scales[scale];
    return (to(value) - to(low)) / (to(high) - to(low));
  }

  // --- one frame -----------------------------------------------------------------------------------

  // Numbers change ten times a second while something moves: no one reads faster, and each change takes the
  // browser longer than a curve.  What is exchanged is the text within an element that has nothing else.
  const LATELY = 100; // milliseconds
  let told = -Infinity, telling = true;
  function write(element, text) {
    const node = element.firstChild ?? element.appendChild(document.createTextNode(""));
    if (telling && node.data !== text) node.data = text;
  }

  function frame(rests) {
    const began = performance.now(), { h, ...given } = state.values, { phase } = state;
    telling = rests || began - told > LATELY;
    if (telling) told = began;
    const points = rests ? POINTS : POINTS / 3;
    const steps = Math.max(1, Math.min(LONGEST, Math.round(data.time / h)));
    const program = withValues(method, given), most = Math.max(...data.terms);
    const slow = state.empty ? undefined : slowMemory(program, state.start, h, most);
    const memory = slow?.every(Number.isFinite) ? slow : undefined;
    const found = run(program, state.start, h, steps, memory);
    const last = found.path.at(-1), whole = found.path.length > steps, every = Math.ceil(steps / DOTS);
    part("run").setAttribute("d", dots(found.path, every));
    write(part("dots"), every > 1 ? `iterates, one in ${every}` : "iterates");
    const words = [];
    function showFlow(name, slope, start, time, begin = 0) {
      const given = [slope, start, time / points, points], apart = (path) => distance(last, path.at(-1));
      const found = rests ? closely(...given, apart, { time: begin, last: true }) : flow(...given, ROUGH, begin, FEW);
      const { path, course, settled = path.length > points } = found;
      const text = !whole ? "\u2013" : settled ? formatted(apart(path)) : "ends before, or is too steep to follow";
      part(`flow-${name}`).setAttribute("d", line(course));
      write(part(`distance-${name}`), text);
      words.push(`${data.names[name]}: ${text}`);
    }
    for (const terms of data.terms)
      showFlow(terms, field(program, h, terms), state.start, steps * h);
    if (data.kept) { // from the state of the run after its first steps
      const first = Math.min(data.first, steps - 1), begun = run(program, state.start, h, first, memory);
      showFlow("kept", field(program, h, data.kept, "kept"), keptState(program, begun.path.at(-1), begun.memory), (steps - first) * h, first * h);
    }
    handle.setAttribute("transform", `translate(${place(state.start)})`);
    handle.setAttribute("aria-valuenow", formatted(state.start[0]));
    handle.setAttribute("aria-valuetext", inWords(state.start));
    for (const slider of sliders) {
      const name = slider.dataset.slider, text = formatted(state.values[name]);
      slider.setAttribute("aria-valuetext", text);
      write(root.querySelector(`output[data-shown="${name}"]`), text);
    }
    const count = `${steps} ${steps > 1 ? "steps" : "step"} from ${inWords(state.start)}`;
    write(part("count"), whole ? count : `${count}: diverges after step ${found.path.length - 1}`);
    write(part("end"), whole ? `The run ends at ${inWords(last)}.` : "");
    const answer = guess ? predicted(whole && last) : "";
    part("link").hidden = !misread;
    write(part("link"), misread);
    root.dataset.milliseconds = (performance.now() - began).toFixed(2);
    if (phase === "asking") return `${misread} ${answer}`.trim();
    return `${misread} ${answer} ${part("count").textContent}. ${part("end").textContent} Distance at the end: ${words.join("; ")}.`.trim();
  }

  // The prediction and how far it is from the end of the run.
  function predicted(end) {
    const asking = state.phase === "asking", shown = state.phase === "shown";
    root.toggleAttribute("data-asking", asking);
    part("asking").hidden = !asking;
    guess.style.display = state.phase ? "" : "none";
    guess.setAttribute("tabindex", asking ? 0 : -1);
    guess.setAttribute("transform", `translate(${place(state.guess)})`);
    guess.setAttribute("aria-valuenow", formatted(state.guess[0]));
    guess.setAttribute("aria-valuetext", inWords(state.guess));
    part("miss").setAttribute("d", shown && end ? line([state.guess, end]) : "");
    const distance = end && formatted(Math.hypot(end[0] - state.guess[0], end[1] - state.guess[1]));
    write(part("guessed"), shown && end ? `Your prediction is ${distance} from the end of the run.` : "");
    return asking ? `Prediction: ${inWords(state.guess)}` : part("guessed").textContent;
  }

  // At most one frame for each refresh of the screen; once nothing has moved for a while one whose flows are settled, whose
  // results are read out and put into the address.
  let asked = 0, resting = 0;
  let misread = ""; // what could not be had of a link, until something moves
  function move(problem = "") {
    misread = problem;
    asked ||= requestAnimationFrame(() => { asked = 0; frame(false); });
    clearTimeout(resting);
    resting = setTimeout(() => { part("status").textContent = frame(true); remember(); }, 350);
  }

  // --- the address -----------------------------------------------------------------------------------

  const written = ({ start, values, empty }) =>
    [...start, ...Object.values(values)].map((x) => Number(x.toPrecision(6))).join(",") + (empty ? ",empty" : "");
  function remember() {
    if (misread) return; // the link may be all that its reader has
    const hash = written(state) === written(opening) ? "" : `#${root.id}=${written(state)}`;
    if (hash || location.hash.startsWith(`#${root.id}=`))
      history.replaceState(null, "", hash || location.pathname + location.search);
  }
  function recall() {
    const [id, text] = location.hash.slice(1).split("=");
    if (id !== root.id || text === undefined) return "";
    const words = text.split(","), numbers = words.filter((word) => word !== "empty").map(Number), names = Object.keys(data.values);
    if (numbers.length !== 2 + names.length || !numbers.every(Number.isFinite))
      return `The link is damaged: after the = there must be ${2 + names.length} numbers, the two coordinates of the start and ${names.join(", ")}. The figure is as it was.`;
    const values = names.map((name, k) => {
      const { low, high } = data.sliders[name] ?? { low: data.values[name], high: data.values[name] };
      return [name, Math.min(Math.max(numbers[2 + k], low), high)];
    });
    state = { ...state, start: within(numbers), values: Object.fromEntries(values), empty: words.includes("empty") };
    const moved = [...state.start, ...Object.values(state.values)].some((x, k) => Math.abs(x - numbers[k]) > 1e-5 * Math.abs(x));
    return moved ? "The link goes beyond what this figure can show; here are the nearest start and values that it can." : "";
  }
  function settle(problem) {
    for (const slider of sliders) slider.value = partOf(data.sliders[slider.dataset.slider], state.values[slider.dataset.slider]);
    if (empty) empty.checked = state.empty;
    move(problem);
  }

  // --- the reader's hand -----------------------------------------------------------------------------

  const svg = root.querySelector("svg");
  let dragged = ""; // "start" or "guess"
  function drag(event) {
    const box = svg.getBoundingClientRect();
    const [u, v] = [((event.clientX - box.left) / box.width) * WIDTH, ((event.clientY - box.top) / box.height) * HEIGHT];
    state[dragged] = within([x0 + ((u - LEFT) / (WIDTH - LEFT - EDGE)) * (x1 - x0), y0 + ((HEIGHT - BOTTOM - v) / (HEIGHT - BOTTOM - EDGE)) * (y1 - y0)]);
    move();
  }
  svg.addEventListener("pointerdown", (event) => {
    const asking = state.phase === "asking", grasped = handle.contains(event.target) ? "start" : asking && guess.contains(event.target) ? "guess" : "";
    // a finger that does not touch a handle scrolls the page
    if (event.button || (event.pointerType === "touch" && !grasped)) return;
    dragged = grasped || (asking ? "guess" : "start");
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
    part(dragged).focus({ preventScroll: true });
    drag(event);
  });
  svg.addEventListener("pointermove", (event) => dragged && drag(event));
  for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, () => { dragged = ""; });
  for (const name of guess ? ["start", "guess"] : ["start"])
    part(name).addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const far = event.shiftKey ? 0.1 : 0.01;
      state[name] = within([state[name][0] + way[0] * far * (x1 - x0), state[name][1] + way[1] * far * (y1 - y0)]);
      move();
    });
  for (const slider of sliders)
    slider.addEventListener("input", () => {
      state.values[slider.dataset.slider] = valueAt(data.sliders[slider.dataset.slider], Number(slider.value));
      move();
    });
  empty?.addEventListener("change", () => { state.empty = empty.checked; move(); });
  for (const [name, phase] of guess ? [["show", "shown"], ["skip", ""]] : [])
    part(name).addEventListener("click", (event) => {
      state.phase = phase;
      if (!event.detail) handle.focus({ preventScroll: true }); // by a key: the button is gone now
      move();
    });
  part("reset").addEventListener("click", () => { state = structuredClone(opening); settle(); });
  window.addEventListener("hashchange", () => settle(recall()));

  settle(recall());
}
