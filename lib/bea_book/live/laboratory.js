// The laboratory's page: what is typed goes to a worker, and its answers are drawn.  WORKER, PRESETS,
// CONSOLE and FIRST come from bea_book.live.laboratory.  The worker has a time for each part; when that is over it is ended, and another is made.
const BUDGET = 15000, PAUSE = 500; // milliseconds: for one part; after the last key
const COLORS = { 1: "grey", 2: "green", 3: "purple", 4: "blue" };
const root = document.getElementById("laboratory"), part = (name) => root.querySelector(`[data-part="${name}"]`);
const fields = Object.fromEntries([...root.querySelectorAll("[data-field]")].map((field) => [field.dataset.field, field]));
const chosen = { losses: root.querySelector("#lab-losses"), optimizers: root.querySelector("#lab-optimizers") };
const words = ["", "one term", "two terms", "three terms", "four terms"];
const formatted = (x) => (Number.isFinite(x) ? String(Number(x.toPrecision(3))).replaceAll("-", "\u2212").replace("+", "") : "\u2013");
const tenth = (x) => x.toFixed(1);

// --- the worker ------------------------------------------------------------------------------------

const address = URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" }));
let worker, busy = false, count = 0, clock = 0, picture, studies = [];

function compute() {
  if (busy || !worker) {
    worker?.terminate();
    worker = new Worker(address);
    worker.onmessage = ({ data }) => data.id === count && answered(data);
    worker.onerror = () => stopped("The computation failed. Change the loss or the optimizer.");
  }
  [busy, studies, before] = [true, [], typed()];
  root.setAttribute("aria-busy", "true");
  wait();
  worker.postMessage({ id: ++count, spec: typed() });
}
function wait() {
  clearTimeout(clock);
  clock = setTimeout(() => stopped(`This takes longer than ${BUDGET / 1000} seconds and was stopped. Choose a larger h, a shorter time, or a shorter program.`), BUDGET);
}
function stopped(message) {
  worker.terminate();
  [worker, busy] = [undefined, false];
  answered({ kind: "problem", field: "", message });
}
function answered(found) {
  wait();
  if (found.kind === "picture") { tell(); picture = found; drawPlane(); }
  else if (found.kind === "study") { studies.push(found); drawErrors(); }
  else {
    clearTimeout(clock);
    busy = false;
    root.removeAttribute("aria-busy");
    if (found.kind === "problem") tell(found);
    else announce();
  }
}

// --- what is typed, and the address ----------------------------------------------------------------

const typed = () => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.type === "checkbox" ? field.checked : field.value]));
function put(values) {
  for (const [name, value] of Object.entries(values)) {
    if (fields[name]?.type === "checkbox") fields[name].checked = value === true || value === "true";
    else if (fields[name]) fields[name].value = value;
  }
  fields.optimizer.rows = Math.max(3, fields.optimizer.value.split("\n").length);
}
for (const [kind, select] of Object.entries(chosen)) {
  PRESETS[kind].forEach(({ name }, n) => select.add(new Option(name, n)));
  select.addEventListener("change", () => {
    // what was typed stays one step back
    history.replaceState(null, "", addressOf(before));
    history.pushState(null, "", addressOf(before));
    incomplete = "";
    put(experimentOf(kind));
    compute();
  });
}
// What the fields hold for what is chosen; a loss and an optimizer of the book have a start and a step size together.
function experimentOf(kind) {
  const loss = PRESETS.losses[chosen.losses.value], optimizer = PRESETS.optimizers[chosen.optimizers.value];
  const { name, pace, ...values } = { ...(kind === "optimizers" ? optimizer : loss) };
  if (!loss || !optimizer) return values;
  const digits = (x) => Number(x.toPrecision(6));
  return { ...values, x: loss.x, y: loss.y, h: digits(loss.h * optimizer.pace), time: digits(loss.time * optimizer.pace) };
}
const opening = PRESETS.opening;
let before = opening, incomplete = ""; // what the fields held when they were computed last; what a link lacked
const addressOf = (values) => `#${new URLSearchParams(values)}`;
function recall() {
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1))), known = Object.keys(fields).some((name) => name in given);
  const lacking = known ? Object.keys(fields).filter((name) => !(name in given)) : [];
  incomplete = lacking.length ? `The link is not complete: it says nothing of ${lacking.join(", ")}, which are as on the first visit.` : "";
  put(known ? { ...opening, ...given } : opening);
  chosenAgain();
  compute();
}
function chosenAgain() {
  const now = typed();
  const same = (preset, names) => names.every((name) => preset[name] === now[name]);
  chosen.losses.value = PRESETS.losses.findIndex((preset) => same(preset, ["loss"]));
  chosen.optimizers.value = PRESETS.optimizers.findIndex((preset) => same(preset, ["optimizer", "given"]));
  for (const select of Object.values(chosen)) if (select.selectedIndex < 0) select.value = "";
}
let last = 0;
part("form").addEventListener("submit", (event) => event.preventDefault());
part("form").addEventListener("input", ({ target }) => {
  if (!target.dataset.field) return;
  chosenAgain();
  incomplete = "";
  clearTimeout(last);
  last = setTimeout(compute, PAUSE);
});
window.addEventListener("hashchange", recall);

