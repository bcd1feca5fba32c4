// What the laboratory computes from what is typed: the run, the flows, the errors against h; and the same in Python.
import { closely, distance, field, keptState, optimizer, run, slowMemory, terms } from "./engine.js";
import { hyperparameters, loss, program, used } from "./parse.js";
import { firstFault, Problem, shown, told } from "./tape.js";

export const TERMS = [1, 2, 3, 4];
const MOST = 1000; // steps of the run; the smallest of the step sizes makes eight times as many
const FAR = 1e6; // compared with the start: no error of a flow, but one that explodes
const FLOOR = 5e-12; // as bea.orders has it: below this, compared with theta, errors are round-off

// --- what is typed ---------------------------------------------------------------------------------

function reading(field, read) {
  try {
    return read();
  } catch (problem) {
    if (!(problem instanceof Problem) && !(problem instanceof RangeError)) throw problem;
    throw Object.assign(problem, { field: problem.of ?? field });
  }
}
const refuse = (field, message) => { throw Object.assign(new Problem(message), { field }); };

// A number, or arithmetic with numbers as in the hyper-parameters.
function number(typed, field, name) {
  const text = String(typed).trim().replaceAll("\u2212", "-"), no = (words) => refuse(field, `${name} must be a number such as 0.05${words}`);
  if (!text) no("; here is none");
  if (/^-?\d*,\d+$/.test(text)) no(`, with a point: ${text.replace(",", ".")}`);
  let value = Number(text);
  if (Number.isNaN(value)) try { ({ value } = hyperparameters(`value=${text}`)); } catch { /* told below */ }
  return typeof value === "number" && Number.isFinite(value) ? value : no(`, or arithmetic such as 1/20, not “${text}”`);
}

/** Return what is to be computed, from {loss, optimizer, given, h, time, x, y, empty}, all but the last as text. */
export function setUp(spec) {
  const read = reading("loss", () => loss(spec.loss)), given = reading("given", () => hyperparameters(spec.given));
  const found = reading("optimizer", () => program(spec.optimizer, given));
  if (!read.gradient.operations.length && read.gradient.constants.every((x) => x === 0))
    refuse("loss", "the loss does not depend on x or y: its gradient is zero everywhere, and nothing would move");
  const start = ["x", "y"].map((name) => number(spec[name], name, name)), h = number(spec.h, "h", "h"), time = number(spec.time, "time", "the time");
  if (!(h > 0)) refuse("h", "h must be larger than 0");
  if (!(time >= h)) refuse("time", `the time must be h or more, here ${shown(h)}`);
  if (time / h > MOST + 0.5) refuse("time", `these are ${shown(time / h)} steps; at most ${MOST} are made: choose a larger h or a shorter time`);
  const { source, ...trace } = found, remembers = trace.operations.some(([name]) => name === "average" || name === "previous");
  return { ...spec, start, h, steps: Math.round(time / h), loss: read, text: spec.loss, source, trace, remembers, optimizer: optimizer(trace, read) };
}

// --- where numbers end -----------------------------------------------------------------------------

// Say where the loss or the program leaves the numbers at a point, if they do; `empty` is the first step of a run.
function explain({ loss, trace, h }, point, empty, where) {
  for (const part of [loss.value, loss.gradient]) {
    const fault = firstFault(part, point);
    if (fault) throw Object.assign(new Problem(`${where} ${told(fault)}${part === loss.gradient ? " in the gradient" : ""}`, fault.at), { field: "loss" });
  }
  const gradient = (...given) => {
    const i = given.pop(), values = [...given, ...loss.gradient.constants];
    const fault = firstFault({ ...loss.gradient, constants: [], operations: loss.gradient.operations }, values);
    return fault ? NaN : terms(optimizer({ inputs: ["theta_0", "theta_1", "h", "time", "step"], constants: [0, 1], given: {}, outputs: [7, 8],
      operations: [["gradient", 0, 1, 5], ["gradient", 0, 1, 6]] }, loss), given, 1)[0].map((x) => -x)[i];
  };
  const memory = empty ? { gradient, average: (x, decay) => (1 - decay) * x, weight: (decay) => decay, previous: (x, start) => start }
    : { gradient, average: (x, decay) => (decay < 1 ? x : NaN), weight: () => 0, previous: (x) => x };
  const fault = firstFault(trace, [...point, h, 0, empty ? 0 : 1e9], memory);
  const words = fault?.name === "average" ? `the decay of an average is ${shown(fault.of[1])}; it must be less than 1` : fault && told(fault);
  if (fault) throw Object.assign(new Problem(`${where} ${words}`, fault.at), { field: "optimizer" });
}
const at = ([x, y]) => `at x = ${shown(x)}, y = ${shown(y)}`;

