// What a reader types becomes the traces that bea_book.live makes of Python code.
//
// A loss is an expression in x and y; an optimizer is the lines of a function under `@bea.optimizer`, alone or
// with its head.
import { callable, elementwise, isValue, reduced, Reader } from "./reader.js";
import { Node, Problem, shown, Tape } from "./tape.js";

// --- what NumPy has here ---------------------------------------------------------------------------

// An array from a list of numbers; np.array makes none of values that change, here as in the library.
const arrayed = (title, changing) => callable(title, [1], (reader, at, { list }) => {
  if (!list) reader.fail(`${title} takes a list, as [a, b] is`, at);
  if (list.some((x) => !isValue(x) || Array.isArray(x))) reader.fail(`${title} takes a list of numbers, not of arrays`, at);
  if (!changing && list.some((x) => x instanceof Node)) reader.fail(`${title} takes fixed numbers only; write np.stack([...])`, at);
  return list;
});
const concatenate = callable("np.concatenate", [1], (reader, at, { list }) =>
  (list?.every(Array.isArray) ? list.flat() : reader.fail("np.concatenate takes a list of arrays, as [g[:1], g[1:]] is", at)));
const SMOOTH = "sqrt exp log sin cos tan sinh cosh tanh".split(" ");
const OTHERS = "cbrt expm1 log1p arcsin arccos arctan arcsinh arccosh arctanh sign absolute maximum minimum hypot power where".split(" ");
const NUMPY = { title: "np", members: {
  ...Object.fromEntries([...SMOOTH, ...OTHERS].map((name) => [name, elementwise(`np.${name}`)])),
  abs: elementwise("np.abs", "absolute"), square: callable("np.square", [1], (reader, at, x) => reader.apply("multiply", at, x, x)),
  sum: reduced("np.sum"), mean: reduced("np.mean"), linalg: { title: "np.linalg", members: { norm: reduced("np.linalg.norm") } },
  concatenate, stack: arrayed("np.stack", true), array: arrayed("np.array", false), pi: Math.PI, e: Math.E,
} };
const smoothSign = callable("smooth_sign", [2], (reader, at, x, epsilon) => { // bea.optimizers.smooth_sign
  const apply = (name, ...values) => reader.apply(name, at, ...values);
  return epsilon === 0 ? apply("sign", x) : apply("divide", x, apply("sqrt", apply("add", apply("multiply", x, x), epsilon)));
});

// --- losses ----------------------------------------------------------------------------------------

// As SymPy names them.
const OF_LOSSES = { pi: Math.PI, abs: elementwise("abs", "absolute"), ...Object.fromEntries(SMOOTH.map((name) => [name, elementwise(name)])),
  asin: elementwise("asin", "arcsin"), acos: elementwise("acos", "arccos"), atan: elementwise("atan", "arctan"), asinh: elementwise("asinh", "arcsinh") };
const OTHER_NAMES = { np: "in a loss write sin(x), not np.sin(x)", ln: "write log(x)", e: "write exp(1)", π: "write pi", E: "write the expression alone; the number e is exp(1)" };
for (const name of ["max", "min", "Max", "Min", "where"]) OTHER_NAMES[name] = "a loss is one formula";
for (const name of ["a", "b", "theta", "theta_1", "theta_2", "X", "Y"]) OTHER_NAMES[name] = "the variables are x and y";
for (const name of ["sin", "cos", "tan", "sinh"]) OTHER_NAMES[`arc${name}`] = `write a${name}(x)`;
// Derivatives by the first argument a (and the second, b) of a function with the result r, in the language itself.
const SLOPES = {
  add: ["1", "1"], subtract: ["1", "-1"], multiply: ["b", "a"], divide: ["1 / b", "-r / b"], negative: ["-1"],
  power: ["b * a**(b - 1)", "r * log(a)"], sqrt: ["0.5 / r"], exp: ["r"], log: ["1 / a"], sin: ["cos(a)"], cos: ["-sin(a)"],
  tan: ["1 + r**2"], sinh: ["cosh(a)"], cosh: ["sinh(a)"], tanh: ["1 - r**2"], arctan: ["1 / (1 + a**2)"],
  arcsin: ["1 / sqrt(1 - a**2)"], arccos: ["-1 / sqrt(1 - a**2)"], arcsinh: ["1 / sqrt(1 + a**2)"], absolute: ["sign(a)"],
};

