// The operations of a reader's text, recorded one after another as bea.trace records those of Python code.

/** What is wrong with a text: at which line and column, from 1 on. */
export class Problem extends Error {
  constructor(message, { line, column } = {}) { super(message); Object.assign(this, { line, column }); }
}

/** A number in words, and what is wrong where an operation leaves the numbers. */
export const shown = (x) => String(Number(x.toPrecision(3)));
const SIGNS = { add: "+", subtract: "\u2212", multiply: "*", divide: "/", power: "**" };
const FAULTS = { divide: ([a]) => `${shown(a)} is divided by zero`, sqrt: ([a]) => `the square root of ${shown(a)} is taken`, log: ([a]) => `the logarithm of ${shown(a)} is taken` };
export const told = ({ name, of }) => (FAULTS[name]?.(of) ?? `“${SIGNS[name] ?? name}” of ${of.map(shown).join(" and ")} is no finite number`);

/** A value that the trace computes; its index counts the inputs, then the operations. */
export class Node { constructor(index) { this.index = index; } }
const isNode = (x) => x instanceof Node;

/** The operations on fixed numbers, by their names in NumPy. */
export const NUMBERS = {
  add: (a, b) => a + b, subtract: (a, b) => a - b, multiply: (a, b) => a * b, divide: (a, b) => a / b, negative: (a) => -a,
  power: (a, b) => a ** b, less: (a, b) => a < b, less_equal: (a, b) => a <= b, greater: (a, b) => a > b,
  greater_equal: (a, b) => a >= b, equal: (a, b) => a === b, not_equal: (a, b) => a !== b, absolute: Math.abs,
  maximum: Math.max, minimum: Math.min, where: (c, a, b) => (c ? a : b), hypot: Math.hypot,
  sign: Math.sign, sqrt: Math.sqrt, cbrt: Math.cbrt, exp: Math.exp, expm1: Math.expm1, log: Math.log, log1p: Math.log1p,
  sin: Math.sin, cos: Math.cos, tan: Math.tan, sinh: Math.sinh, cosh: Math.cosh, tanh: Math.tanh, arcsin: Math.asin,
  arccos: Math.acos, arctan: Math.atan, arcsinh: Math.asinh, arccosh: Math.acosh, arctanh: Math.atanh,
};

/** The operations so far; `at` is the place in the text that the next ones belong to. */
export class Tape {
  constructor(inputs) { Object.assign(this, { inputs, operations: [], places: [], known: new Map(), at: {} }); }

  /** The result of an operation: a number if it is one already, or a Node, the same one for the same operation. */
  record(name, ...given) {
    if (!given.some(isNode) && NUMBERS[name]) return this.number(name, given);
    const simple = this.simpler(name, ...given);
    if (simple !== undefined) return simple;
    const values = given.map((x) => (isNode(x) ? x : Number(x))), key = [name, ...values.map((x) => x.index ?? `=${x}`)].join();
    if (!this.known.has(key)) {
      this.known.set(key, new Node(this.inputs.length + this.operations.push([name, ...values]) - 1));
      this.places.push(this.at);
    }
    return this.known.get(key);
  }
  number(name, given) {
    const found = NUMBERS[name](...given);
    if (!Number.isFinite(Number(found))) throw new Problem(told({ name, of: given.map(Number) }), this.at);
    return found;
  }

  // As in bea.trace: zeros, ones and signs are not computed, whole powers are products, half ones square roots.
  simpler(name, a, b) {
    if (name === "add") return a === 0 ? b : b === 0 ? a : undefined;
    if (name === "subtract") return b === 0 ? a : a === 0 ? this.record("negative", b) : undefined;
    if (name === "multiply") {
      if (a === 0 || b === 0) return 0;
      if (a === 1 || b === 1) return a === 1 ? b : a;
      if (a === -1 || b === -1) return this.record("negative", a === -1 ? b : a);
    }
    if (name === "divide") {
      if (b === 0) throw new Problem("this divides by zero", this.at);
      if (a === 0 || b === 1) return a;
    }
    return name === "power" && typeof b === "number" && Math.abs(b) <= 16 && Number.isInteger(2 * b) ? this.power(a, b) : undefined;
  }
  // A power, the exponent of which is a multiple of 1/2; undefined if it is none of a whole number or 1/2.
  power(a, exponent) {
    if (exponent < 0) return this.record("divide", 1, this.record("power", a, -exponent));
    if (exponent === 0.5) return this.record("sqrt", a);
    if (exponent <= 1) return exponent ? a : 1;
    if (!Number.isInteger(exponent)) return undefined;
    const half = this.record("power", a, Math.floor(exponent / 2)), square = this.record("multiply", half, half);
    return exponent % 2 ? this.record("multiply", square, a) : square;
  }

  /** The trace of what the outputs need, as JSON has it in Python. */
  trace(outputs) {
    const first = this.inputs.length, needed = new Set();
    const need = (values) => values.filter(isNode).forEach((x) => needed.add(x.index));
    need(outputs);
    for (let n = this.operations.length - 1; n >= 0; n--) if (needed.has(first + n)) need(this.operations[n].slice(1));
    const kept = [...this.operations.keys()].filter((n) => needed.has(first + n));
    const values = [...outputs, ...kept.flatMap((n) => this.operations[n].slice(1))];
    const constants = [...new Set(values.filter((x) => !isNode(x)).map(Number))];
    const moved = new Map(kept.map((n, k) => [first + n, first + constants.length + k]));
    const place = (x) => (isNode(x) ? moved.get(x.index) ?? x.index : first + constants.indexOf(Number(x)));
    return {
      inputs: this.inputs, constants, operations: kept.map((n) => [this.operations[n][0], ...this.operations[n].slice(1).map(place)]),
      outputs: outputs.map(place), places: kept.map((n) => this.places[n]),
    };
  }
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