// --- the picture -----------------------------------------------------------------------------------

/** Return the run and the flows, and the distance between their ends. */
export function picture(set) {
  const { start, h, steps, empty } = set, most = TERMS.at(-1);
  const first = terms(set.optimizer, start, 1)[0];
  if (!first.every(Number.isFinite) || firstFault(set.loss.value, start)) explain(set, start, false, `${at(start)}, where the run starts,`);
  const memory = empty || !set.remembers ? undefined : slowMemory(set.optimizer, start, h, most), notes = [];
  const slow = memory?.every(Number.isFinite);
  if (memory && !slow) notes.push("The memory of the slow manifold does not exist at the start (there is a kink there); it is empty instead.");
  const { path } = run(set.optimizer, start, h, steps, slow ? memory : undefined), whole = path.length > steps;
  const left = path.findIndex((point) => Math.max(...point.map(Math.abs)) < 1e6 && firstFault(set.loss.value, point)), fault = left > 0 && firstFault(set.loss.value, path[left]);
  if (fault) notes.push(`After step ${left}, ${at(path[left])}, the loss has no value: ${told(fault)}.`);
  if (path.length === 1) explain(set, start, !slow, `in the first step, ${at(start)},`);
  if (!whole) {
    const last = path.at(-1);
    if (Math.max(...last.map(Math.abs)) < 1e6) explain(set, last, false, `after step ${path.length - 1}, ${at(last)},`);
    notes.push(`The run diverges: after step ${path.length - 1} its numbers are not finite. A smaller h may help.`);
  }
  const reach = Math.max(...path.map((z) => distance(z, start)));
  if (whole && reach > 1e4 * Math.max(1, ...start.map(Math.abs))) notes.push(`The run comes as far as ${shown(reach)} from its start: it grows without bound. A smaller h may help.`);
  if (/\babs *\(/.test(set.text)) notes.push("abs has a kink. Where the run crosses it, more terms do not help, and the Python below may take minutes.");
  if (first.every((x) => x === 0)) notes.push("At the start the leading-order flow is at rest.");
  const flows = TERMS.map((order) => {
    const line = closely(field(set.optimizer, h, order), start, h, steps, (z) => (whole && z.length > steps ? distance(z.at(-1), path[steps]) : 0), { last: true });
    return { order, path: line.path, distance: whole && line.settled ? distance(line.path[steps], path[steps]) : undefined };
  });
  const [one, two] = flows.map((line) => Number(line.distance?.toPrecision(3))); // as they are shown
  if (two >= one && one > FLOOR) notes.push(empty && set.remembers
    ? "Two terms are no closer than one: the run starts from an empty memory, which these flows do not know. Untick the box, or look at the flow that keeps its memory (chapter 12)."
    : "Two terms are no closer than one: h is too large here for the series, for a decay \u03b2 compared with 1 \u2212 \u03b2, or the program has no expansion where the run is.");
  return { path, whole, flows, kept: keptFlow(set, path, whole), notes, slow: Boolean(slow) };
}

// The flow with two terms that keeps its memory, from the run's own state after some steps.
function keptFlow(set, path, whole) {
  const { h, steps, start } = set, first = Math.max(1, Math.min(20, Math.floor(steps / 4)));
  if (!set.remembers) return { why: "the program has no memory" };
  if (!set.empty) return { why: "tick “empty memory” to see it" };
  if (!whole || steps < 2) return { why: "the run ends before" };
  try {
    const state = keptState(set.optimizer, path[first], run(set.optimizer, start, h, first).memory);
    const line = closely(field(set.optimizer, h, 2, "kept"), state, h, steps - first, (z) => distance(z.at(-1).slice(0, 2), path[steps]), { time: first * h, last: true }), points = line.path.map((z) => z.slice(0, 2));
    return line.settled ? { first, path: points, distance: distance(points.at(-1), path[steps]) } : { why: "it ends before, or is too steep to follow", path: points };
  } catch (problem) {
    return { why: problem.message };
  }
}

/** Return a window around the run and the flows, the loss's values on a grid and the fields' arrows. */
export function surroundings(set, { path, flows, whole }) {
  const within = (far) => (z) => z.every((x, i) => Math.abs(x - set.start[i]) < far), own = (whole ? path : path.slice(0, 2)).filter(within(1e4));
  // a flow that goes astray does not take the run out of sight
  const reach = Math.max(...own.map((z) => distance(z, set.start))) || 1e4, lines = flows.map((line) => line.path.filter(within(whole ? 1.5 * reach : 1e4)));
  const points = [set.start, ...own, ...lines[0], ...(whole ? lines.flat() : [])];
  const sides = [0, 1].map((i) => {
    const all = points.map((z) => z[i]), [low, high] = [Math.min(...all), Math.max(...all)], middle = (low + high) / 2;
    return { middle, half: 0.6 * (high - low) };
  });
  const least = Math.max(0.25 * Math.max(...sides.map(({ half }) => half)), 1e-3 * Math.max(1, ...set.start.map(Math.abs)));
  const window = sides.map(({ middle, half }) => [middle - Math.max(half, least), middle + Math.max(half, least)]);
  const grid = (m, n) => Array.from({ length: (m + 1) * (n + 1) }, (_, k) => {
    const [i, j] = [k % (m + 1), Math.floor(k / (m + 1))];
    return [window[0][0] + ((window[0][1] - window[0][0]) * i) / m, window[1][0] + ((window[1][1] - window[1][0]) * j) / n];
  });
  const value = optimizer({ ...set.loss.value, inputs: ["theta_0", "theta_1", "h", "time", "step"], given: {}, ...withOwnPlaces(set.loss.value) }, set.loss);
  const values = grid(60, 44).map((z) => -terms(value, z, 1)[0][0]);
  const arrows = TERMS.map((order) => { const slope = field(set.optimizer, set.h, order); return grid(12, 9).map((z) => [z, [...slope(z)]]); });
  return { window, columns: 61, values, arrows };
}

// A loss's value as an update with five inputs instead of two, so that the engine evaluates it: U = (E, E).
function withOwnPlaces({ operations, outputs }) {
  const place = (n) => (n < 2 ? n : n + 3);
  return { operations: operations.map(([name, ...places]) => [name, ...places.map(place)]), outputs: [place(outputs[0]), place(outputs[0])] };
}

/** Return the errors of the flow with so many terms at h, h/2, h/4, h/8 and their slope, as bea.order_study measures them. */
export function study(set, order) {
  const { start, steps } = set, time = set.h * steps, hs = [1, 2, 4, 8].map((n) => set.h / n), errors = [];
  let scale = 0;
  for (const [k, h] of hs.entries()) {
    const memory = set.remembers ? slowMemory(set.optimizer, start, h, order + 2) : undefined;
    const { path } = run(set.optimizer, start, h, steps * 2 ** k, memory?.every(Number.isFinite) ? memory : undefined);
    const error = (z) => (z.length === path.length ? Math.max(...z.map((x, n) => distance(x, path[n]))) : 0);
    const line = path.length > steps * 2 ** k && (!memory || memory.every(Number.isFinite)) ? closely(field(set.optimizer, h, order), start, h, steps * 2 ** k, error) : {};
    const found = line.settled ? error(line.path) : NaN;
    const there = found < FAR * Math.max(1, ...start.map(Math.abs)); // else the run or the flow explodes
    errors.push(there ? found : NaN);
    if (there) scale = Math.max(scale, ...path.map((z) => Math.max(...z.map(Math.abs))));
  }
  const use = hs.map((h, k) => [Math.log(h), Math.log(errors[k])]).filter((_, k) => errors[k] > FLOOR * scale);
  const mean = (i) => use.reduce((sum, point) => sum + point[i], 0) / use.length, [a, b] = [mean(0), mean(1)];
  const slope = use.length < 2 ? NaN : use.reduce((sum, [u, v]) => sum + (u - a) * (v - b), 0) / use.reduce((sum, [u]) => sum + (u - a) ** 2, 0);
  return { order, hs, errors, slope, time, floor: FLOOR * scale };
}

// --- the same in Python ----------------------------------------------------------------------------

const python = (x) => (typeof x === "boolean" ? (x ? "True" : "False") : String(x).replace("Infinity", "float('inf')"));

/** Return the Python that computes the same numbers: `run_end`, `distances`, `kept_distance`, `studies`; then f_1 in symbols. */
export function snippet({ text, source, start, h, steps, empty, remembers }, kept) {
  const { name, names, values } = source, own = Object.keys(values), sympy = ["symbols", ...used(text)].join(", ");
  const { text: body } = source, expression = text.replace(/#.*$/gm, "").replace(/[;\s]+$/, "").trim();
  const lines = body.split("\n").map((line) => line.trimEnd()).filter((line) => line).map((line) => `    ${line.trimStart()}`);
  const given = (value) => own.map((key) => `${key}=${value(key)}`).join(", ");
  const letters = own.filter((key) => typeof values[key] === "number" && values[key] !== 0 && !Number.isInteger(values[key]));
  return [
    "import bea", "import numpy as np", `from sympy import ${sympy}`, ...(/\bsmooth_sign\b/.test(body) ? ["from bea.optimizers import smooth_sign"] : []), "",
    `x, y = symbols("x y", real=True)`, `loss = bea.Loss(${expression}, (x, y))`, "", "",
    "@bea.optimizer", `def ${name}(${[...names, ...own].join(", ")}):`, ...lines, "", "",
    `optimizer = ${name}(${given((key) => python(values[key]))})`, `start, h, steps = (${start.join(", ")}), ${h}, ${steps}`,
    `memory = ${empty || !remembers ? "None" : "bea.modified_equation(optimizer, loss, 4).memory(start, h)"}`, "",
    "path = bea.run(optimizer, loss, start, h, steps, memory=memory)", `print("the run ends at", path[-1])`,
    "", "", "def distance(equation, **options):", `    """From the end of the flow to the last iterate; not a number if the flow ends before."""`, "    try:",
    "        return np.linalg.norm(bea.flow(equation, start, h, steps, **options)[-1] - path[-1])", "    except bea.Divergence:", "        return np.nan", "", "",
    "distances = []", "for terms in (1, 2, 3, 4):", "    distances.append(distance(bea.modified_equation(optimizer, loss, terms)))", `    print("distance with terms =", terms, "is", distances[-1])`,
    ...(kept?.first ? [`kept_distance = distance(bea.modified_equation(optimizer, loss, 2, memory="kept"), first=${kept.first})`, `print("with the memory kept:", kept_distance)`] : []),
    "", "studies = []", "for terms in (1, 2, 3, 4):", "    try:", "        studies.append(bea.order_study(optimizer, loss, start, h * steps, [h, h / 2, h / 4, h / 8], terms))", "        print(studies[-1])",
    "    except (bea.Divergence, ValueError) as problem:", `        print("terms =", terms, "have no observed order:", problem)`,
    "", "# the correction f_1 in symbols", ...(letters.length ? [`letters = {name: symbols(name, positive=True) for name in ${JSON.stringify(letters)}}`] : []),
    `in_symbols = ${name}(${given((key) => (letters.includes(key) ? `letters["${key}"]` : python(values[key])))})`, "f_1 = bea.modified_equation(in_symbols, loss, 2).terms[1]", "print(f_1)", "f_1", "",
  ].join("\n");
}

// --- all of it, part after part --------------------------------------------------------------------

/** Yield what there is to show, as soon as it is computed; a problem is told by its field, line and column. */
export function* experiment(spec) {
  try {
    const set = setUp(spec), found = picture(set);
    yield { kind: "picture", ...found, ...surroundings(set, found), steps: set.steps, h: set.h, snippet: snippet(set, found.kept) };
    for (const order of TERMS) yield { kind: "study", ...study(set, order) };
    yield { kind: "done" };
  } catch (problem) {
    if (!problem.field) throw problem;
    yield { kind: "problem", field: problem.field, line: problem.line, column: problem.column, message: problem.message };
  }
}
