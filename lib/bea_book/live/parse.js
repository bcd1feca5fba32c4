// A little of Python: what a reader types becomes the traces that bea_book.live makes of Python code.
//
// A loss is an expression in x and y; an optimizer is the lines of a function under `@bea.optimizer`, alone or
// with its head.  Nothing that is typed is ever run: it is read by recursive descent, once, and each operation
// on numbers is recorded.  A value is a number, a Node (one that the trace computes) or an array of these.

/** What is wrong with a text: at which line and column, from 1 on. */
export class Problem extends Error {
  constructor(message, { line, column } = {}) { super(message); Object.assign(this, { line, column }); }
}

// --- numbers and what is recorded ------------------------------------------------------------------

const LONGEST = 4000, DEEPEST = 60; // characters of a text, brackets within each other
class Node { constructor(index) { this.index = index; } }
const is = (x, number) => x === number;
const NUMBERS = {
  add: (a, b) => a + b, subtract: (a, b) => a - b, multiply: (a, b) => a * b, divide: (a, b) => a / b, negative: (a) => -a,
  power: (a, b) => a ** b, less: (a, b) => a < b, less_equal: (a, b) => a <= b, greater: (a, b) => a > b,
  greater_equal: (a, b) => a >= b, equal: (a, b) => a === b, not_equal: (a, b) => a !== b, absolute: Math.abs,
  maximum: Math.max, minimum: Math.min, where: (c, a, b) => (c ? a : b), hypot: Math.hypot,
  sign: Math.sign, sqrt: Math.sqrt, cbrt: Math.cbrt, exp: Math.exp, expm1: Math.expm1, log: Math.log, log1p: Math.log1p,
  sin: Math.sin, cos: Math.cos, tan: Math.tan, sinh: Math.sinh, cosh: Math.cosh, tanh: Math.tanh, arcsin: Math.asin,
  arccos: Math.acos, arctan: Math.atan, arcsinh: Math.asinh, arccosh: Math.acosh, arctanh: Math.atanh,
};
// Derivatives by the first argument a (and the second, b) of a function with the result r, in the language itself.
const SLOPES = {
  add: ["1", "1"], subtract: ["1", "-1"], multiply: ["b", "a"], divide: ["1 / b", "-r / b"], negative: ["-1"],
  power: ["b * a**(b - 1)", "r * log(a)"], sqrt: ["0.5 / r"], exp: ["r"], log: ["1 / a"], sin: ["cos(a)"], cos: ["-sin(a)"],
  tan: ["1 + r**2"], sinh: ["cosh(a)"], cosh: ["sinh(a)"], tanh: ["1 - r**2"], arctan: ["1 / (1 + a**2)"],
  arcsin: ["1 / sqrt(1 - a**2)"], arccos: ["-1 / sqrt(1 - a**2)"], arcsinh: ["1 / sqrt(1 + a**2)"], absolute: ["sign(a)"],
};