/** Return the traces of a loss and of its gradient, from an expression in x and y. */
export function loss(text) {
  const tape = new Tape(["theta_0", "theta_1"]), [x, y] = [new Node(0), new Node(1)];
  const hint = (name) => (Object.hasOwn(OTHER_NAMES, name) ? OTHER_NAMES[name] : "");
  const reader = new Reader(text, tape, { x, y, ...OF_LOSSES }, { hint, branches: false });
  while (reader.kind === "end" && reader.word) reader.next++;
  const value = reader.expression();
  reader.endOfLine();
  if (reader.kind !== "stop") reader.fail("a loss is one expression, on one line");
  if (Array.isArray(value) || !isValue(value)) reader.fail("a loss is one number, not a list or a function", { line: 1, column: 1 });
  return { value: tape.trace([value]), gradient: tape.trace(derivatives(tape, value)) };
}

// The derivatives of a value by both inputs, from its last operation to its first.
function derivatives(tape, value) {
  const slopes = new Map(value instanceof Node ? [[value.index, 1]] : []);
  for (let n = tape.operations.length - 1; n >= 0; n--) {
    const outer = slopes.get(2 + n), [name, ...given] = tape.operations[n], at = tape.places[n];
    if (outer === undefined) continue;
    for (const [k, inner] of given.entries()) {
      if (!(inner instanceof Node)) continue;
      const local = new Reader(SLOPES[name][k], tape, { a: given[0], b: given[1], r: new Node(2 + n), ...OF_LOSSES, sign: elementwise("sign") });
      for (const word of local.words) word.at = at;
      tape.at = at;
      const slope = tape.record("multiply", outer, local.expression());
      slopes.set(inner.index, slopes.has(inner.index) ? tape.record("add", slopes.get(inner.index), slope) : slope);
    }
  }
  return [slopes.get(0) ?? 0, slopes.get(1) ?? 0];
}

/** The names of SymPy that a loss uses. */
export const used = (text) => [...new Set(text.match(/[A-Za-z_]\w*/g) ?? [])].filter((name) => name in OF_LOSSES && name !== "abs").sort();

// --- optimizers ------------------------------------------------------------------------------------

/** Return {name: number or boolean} from “beta=0.9, rho=0.95”. */
export function hyperparameters(text) {
  const found = {}, reader = new Reader(text, new Tape([]), { True: true, False: false, np: NUMPY, pi: Math.PI, sqrt: elementwise("sqrt") });
  for (reader.skipEnds(); reader.kind !== "stop"; reader.skipEnds()) {
    const at = reader.at, name = reader.name("a hyper-parameter");
    if (name in found) reader.fail(`“${name}” is given twice`, at);
    reader.must("=", `after “${name}”`);
    const value = reader.expression();
    if (typeof value !== "number" && typeof value !== "boolean") reader.fail(`“${name}” must be one number, True or False`, at);
    found[name] = value;
    if (!reader.took(",") && reader.kind !== "end") reader.fail(`“,” is missing before ${reader.shown()}`);
  }
  return found;
}