// --- what is told ----------------------------------------------------------------------------------

function tell(problem) {
  for (const [name, field] of Object.entries(fields)) {
    const note = root.querySelector(`#lab-${name}-fault`);
    if (!note) continue;
    const mine = problem?.field === name;
    note.hidden = !mine;
    const mark = Object.assign(document.createElement("code"), { textContent: mine ? shownLine(problem, field) : "" });
    note.replaceChildren(...(mine ? [`${where(problem, field)}${problem.message}.`, mark] : []));
    mine ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");
  }
  const general = part("general"), text = problem ? [problem.field ? "" : problem.message, incomplete].filter(Boolean).join(" ") : "";
  general.hidden = !text;
  general.textContent = text;
  part("results").classList.toggle("bea-old", Boolean(problem));
  part("results").hidden = Boolean(problem) && !picture;
  if (!problem) return;
  part("status").textContent = "";
  part("count").textContent = picture ? "Below is the last experiment that could be computed." : "";
}
const where = ({ line, column }, field) => (!line ? "" : field.rows ? `Line ${line}, column ${column}: ` : `Column ${column}: `);
// The line with a mark below the place.
function shownLine({ line, column }, field) {
  const text = line && field.value.split("\n")[line - 1];
  if (!text || text.length > 48) return "";
  return `\n${text}\n${" ".repeat(column - 1)}\u2191`;
}
function announce() {
  const text = picture.flows.map(({ order, distance }) => `${words[order]} ${formatted(distance)}`).join(", ");
  const slopes = studies.map(({ order, slope }) => `${words[order]} ${slopeText(slope)}`).join(", ");
  part("status").textContent = `${part("count").textContent} Distance at the end: ${text}. Observed order: ${slopes}. ${picture.notes.join(" ")}`;
  const now = typed(), same = Object.entries(now).every(([name, value]) => String(value) === String(opening[name]));
  history.replaceState(null, "", same ? location.pathname + location.search : addressOf(now));
}
const slopeText = (slope) => (Number.isFinite(slope) ? slope.toFixed(2).replace("-", "\u2212") : "not measured");

// --- the plane -------------------------------------------------------------------------------------

const [WIDTH, HEIGHT, LEFT, BOTTOM, EDGE] = [560, 400, 52, 40, 10];
function ticks(low, high) {
  const raw = (high - low) / 5, ten = 10 ** Math.floor(Math.log10(raw)), step = ten * [1, 2, 5, 10].find((m) => m * ten >= raw);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, k) => (first + k) * step);
}
const label = (x, y, anchor, text) => `<text x="${tenth(x)}" y="${tenth(y)}" text-anchor="${anchor}">${text}</text>`;