class Tape {
  constructor(inputs) { Object.assign(this, { inputs, operations: [], places: [], known: new Map(), at: {} }); }
  // As in bea.trace: zeros, ones and signs are not computed, whole powers are products, half ones square roots.
  record(name, ...given) {
    const [a, b] = given, put = (...x) => this.record(...x);
    if (given.every((x) => !(x instanceof Node)) && NUMBERS[name]) {
      const found = NUMBERS[name](...given);
      if (!Number.isFinite(Number(found))) throw new Problem(`${name} of ${given.join(" and ")} is no number`, this.at);
      return found;
    }
    if (name === "add" && (is(a, 0) || is(b, 0))) return is(a, 0) ? b : a;
    if (name === "subtract" && (is(a, 0) || is(b, 0))) return is(b, 0) ? a : put("negative", b);
    if (name === "multiply" && (is(a, 0) || is(b, 0))) return 0;
    if (name === "multiply" && (is(a, 1) || is(b, 1))) return is(a, 1) ? b : a;
    if (name === "multiply" && (is(a, -1) || is(b, -1))) return put("negative", is(a, -1) ? b : a);
    if (name === "divide" && is(b, 0)) throw new Problem("this divides by zero", this.at);
    if (name === "divide" && (is(a, 0) || is(b, 1))) return a;
    if (name === "power" && typeof b === "number" && Math.abs(b) <= 16 && Number.isInteger(2 * b)) {
      if (b < 0) return put("divide", 1, put("power", a, -b));
      if (b === 0.5) return put("sqrt", a);
      if (b === 0 || b === 1) return b ? a : 1;
      if (Number.isInteger(b)) {
        const half = put("power", a, Math.floor(b / 2)), square = put("multiply", half, half);
        return b % 2 ? put("multiply", square, a) : square;
      }
    }
    const values = given.map((x) => (x instanceof Node ? x : Number(x))), key = [name, ...values.map((x) => x.index ?? `=${x}`)].join();
    if (!this.known.has(key)) {
      this.known.set(key, new Node(this.inputs.length + this.operations.push([name, ...values]) - 1));
      this.places.push(this.at);
    }
    return this.known.get(key);
  }
  // The trace of what the outputs need, as JSON has it in Python.
  trace(outputs) {
    const first = this.inputs.length, needed = new Set(), constants = [...new Set([...outputs])].filter((x) => !(x instanceof Node));
    const need = (x) => x instanceof Node && needed.add(x.index);
    outputs.forEach(need);
    for (let n = this.operations.length - 1; n >= 0; n--) if (needed.has(first + n)) this.operations[n].slice(1).forEach(need);
    const kept = this.operations.map((_, n) => n).filter((n) => needed.has(first + n));
    for (const n of kept) for (const x of this.operations[n].slice(1)) if (!(x instanceof Node) && !constants.includes(x)) constants.push(x);
    const moved = new Map(kept.map((n, k) => [first + n, first + constants.length + k]));
    const place = (x) => (x instanceof Node ? moved.get(x.index) ?? x.index : first + constants.indexOf(x));
    return {
      inputs: this.inputs, constants: constants.map(Number),
      operations: kept.map((n) => [this.operations[n][0], ...this.operations[n].slice(1).map(place)]),
      outputs: outputs.map(place), places: kept.map((n) => this.places[n]),
    };
  }
}

// --- the words of a text ---------------------------------------------------------------------------

const TOKEN = /([ \t\r\f]+|#[^\n]*|\\\n)|([rR]?(?:"""[^]*?"""|'''[^]*?'''|"[^"\n]*"|'[^'\n]*'))|((?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)|([\p{L}_][\p{L}\d_]*)|(\*\*|->|[<>=!]=|[-+*/%@<>=()[\],.:;\n])/uy;

function words(text) {
  if (text.length > LONGEST) throw new Problem(`the text has ${text.length} characters; at most ${LONGEST} are read`, { line: 1, column: 1 });
  const found = [];
  let open = 0, line = 1, begin = 0;
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < text.length; ) {
    const start = TOKEN.lastIndex, at = { line, column: start - begin + 1 }, match = TOKEN.exec(text);
    if (!match) throw new Problem(`“${String.fromCodePoint(text.codePointAt(start))}” has no meaning here${text[start] === "^" ? "; a power is written **" : ""}`, at);
    const [word, , quoted, number, name, sign] = match;
    if ("([".includes(sign) && ++open > DEEPEST) throw new Problem(`more than ${DEEPEST} brackets are open`, at);
    if (sign === ")" || sign === "]") open--;
    const kind = quoted ? "text" : number ? "number" : name ? "name" : sign === ";" || (sign === "\n" && open <= 0) ? "end" : sign && sign !== "\n" ? "sign" : "";
    if (kind) found.push({ kind, word, at, start });
    for (const [k, letter] of [...word].entries()) if (letter === "\n") { line++; begin = start + k + 1; }
  }
  const last = { word: "", at: { line, column: text.length - begin + 1 }, start: text.length };
  return [...found, { ...last, kind: "end" }, { ...last, kind: "stop" }];
}

// --- the reader ------------------------------------------------------------------------------------