// The head of a function: the names of theta, gradient and memory, the hyper-parameters and their defaults.
function head(reader, given) {
  const blank = () => { while (reader.kind === "end" && reader.word) reader.next++; };
  blank();
  if (reader.took("@")) while (reader.kind !== "end") reader.next++;
  blank();
  if (!reader.took("def")) return { name: "mine", names: ["theta", "gradient", "memory"], values: given };
  const name = reader.name("after “def” there"), names = [], values = {};
  reader.must("(", "after the function’s name");
  while (!reader.took(")")) {
    if (!reader.took("*")) {
      const at = reader.at, own = reader.name("an argument");
      if (reader.took(":")) do reader.name("an annotation"); while (reader.took("."));
      const start = reader.took("=") ? reader.expression() : undefined;
      if (names.length < 3) names.push(own);
      else if (own in given || start !== undefined) values[own] = given[own] ?? start;
      else reader.fail(`“${own}” has no value; give it one among the hyper-parameters`, at);
    }
    if (reader.word !== ")") reader.must(",", "between arguments");
  }
  if (names.length < 3) reader.fail("the function takes theta, gradient and memory first");
  if (reader.took("->")) reader.name("an annotation");
  reader.must(":", "after the arguments");
  for (const extra of Object.keys(given)) if (!(extra in values)) ofGiven(`The function has no argument “${extra}”`);
  return { name, names, values };
}
const ofGiven = (message) => { throw Object.assign(new Problem(message), { of: "given" }); };

// What a program has: theta, the gradient and the memory, by the names that its head gives them.
function surroundings([theta, gradient, memory]) {
  let calls = 0;
  const average = callable(`${memory}.average`, [2, 3], (reader, at, x, decay, corrected = false) => {
    if (x === undefined || decay === undefined) reader.fail("an average needs a value and a decay", at);
    if (typeof corrected !== "boolean") reader.fail("corrected is True or False", at);
    for (const b of [decay].flat()) if (typeof b === "number" && !(b >= 0 && b < 1)) reader.fail(`the decay of an average is ${shown(b)}; it must be at least 0 and less than 1`, at);
    const number = calls++, m = reader.apply("average", at, x, decay, number);
    return corrected ? reader.apply("divide", at, m, reader.apply("subtract", at, 1, reader.apply("weight", at, decay, number))) : m;
  }, ["x", "decay", "corrected"]);
  const previous = callable(`${memory}.previous`, [1, 2], (reader, at, x, start = 0) => reader.apply("previous", at, x, start), ["x", "start"]);
  return {
    [theta]: [new Node(0), new Node(1)],
    [gradient]: callable(gradient, [1], (reader, at, point) => {
      if (!Array.isArray(point) || point.length !== 2) reader.fail(`${gradient} takes a point with two coordinates, as theta is`, at);
      return point.map((_, i) => reader.tape.record("gradient", ...point, i));
    }),
    [memory]: { title: memory, members: { h: new Node(2), time: new Node(3), step: new Node(4), average, previous } },
  };
}

const IN_PROGRAMS = { h: "the step size is memory.h; return the update U, and theta − h · U is the next point", x: "the coordinates are theta[0] and theta[1]", y: "the coordinates are theta[0] and theta[1]", max: "write np.maximum(a, b)", min: "write np.minimum(a, b)" };
const inProgram = (name) => (Object.hasOwn(NUMPY.members, name) ? `write np.${name}` : Object.hasOwn(IN_PROGRAMS, name) ? IN_PROGRAMS[name] : "");

/** Return the trace of an optimizer from its lines and its hyper-parameters, which are constants of it. */
export function program(text, given = {}) {
  const tape = new Tape(["theta_0", "theta_1", "memory.h", "memory.time", "memory.step"]);
  const reader = new Reader(text, tape, { np: NUMPY, abs: elementwise("abs", "absolute"), smooth_sign: smoothSign, True: true, False: false }, { hint: inProgram });
  const { name, names, values } = head(reader, given);
  for (const key of Object.keys(values)) if (["np", "abs", ...names].includes(key)) ofGiven(`“${key}” is no name for a hyper-parameter`);
  Object.assign(reader.names, values, surroundings(names));
  reader.hint = (word) => (word === name ? "a program cannot call itself" : inProgram(word));
  const own = text.slice(reader.words[reader.next].start), update = reader.body(), outputs = [update].flat();
  if (outputs.length === 1) outputs.push(outputs[0]);
  if (outputs.length !== 2 || !outputs.every(isValue))
    reader.fail(`the update has one number, or one for each of the two coordinates${update.list ? "; write np.stack([...])" : update.call ? `; ${update.title} is a function, to be called as ${update.title}(…)` : ""}`);
  return { ...tape.trace(outputs), given: {}, source: { name, names, values, text: own } };
}