function drawPlane() {
  const { window: [[x0, x1], [y0, y1]], path, flows, kept, values, columns, notes, whole, h, steps } = picture;
  const across = (x) => LEFT + ((x - x0) / (x1 - x0)) * (WIDTH - LEFT - EDGE), up = (y) => HEIGHT - BOTTOM - ((y - y0) / (y1 - y0)) * (HEIGHT - BOTTOM - EDGE);
  const clamped = (v) => tenth(Math.min(Math.max(v, -9999), 9999)), place = ([x, y]) => `${clamped(across(x))} ${clamped(up(y))}`;
  const line = (points) => points.map((point, n) => (n ? "L" : "M") + place(point)).join("");
  part("axes").innerHTML = ticks(x0, x1).map((x) => label(across(x), HEIGHT - BOTTOM + 18, "middle", formatted(x))).join("")
    + ticks(y0, y1).map((y) => label(LEFT - 6, up(y) + 4, "end", formatted(y))).join("");
  part("levels").setAttribute("d", levelLines(values, columns, place, [[x0, x1], [y0, y1]]));
  part("run").setAttribute("d", path.map((point) => `M${place(point)}h0`).join(""));
  for (const { order, path: points, distance } of flows) {
    part(`flow-${order}`).setAttribute("d", line(points));
    part(`distance-${order}`).textContent = distance === undefined ? (whole ? "ends before, or is too steep to follow" : "\u2013") : formatted(distance);
  }
  part("flow-kept").setAttribute("d", kept.path ? line(kept.path) : "");
  part("distance-kept").textContent = kept.distance === undefined ? kept.why : formatted(kept.distance);
  const [x, y] = path[0];
  handle.setAttribute("transform", `translate(${place(path[0])})`);
  const [endX, endY] = path.at(-1), made = path.length - 1;
  part("count").textContent = `${made}${whole ? "" : ` of ${steps}`} ${steps === 1 ? "step" : "steps"} of size h = ${formatted(h)} from x = ${formatted(x)}, y = ${formatted(y)}${made ? ` to x = ${formatted(endX)}, y = ${formatted(endY)}` : ""}.`;
  part("notes").replaceChildren(...[incomplete, ...notes].filter(Boolean).map((note) => Object.assign(document.createElement("p"), { textContent: note })));
  part("snippet").textContent = picture.snippet;
  part("python").hidden = !CONSOLE;
  if (CONSOLE) part("python").href = CONSOLE + encodeURIComponent(FIRST + picture.snippet);
  drawArrows(across, up);
}
// The start can be dragged; the fields for it do the same without a mouse.
const handle = part("start");
handle.addEventListener("pointerdown", (event) => { if (picture) handle.setPointerCapture(event.pointerId); });
handle.addEventListener("pointermove", (event) => {
  if (!handle.hasPointerCapture(event.pointerId)) return;
  const { x: right, y: down } = new DOMPoint(event.clientX, event.clientY).matrixTransform(part("plane").getScreenCTM().inverse());
  const { window: [[x0, x1], [y0, y1]] } = picture, [u, v] = [Math.min(Math.max(right, LEFT), WIDTH - EDGE), Math.min(Math.max(down, EDGE), HEIGHT - BOTTOM)];
  fields.x.value = Number((x0 + ((u - LEFT) / (WIDTH - LEFT - EDGE)) * (x1 - x0)).toPrecision(3));
  fields.y.value = Number((y0 + ((HEIGHT - BOTTOM - v) / (HEIGHT - BOTTOM - EDGE)) * (y1 - y0)).toPrecision(3));
  handle.setAttribute("transform", `translate(${tenth(u)} ${tenth(v)})`);
});
handle.addEventListener("pointerup", () => { if (String(fields.x.value) !== before.x || String(fields.y.value) !== before.y) compute(); });
function drawArrows(across, up) {
  const length = 15, text = picture.arrows[root.querySelector("#lab-arrows").value - 1].map(([[x, y], [u, v]]) => {
    const { window: [[x0, x1], [y0, y1]] } = picture, [du, dv] = [u / (x1 - x0) * 498, -v / (y1 - y0) * 350], size = Math.hypot(du, dv);
    if (!(size > 0) || !Number.isFinite(size)) return "";
    const [a, b] = [du / size, dv / size], [px, py] = [across(x) - (a * length) / 2, up(y) - (b * length) / 2], [qx, qy] = [px + a * length, py + b * length];
    return `M${tenth(px)} ${tenth(py)}L${tenth(qx)} ${tenth(qy)}m${tenth(-5 * a + 3 * b)} ${tenth(-5 * b - 3 * a)}L${tenth(qx)} ${tenth(qy)}l${tenth(-5 * a - 3 * b)} ${tenth(-5 * b + 3 * a)}`;
  }).join("");
  part("arrows").setAttribute("d", text);
}
root.querySelector("#lab-arrows").addEventListener("change", () => picture && drawPlane());