const COMPARED = { "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "==": "equal", "!=": "not_equal" };
const KEYWORDS = "False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield".split(" ");
const list = (names) => names.filter((name) => !/^_/.test(name)).join(", ");
const isValue = (x) => typeof x === "number" || typeof x === "boolean" || x instanceof Node || Array.isArray(x);

class Reader {
  constructor(text, tape, names) { Object.assign(this, { words: words(text), next: 0, depth: 0, tape, names: { __proto__: null, ...names } }); }
  get word() { return this.words[this.next].word; }
  get kind() { return this.words[this.next].kind; }
  get at() { return this.words[this.next].at; }
  fail(message, at = this.at) { throw new Problem(message, at); }
  shown() { return this.kind === "stop" || !this.word ? "the end of the text" : this.kind === "end" ? "the end of the line" : this.word; }
  take() { return this.words[this.next++].word; }
  took(word) { return this.kind !== "text" && this.word === word && this.kind !== "stop" && Boolean(++this.next); }
  must(word, where) { if (!this.took(word)) this.fail(`“${word}” is missing ${where}; here is ${this.shown()}`); }
  name(what) {
    if (KEYWORDS.includes(this.word)) this.fail(`“${this.word}” is a word of Python’s own, and no name`);
    return this.kind === "name" ? this.take() : this.fail(`${what} must be a name, not ${this.shown()}`);
  }
  endOfLine() {
    if (this.kind !== "end" && this.kind !== "stop") this.fail(`the line should end before ${this.shown()}`);
    while (this.kind === "end") this.next++;
  }

  // Operations on numbers, entry by entry for arrays; an array of one entry goes with any other.
  apply(name, at, ...values) {
    for (const x of values) if (!isValue(x)) this.fail(`${x?.title ?? "this"} is not a value that one can compute with`, at);
    this.tape.at = at;
    const arrays = values.filter(Array.isArray), count = Math.max(1, ...arrays.map((x) => x.length));
    if (arrays.some((x) => x.length !== 1 && x.length !== count)) this.fail(`arrays of ${arrays.map((x) => x.length).join(" and ")} entries do not go together`, at);
    const entry = (n) => this.tape.record(name, ...values.map((x) => (Array.isArray(x) ? x[x.length > 1 ? n : 0] : x)));
    return arrays.length ? Array.from({ length: count }, (_, n) => entry(n)) : entry(0);
  }

  expression() {
    if (++this.depth > DEEPEST) this.fail("this is too deep inside other expressions");
    const value = this.comparison(), at = this.at;
    this.depth--;
    if (!this.took("if")) return value;
    const condition = this.comparison();
    if (typeof condition !== "boolean" && typeof condition !== "number") this.fail("“if” needs True, False or a fixed number; for values that change write np.where(condition, a, b)", at);
    this.must("else", "after “if”");
    const other = this.expression();
    return condition ? value : other;
  }
  comparison() {
    const value = this.sum(), at = this.at;
    return this.kind === "sign" && this.word in COMPARED ? this.apply(COMPARED[this.take()], at, value, this.sum()) : value;
  }
  chain(part, operations) {
    let value = this[part]();
    while (this.kind === "sign" && this.word in operations) {
      const at = this.at;
      value = this.apply(operations[this.take()], at, value, this[part]());
    }
    return value;
  }
  sum() { return this.chain("product", { "+": "add", "-": "subtract" }); }
  product() { return this.chain("factor", { "*": "multiply", "/": "divide" }); }
  factor() {
    const at = this.at;
    if (++this.depth > 4 * DEEPEST) this.fail("this is too deep inside other expressions");
    const value = this.took("-") ? this.apply("negative", at, this.factor()) : this.took("+") ? this.factor() : this.power();
    this.depth--;
    return value;
  }
  power() {
    const base = this.postfix(), at = this.at;
    return this.took("**") ? this.apply("power", at, base, this.factor()) : base;
  }
  postfix() {
    const start = this.at;
    let value = this.atom();
    for (;;) {
      const at = this.at;
      if (this.took(".")) {
        const name = this.name("after a dot there"), members = value.members ?? (Array.isArray(value) ? methods(value) : {});
        if (!Object.hasOwn(members, name)) this.fail(`${value.title ?? "a value"} has no “${name}” here; it has ${list(Object.keys(members)) || "nothing"}`, at);
        value = members[name];
      } else if (this.took("(")) {
        if (!value.call) this.fail(`${value.title ?? "a value"} cannot be called; for a product write *`, at);
        const { call, title } = value, [given, named] = this.arguments(title, value.wanted ?? []);
        this.tape.at = start;
        value = call.call(this, { at: start, title, named }, ...given);
      } else if (this.took("[")) value = this.entries(value, at);
      else return value;
    }
  }
  arguments(title, wanted) {
    const given = [], named = {};
    while (!this.took(")")) {
      const [{ kind, at }, after] = this.words.slice(this.next, this.next + 2);
      if (kind === "name" && after.word === "=") {
        const name = this.take();
        if (!wanted.includes(name)) this.fail(`${title} has no argument “${name}”${wanted.length ? `; it has ${list(wanted)}` : ""}`, at);
        this.next++;
        named[name] = this.expression();
      } else given.push(this.expression());
      if (this.word !== ")") this.must(",", `between arguments, or “)” after them`);
    }
    return [given, named];
  }
  entries(value, at) {
    if (!Array.isArray(value)) this.fail("only an array, as theta is, has entries", at);
    const end = () => (this.word === ":" || this.word === "]" ? undefined : this.expression()), first = end(), range = this.took(":"), last = range ? end() : undefined;
    this.must("]", "after an entry’s number");
    if ([first, last].some((n) => n !== undefined && !Number.isInteger(n))) this.fail("an entry’s number must be a fixed whole number", at);
    return range ? value.slice(first, last) : value.at(first) ?? this.fail(`there is no entry ${first}; the entries are 0 to ${value.length - 1}`, at);
  }
  atom() {
    const { at, kind } = this.words[this.next];
    if (this.took("(")) {
      const value = this.expression();
      this.must(")", "after “(”");
      return value;
    }
    if (this.took("[")) {
      const found = [];
      while (!this.took("]")) { found.push(this.expression()); if (this.word !== "]") this.must(",", "in a list, or “]” after it"); }
      return found;
    }
    if (kind === "number") return Number(this.take().replaceAll("_", ""));
    if (kind !== "name") this.fail(`a value is missing before ${this.shown()}`);
    const name = this.take();
    if (name in this.names) return this.names[name];
    return this.fail(`“${name}” is unknown; there are ${list(Object.keys(this.names))}`, at);
  }

  // Lines `name = value`, `a, b = value, value` and, at last, `return value`.
  body() {
    while (this.kind !== "stop") {
      if (this.kind === "end") { this.next++; continue; }
      if (this.kind === "text") this.next++;
      else if (this.took("return")) {
        const value = this.expression();
        this.endOfLine();
        if (this.kind !== "stop") this.fail("there is text after “return”; one function is read, without branches");
        return value;
      } else if (KEYWORDS.includes(this.word)) this.fail(`“${this.word}” is not read here: write lines “name = value” and a last line “return value”`);
      else {
        const names = [], values = [], at = this.at;
        do names.push(this.name("a line begins with “return” or with a name, which")); while (this.took(","));
        if (this.word !== "=") this.fail(`“=” is missing after “${names.join(", ")}”; a line is “name = value” or “return value”`);
        this.next++;
        do values.push(this.expression()); while (this.took(","));
        if (names.length !== values.length) this.fail(`${names.length} names cannot hold ${values.length} values`, at);
        names.forEach((name, n) => { this.names[name] = values[n]; });
      }
      this.endOfLine();
    }
    return this.fail("the last line must be “return”, with the update: theta − h · update is the next point");
  }
}

// --- functions -------------------------------------------------------------------------------------

function checked({ at, title, named }, given, least, most = least) {
  if (given.length < least || given.length > most) throw new Problem(`${title} takes ${least}${most > least ? ` to ${most}` : ""} ${most > 1 ? "values" : "value"}, not ${given.length}`, at);
  return named;
}
const callable = (title, call, wanted) => ({ title, call, wanted });
const elementwise = (title, name = title.split(".").pop()) => callable(title, function (call, ...given) {
  checked(call, given, NUMBERS[name].length || 2);
  return this.apply(name, call.at, ...given);
});
const reduced = (title, finish) => callable(title, function (call, ...given) {
  checked(call, given, 1);
  return finish(this, [given[0]].flat(), call.at);
});
const total = (reader, x, at) => x.reduce((sum, entry) => reader.apply("add", at, sum, entry), 0);
const REDUCTIONS = {
  sum: total,
  mean: (reader, x, at) => reader.apply("divide", at, total(reader, x, at), x.length),
  norm: (reader, x, at) => reader.apply("sqrt", at, total(reader, reader.apply("multiply", at, x, x), at)),
};
const methods = (value) => Object.fromEntries(["sum", "mean"].map((name) => [name, callable(name, function (call, ...given) {
  checked(call, given, 0);
  return REDUCTIONS[name](this, value, call.at);
})]));
const SMOOTH = "sqrt exp log sin cos tan sinh cosh tanh".split(" ");
const NUMPY = { title: "np", members: {
  ...Object.fromEntries([...SMOOTH, ..."cbrt expm1 log1p arcsin arccos arctan arcsinh arccosh arctanh sign absolute maximum minimum hypot power where".split(" ")]
    .map((name) => [name, elementwise(`np.${name}`)])),
  abs: elementwise("np.abs", "absolute"), sum: reduced("np.sum", REDUCTIONS.sum), mean: reduced("np.mean", REDUCTIONS.mean),
  linalg: { title: "np.linalg", members: { norm: reduced("np.linalg.norm", REDUCTIONS.norm) } },
  concatenate: callable("np.concatenate", (call, ...given) => (checked(call, given, 1), given[0].flat())),
  array: callable("np.array", (call, ...given) => (checked(call, given, 1), given[0])), pi: Math.PI, e: Math.E,
} };
const smoothSign = callable("smooth_sign", function (call, ...given) { // bea.optimizers.smooth_sign
  checked(call, given, 2);
  const [x, epsilon] = given, apply = (name, ...values) => this.apply(name, call.at, ...values);
  return is(epsilon, 0) ? apply("sign", x) : apply("divide", x, apply("sqrt", apply("add", apply("multiply", x, x), epsilon)));
});

// --- losses ----------------------------------------------------------------------------------------

// As SymPy names them.
const OF_LOSSES = { pi: Math.PI, abs: elementwise("abs", "absolute"), ...Object.fromEntries(SMOOTH.map((name) => [name, elementwise(name)])),
  asin: elementwise("asin", "arcsin"), acos: elementwise("acos", "arccos"), atan: elementwise("atan", "arctan"), asinh: elementwise("asinh", "arcsinh") };

/** Return the traces of a loss and of its gradient, from an expression in x and y. */
export function loss(text) {
  const tape = new Tape(["theta_0", "theta_1"]), [x, y] = [new Node(0), new Node(1)];
  const reader = new Reader(text, tape, { x, y, ...OF_LOSSES });
  while (reader.kind === "end" && reader.words.length > 2 && reader.word) reader.next++;
  const value = reader.expression();
  reader.endOfLine();
  if (reader.kind !== "stop") reader.fail("a loss is one expression, on one line");
  if (Array.isArray(value) || !isValue(value)) reader.fail("a loss is one number, not a list or a function", { line: 1, column: 1 });
  const count = tape.operations.length, slopes = new Map(value instanceof Node ? [[value.index, 1]] : []);
  const result = { value: tape.trace([value]), gradient: undefined };
  for (let n = count - 1; n >= 0; n--) { // from the last operation to the first
    const outer = slopes.get(2 + n), [name, ...given] = tape.operations[n];
    if (outer === undefined) continue;
    given.forEach((inner, k) => {
      if (!(inner instanceof Node)) return;
      const names = { a: given[0], b: given[1], r: new Node(2 + n), ...OF_LOSSES, sign: elementwise("sign") };
      tape.at = tape.places[n];
      const local = new Reader(SLOPES[name][k], tape, names);
      local.words.forEach((word) => { word.at = tape.places[n]; });
      const slope = tape.record("multiply", outer, local.expression());
      slopes.set(inner.index, slopes.has(inner.index) ? tape.record("add", slopes.get(inner.index), slope) : slope);
    });
  }
  result.gradient = tape.trace([slopes.get(0) ?? 0, slopes.get(1) ?? 0]);
  return result;
}

// --- optimizers ------------------------------------------------------------------------------------

/** Return {name: number or boolean} from “beta=0.9, rho=0.95”. */
export function hyperparameters(text) {
  const reader = new Reader(text, new Tape([]), { True: true, False: false }), found = {};
  while (reader.kind !== "stop") {
    if (reader.kind === "end" || reader.took(",")) { if (reader.kind === "end") reader.next++; continue; }
    const at = reader.at, name = reader.name("a hyper-parameter");
    if (name in found) reader.fail(`“${name}” is given twice`, at);
    reader.must("=", `after “${name}”`);
    const value = reader.expression();
    if (typeof value !== "number" && typeof value !== "boolean") reader.fail(`“${name}” must be one number, True or False`, at);
    found[name] = value;
    if (reader.kind !== "end" && reader.word !== ",") reader.fail(`“,” is missing before ${reader.shown()}`);
  }
  return found;
}

// The head of a function: the names of theta, gradient and memory, the hyper-parameters and their defaults.
function head(reader, given) {
  while (reader.kind === "end" && reader.word) reader.next++;
  if (reader.took("@")) while (reader.kind !== "end") reader.next++;
  while (reader.kind === "end" && reader.word) reader.next++;
  if (!reader.took("def")) return { name: "mine", names: ["theta", "gradient", "memory"], values: given };
  const name = reader.name("after “def” there"), names = [], values = {};
  reader.must("(", "after the function’s name");
  while (!reader.took(")")) {
    if (!reader.took("*")) {
      const at = reader.at, own = reader.name("an argument");
      if (reader.took(":")) for (reader.name("an annotation"); reader.took("."); ) reader.name("an annotation");
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
  for (const extra of Object.keys(given)) if (!(extra in values)) throw Object.assign(new Problem(`the function has no “${extra}”`), { of: "given" });
  return { name, names, values };
}

/** Return the trace of an optimizer from its lines and its hyper-parameters, which are constants of it. */
export function program(text, values = {}) {
  const tape = new Tape(["theta_0", "theta_1", "memory.h", "memory.time", "memory.step"]);
  const reader = new Reader(text, tape, { np: NUMPY, abs: elementwise("abs", "absolute"), smooth_sign: smoothSign, True: true, False: false });
  const { name, names, values: all } = head(reader, values);
  for (const key of Object.keys(all))
    if (["np", "abs", ...names].includes(key)) throw Object.assign(new Problem(`“${key}” is no name for a hyper-parameter`), { of: "given" });
  Object.assign(reader.names, all);
  const own = text.slice(reader.words[reader.next].start);
  let calls = 0;
  const vector = (value, { at, title }) => {
    const found = [value].flat();
    if (found.length !== 2 || !found.every(isValue)) throw new Problem(`${title} takes a point with two coordinates`, at);
    return found;
  };
  const memory = { title: names[2], members: {
    h: new Node(2), time: new Node(3), step: new Node(4),
    average: callable(`${names[2]}.average`, function (call, ...given) {
      const named = checked(call, given, 1, 3), [x, decay = named.decay, corrected = named.corrected ?? false] = given, number = calls++;
      if (decay === undefined) this.fail("an average needs a value and a decay", call.at);
      if (typeof corrected !== "boolean") this.fail("corrected is True or False", call.at);
      const m = this.apply("average", call.at, x, decay, number);
      return corrected ? this.apply("divide", call.at, m, this.apply("subtract", call.at, 1, this.apply("weight", call.at, decay, number))) : m;
    }, ["decay", "corrected"]),
    previous: callable(`${names[2]}.previous`, function (call, ...given) {
      const named = checked(call, given, 1, 2);
      return this.apply("previous", call.at, given[0], given[1] ?? named.start ?? 0);
    }, ["start"]),
  } };
  Object.assign(reader.names, { [names[0]]: [new Node(0), new Node(1)], [names[2]]: memory,
    [names[1]]: callable(names[1], function (call, ...given) {
      checked(call, given, 1);
      const point = vector(given[0], call);
      return point.map((_, i) => tape.record("gradient", ...point, i));
    }) });
  const update = reader.body(), outputs = Array.isArray(update) ? update : [update, update];
  if (outputs.length === 1) outputs.push(outputs[0]);
  if (outputs.length !== 2 || !outputs.every(isValue)) reader.fail("the update has one number, or one for each of the two coordinates");
  return { ...tape.trace(outputs), given: {}, source: { name, names, values: all, text: own } };
}

/** Return where a trace first leaves the numbers, {name, at, of}, or nothing; `memory` answers what is no arithmetic. */
export function firstFault(trace, inputs, memory = {}) {
  const values = [...inputs, ...trace.constants];
  for (const [n, [name, ...places]] of trace.operations.entries()) {
    const of = places.map((place) => Number(values[place])), value = (NUMBERS[name] ?? memory[name])(...of);
    if (!Number.isFinite(Number(value)) && of.every(Number.isFinite)) return { name, at: trace.places[n], of };
    values.push(value);
  }
  return undefined;
}

/** The names of SymPy that a loss uses. */
export const used = (text) => [...new Set(text.match(/[A-Za-z_]\w*/g) ?? [])].filter((name) => name in OF_LOSSES && name !== "abs").sort();