// Level lines cell by cell; the levels enclose about equal areas.
function levelLines(values, columns, place, [[x0, x1], [y0, y1]]) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b), rows = values.length / columns;
  const at = (i, j) => [x0 + ((x1 - x0) * i) / (columns - 1), y0 + ((y1 - y0) * j) / (rows - 1)];
  const levels = new Set(Array.from({ length: 10 }, (_, k) => sorted[Math.floor(((k + 0.5) / 10) * sorted.length)]));
  let text = "";
  for (const level of levels)
    for (let i = 0; i + 1 < columns; i++)
      for (let j = 0; j + 1 < rows; j++) {
        const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], found = [];
        corners.forEach((a, k) => {
          const b = corners[(k + 1) % 4], [u, v] = [values[a[1] * columns + a[0]] - level, values[b[1] * columns + b[0]] - level], t = u / (u - v);
          if (u < 0 !== v < 0 && Number.isFinite(t)) found.push(place(at(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]))));
        });
        for (let k = 0; k + 1 < found.length; k += 2) text += `M${found[k]}L${found[k + 1]}`;
      }
  return text;
}

// --- the errors ------------------------------------------------------------------------------------

function drawErrors() {
  const good = studies.flatMap(({ errors, hs, floor }) => hs.map((h, k) => [h, errors[k], floor])).filter(([, error]) => error > 0 && Number.isFinite(error));
  for (const order of [1, 2, 3, 4]) {
    const found = studies.find((study) => study.order === order);
    part(`slope-${order}`).textContent = !found ? "\u2026" : Number.isFinite(found.slope) ? slopeText(found.slope)
      : found.errors.some(Number.isNaN) ? "the run or the flow ends before, or is too steep to follow" : "round-off only";
  }
  if (!good.length) { part("error-axes").innerHTML = part("error-lines").innerHTML = ""; return; }
  const logs = good.map(([h, error]) => [Math.log10(h), Math.log10(error)]), bounds = [0, 1].map((i) => [Math.min(...logs.map((p) => p[i])), Math.max(...logs.map((p) => p[i]))]);
  const [[u0, u1], [v0, v1]] = [[bounds[0][0] - 0.12, bounds[0][1] + 0.06], [Math.floor(bounds[1][0] - 0.1), Math.ceil(bounds[1][1] + 0.1)]];
  const across = (u) => 62 + ((u - u0) / (u1 - u0)) * 480, up = (v) => 250 - ((v - v0) / (v1 - v0)) * 236;
  const every = Math.ceil((v1 - v0) / 7), powers = Array.from({ length: Math.floor((v1 - v0) / every) + 1 }, (_, k) => v0 + k * every);
  part("error-axes").innerHTML = powers.map((v) => `<text x="56" y="${tenth(up(v) + 4)}" text-anchor="end">10<tspan dy="-5" font-size="75%">${formatted(v)}</tspan></text>`).join("")
    + studies[0].hs.map((h) => label(across(Math.log10(h)), 268, "middle", formatted(h))).join("");
  part("error-lines").innerHTML = studies.map(({ order, hs, errors }) => {
    const points = hs.map((h, k) => [h, errors[k]]).filter(([, e]) => e > 0 && Number.isFinite(e)).map(([h, e]) => `${tenth(across(Math.log10(h)))} ${tenth(up(Math.log10(e)))}`);
    if (!points.length) return "";
    const dashes = ["", "", "", "7 3", "2 3"][order], end = points.at(-1).split(" ").map(Number);
    return `<path d="M${points.join("L")}" fill="none" stroke="var(--bea-${COLORS[order]})" stroke-width="2" stroke-dasharray="${dashes}"/>`
      + `<path d="${points.map((p) => `M${p}h0`).join("")}" stroke="var(--bea-${COLORS[order]})" stroke-width="7" stroke-linecap="round"/>` + label(end[0] - 8, end[1] + 4, "end", order);
  }).join("");
}

// --- to take away ----------------------------------------------------------------------------------

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    part("status").textContent = `${what} is copied.`;
  } catch {
    part("status").textContent = "Copying is not allowed here; select the text instead.";
    getSelection().selectAllChildren(part("snippet"));
  }
}
part("copy").addEventListener("click", () => copy(picture?.snippet ?? "", part("results").classList.contains("bea-old") ? "The Python of the last experiment that could be computed" : "The Python"));
part("link").addEventListener("click", () => copy(location.href.split("#")[0] + addressOf(typed()), "The link"));

recall();
