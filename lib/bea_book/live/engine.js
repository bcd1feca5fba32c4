// The engine of the book's live figures: it reads an optimizer's program as `bea` does, in the browser.
//
// No optimizer and no loss is written here.  Both come from Python as traces (bea_book.live): operations
// on numbers, one after another.  Read on numbers, they give the optimizer's iterates; read on Series,
// its modified equation.
//
// Near its present point the optimizer's smooth curve is  theta(t + s h) = P_0 + h P_1(s) + h^2 P_2(s) + ...
// with polynomials P_k in the scaled time s, of degree k at most.  A Series is the array of their
// coefficients, row after row:  P_0 | P_1: 1, s | P_2: 1, s, s^2 | ...  Its first rows are a Series of fewer
// terms.  What does not change along the curve is a number instead.
//
// To be fast, nothing is computed while a trace is read: the rules below write a JavaScript function, once,
// and that is called again and again.  So a number here is a literal or the name of a variable.  A name
// that begins with c depends on the step size and the hyper-parameters alone and is computed once for them.

const MOST = 8; // terms of a Series; the book shows 1 to 4
const size = (terms) => (terms * (terms + 1)) / 2; // coefficients of so many terms; row k begins at size(k)
const isNumber = (x) => !Array.isArray(x);
const termsOf = (x) => (isNumber(x) ? 1 : Math.floor(Math.sqrt(2 * x.length)));
const leading = (x) => (isNumber(x) ? x : x[0]);

// --- writing a function ----------------------------------------------------------------------------

let known, outer, inner; // the names of formulas, and the lines of the function that is being written

const literal = (x) => typeof x === "number";
const fixed = (x) => literal(x) || x[0] === "c";

// The name of a formula, in which $0, $1, ... are values; the same formula has the same name.
function put(formula, ...values) {
  const text = formula.replace(/\$(\d+)/g, (_, n) => (values[n] < 0 ? `(${values[n]})` : values[n]));
  if (!known.has(text)) {
    const constant = values.every(fixed);
    known.set(text, (constant ? "c" : "v") + known.size);
    (constant ? outer : inner).push(`const ${known.get(text)} = ${text};`);
  }
  return known.get(text);
}
const plus = (a, b) => (literal(a) && literal(b) ? a + b : a === 0 ? b : b === 0 ? a : put("$0 + $1", a, b));
const times = (a, b) => (literal(a) && literal(b) ? a * b : a === 1 ? b : b === 1 ? a : put("$0 * $1", a, b));
const over = (a, b) => (literal(a) && literal(b) ? a / b : b === 1 ? a : put("$0 / $1", a, b));

// A sum of products of numbers, in one formula.
function total(products) {
  const factors = [], shown = products.map((product) => {
    const [constant, ...names] = [product.filter(literal).reduce((a, b) => a * b, 1), ...product.filter((x) => !literal(x))];
    return (constant === 1 && names.length ? names : [constant, ...names]).map((x) => `$${factors.push(x) - 1}`).join(" * ");
  });
  return put(shown.join(" + "), ...factors);
}

// The function (z, time, out, step, old, kept) => out for a step size and hyper-parameters, of which `outputs`
// gives the results, and what is kept for the next step; z are its numbers x0, x1, ...
function written(numbers, hyperparameters, outputs) {
  [known, outer, inner] = [new Map(), [], []];
  const { out, kept = [] } = outputs();
  const text = `${[...Array(hyperparameters).keys()].map((n) => `const cg${n} = given[${n}];`).join("")}
    ${outer.join("\n")}
    return (z, time, out, step, old, kept) => {
    ${[...Array(numbers).keys()].map((n) => `const x${n} = z[${n}];`).join("")}
    ${inner.join("\n")}
    ${out.map((x, n) => `out[${n}] = ${x};`).join("")}
    ${kept.map((x, n) => `kept[${n}] = ${x};`).join("")}
    return out;
    };`;
  return { make: new Function("ch", "given", text), length: out.length };
}

// --- arithmetic of Series --------------------------------------------------------------------------

// A product has h^k s^j from h^i s^p and h^(k-i) s^(j-p).  For each place these are the places of all such
// pairs with i > 0, and i / k; the pairs with i = 0 are only the leading coefficient's.
const PAIRS = [[]];
for (let k = 1; k < MOST; k++) {
  for (let j = 0; j <= k; j++) PAIRS.push([]);
  for (let i = 1; i <= k; i++)
    for (let p = 0; p <= i; p++)
      for (let q = 0; q <= k - i; q++) PAIRS[size(k) + p + q].push([size(i) + p, size(k - i) + q, i / k]);
}

const scaled = (series, factor) => series.map((c) => times(factor, c));
const asSeries = (x, like) => (isNumber(x) && !isNumber(like) ? like.map((_, n) => (n ? 0 : x)) : x);

function add(a, b) {
  if (isNumber(a) && isNumber(b)) return plus(a, b);
  if (isNumber(a)) return add(b, a);
  if (isNumber(b)) return a.map((c, n) => (n ? (fixed(b) ? c : plus(c, times(0, b))) : plus(c, b))); // see `undecided`
  return a.map((c, n) => plus(c, b[n]));
}

function multiply(a, b) {
  if (isNumber(a)) return isNumber(b) ? times(a, b) : scaled(b, a);
  if (isNumber(b)) return scaled(a, b);
  return b.map((c, n) => total([[a[0], c], ...PAIRS[n].map(([left, right]) => [a[left], b[right]])]));
}

// A function of v whose derivative is `slope` times that of v:  k w_k = sum of i v_i slope_(k-i) over i > 0.
// The slope is needed to one term less than v has.
const integral = (value, v, slope) =>
  v.map((_, n) => (n ? total(PAIRS[n].map(([left, right, part]) => [part, v[left], slope[right]])) : value));

// The power w of v, from  v w' = exponent w v':  k v_0 w_k = sum of (i (exponent + 1) - k) v_i w_(k-i).
// Each w_(k-i) is finished when it is asked for, because its place is before.
function power(v, exponent, value = put("$0 ** $1", v[0], exponent)) {
  const result = [value], next = plus(exponent, 1);
  for (let n = 1; n < v.length; n++) {
    const sum = total(PAIRS[n].map(([left, right, part]) => [plus(times(part, next), -1), v[left], result[right]]));
    result.push(times(sum, over(1, v[0])));
  }
  return result;
}

const negative = (x) => multiply(-1, x);
const subtract = (a, b) => add(a, negative(b));
const divide = (a, b) => (isNumber(b) ? (isNumber(a) ? over(a, b) : scaled(a, over(1, b))) : multiply(a, power(b, -1)));
const square = (x) => multiply(x, x);
const root = (x) => (isNumber(x) ? put("Math.sqrt($0)", x) : power(x, 0.5, put("Math.sqrt($0)", x[0])));

// --- functions -------------------------------------------------------------------------------------

// From the formula of a function and its derivative, which is computed along a Series of one term less: each
// function calls itself or others on shorter Series, down to its value.
const smooth = (formula, slope) => (x) => {
  if (isNumber(x)) return put(formula, x);
  const terms = termsOf(x), value = put(formula, x[0]);
  return terms > 1 ? integral(value, x, [slope(x.slice(0, size(terms - 1)))].flat()) : [value];
};
const inverseRoot = (x) => divide(1, root(x));
const exp = smooth("Math.exp($0)", (x) => exp(x));
const log = smooth("Math.log($0)", (x) => divide(1, x));
const sin = smooth("Math.sin($0)", (x) => cos(x));
const cos = smooth("Math.cos($0)", (x) => negative(sin(x)));
const tan = smooth("Math.tan($0)", (x) => add(1, square(tan(x))));
const sinh = smooth("Math.sinh($0)", (x) => cosh(x));
const cosh = smooth("Math.cosh($0)", (x) => sinh(x));
const tanh = smooth("Math.tanh($0)", (x) => subtract(1, square(tanh(x))));
const arctan = smooth("Math.atan($0)", (x) => divide(1, add(1, square(x))));
const logistic = "$0 >= 0 ? 1 / (1 + Math.exp(-$0)) : Math.exp($0) / (1 + Math.exp($0))"; // without overflow
const expit = smooth(logistic, (x) => multiply(expit(x), expit(negative(x))));
const logExpit = smooth("Math.min($0, 0) - Math.log1p(Math.exp(-Math.abs($0)))", (x) => expit(negative(x)));
function logAddExp(a, b) {
  const less = put("$0 < $1", leading(a), leading(b));
  const [u, v] = [chosen("$0 ? $1 : $2", less, b, a), chosen("$0 ? $1 : $2", less, a, b)];
  return subtract(u, logExpit(subtract(u, v)));
}

// What is not smooth is decided by the leading coefficients.  Two values that are equal here but not next to
// here have no expansion: the answer is not a number, and so is all that follows from it.
function undecided(a, b) {
  const [x, y] = [leading(a), leading(b)], missing = put("$0 !== $0 || $1 !== $1", x, y);
  if (isNumber(a) && isNumber(b)) return missing;
  const changes = subtract(a, b).slice(1), any = changes.map((_, n) => `$${n + 3} !== 0`).join(" || ") || "false";
  return put(`$0 || ($1 === $2 && (${any}))`, missing, x, y, ...changes);
}
const decided = (compare) => (a, b) => put(`$0 ? NaN : $1 ${compare} $2 ? 1 : 0`, undecided(a, b), leading(a), leading(b));
const sign = (x) => put("$0 ? NaN : Math.sign($1)", undecided(x, 0), leading(x));
function chosen(formula, condition, a, b) {
  const [u, v] = [asSeries(a, b), asSeries(b, a)];
  return isNumber(u) ? put(formula, condition, u, v) : u.map((c, n) => put(formula, condition, c, v[n]));
}
const choose = (condition, a, b) => chosen("$0 !== $0 ? NaN : $0 ? $1 : $2", condition, a, b);
const notLess = decided(">="), notMore = decided("<=");
const onNumbers = (formula) => (...x) => (x.every(isNumber) ? put(formula, ...x) : NaN); // it jumps

// The operations of traces, by their names in NumPy.
export const RULES = {
  add, subtract, multiply, divide, negative, exp, log, sin, cos, tan, sinh, cosh, tanh, arctan, expit, sign,
  sqrt: root,
  power: (a, b) => (isNumber(b) ? (isNumber(a) ? put("$0 ** $1", a, b) : power(a, b)) : exp(multiply(b, log(a)))),
  cbrt: (x) => (isNumber(x) ? put("Math.cbrt($0)", x) : power(x, 1 / 3, put("Math.cbrt($0)", x[0]))),
  hypot: (a, b) => root(add(square(a), square(b))),
  expm1: smooth("Math.expm1($0)", exp),
  exp2: smooth("2 ** $0", (x) => multiply(Math.LN2, exp(multiply(Math.LN2, x)))),
  log1p: smooth("Math.log1p($0)", (x) => divide(1, add(1, x))),
  log2: smooth("Math.log2($0)", (x) => divide(Math.LOG2E, x)),
  log10: smooth("Math.log10($0)", (x) => divide(Math.LOG10E, x)),
  arcsin: smooth("Math.asin($0)", (x) => inverseRoot(subtract(1, square(x)))),
  arccos: smooth("Math.acos($0)", (x) => negative(inverseRoot(subtract(1, square(x))))),
  arcsinh: smooth("Math.asinh($0)", (x) => inverseRoot(add(1, square(x)))),
  arccosh: smooth("Math.acosh($0)", (x) => inverseRoot(subtract(square(x), 1))),
  arctanh: smooth("Math.atanh($0)", (x) => divide(1, subtract(1, square(x)))),
  log_expit: logExpit,
  logaddexp: logAddExp,
  absolute: (x) => multiply(sign(x), x),
  less: decided("<"),
  less_equal: notMore,
  greater: decided(">"),
  greater_equal: notLess,
  equal: decided("==="),
  not_equal: decided("!=="),
  where: choose,
  maximum: (a, b) => choose(notLess(a, b), a, b),
  minimum: (a, b) => choose(notMore(a, b), a, b),
  floor: onNumbers("Math.floor($0)"),
  ceil: onNumbers("Math.ceil($0)"),
  remainder: onNumbers("$0 - Math.floor($0 / $1) * $1"),
};

// --- traces ----------------------------------------------------------------------------------------

// A trace's values are its inputs, its constants and the results of its operations; an operation is a name
// and the places of its arguments among them.  The memory answers what is no rule.
function read(trace, inputs, memory) {
  const values = [...inputs, ...trace.constants];
  for (const [name, ...places] of trace.operations) {
    const rule = RULES[name] ?? memory?.[name]?.bind(memory);
    if (!rule) throw new Error(`the live engine has no operation ${name}`);
    values.push(rule(...places.map((place) => values[place])));
  }
  return trace.outputs.map((place) => values[place]);
}

/** Return a function from inputs, numbers or Series with as many coefficients as `lengths` says (0 for a number), to outputs. */
export function evaluator(trace, lengths = trace.inputs.map(() => 0)) {
  let count = 0, found;
  const names = lengths.map((length) => (length ? Array.from({ length }, () => `x${count++}`) : `x${count++}`));
  const { make } = written(count, 0, () => ({ out: (found = read(trace, names)).flat() }));
  const evaluate = make(0, []), shapes = found.map((x) => x.length), plain = found.map(isNumber);
  return (inputs) => {
    const values = evaluate(inputs.flat(), 0, []);
    let next = 0;
    return shapes.map((length, n) => (plain[n] ? values[next++] : values.slice(next, (next += length))));
  };
}

/** Return one step of a program on a loss, with its hyper-parameters: the loss's operations replace each gradient. */
export function optimizer(program, loss, given) {
  const first = program.inputs.length, constants = [...program.constants, ...loss.gradient.constants];
  const own = first + program.constants.length, operations = [], known = new Map();
  const put = (name, places) => first + constants.length + operations.push([name, ...places]) - 1;
  const place = [...Array(own).keys()]; // where a value of the program is now
  for (const [name, ...old] of program.operations) {
    const places = old.map((n) => place[n]);
    if (name !== "gradient") {
      place.push(put(name, places));
      continue;
    }
    const component = constants[places.pop() - first], point = places.join();
    if (!known.has(point)) {
      const inner = [...places, ...loss.gradient.constants.map((_, n) => own + n)];
      for (const [what, ...from] of loss.gradient.operations) inner.push(put(what, from.map((n) => inner[n])));
      known.set(point, loss.gradient.outputs.map((n) => inner[n]));
    }
    place.push(known.get(point)[component]);
  }
  const trace = { ...program, constants, operations, outputs: program.outputs.map((n) => place[n]) };
  return withValues({ trace, dimension: program.outputs.length, functions: new Map() }, given);
}

/** Return the same optimizer with other hyper-parameters; it keeps the functions that have been written for it. */
export function withValues(optimizer, given = {}) {
  const first = optimizer.trace.given;
  for (const name of Object.keys(given)) if (!(name in first)) throw new Error(`the program has no ${name}`);
  return { ...optimizer, given: Object.values({ ...first, ...given }) };
}

// The function of that name for a step size, which is written when it is asked for the first time.
function functionOf({ functions, given }, name, h, numbers, outputs) {
  if (!functions.has(name)) functions.set(name, written(numbers, given.length, outputs));
  const { make, length } = functions.get(name), f = make(h, given);
  return { f, length };
}
const namesOf = (numbers) => Array.from({ length: numbers }, (_, n) => `x${n}`);
const inputsOf = (optimizer, theta, h, time, step) => [...theta, h, time, step, ...optimizer.given.map((_, n) => `cg${n}`)];

// --- iterates --------------------------------------------------------------------------------------

// A run's memory: one number for each average, for each weight that an average has not gathered yet, and for
// each previous value, in the order in which the program asks.
class Running {
  constructor() { this.new = []; }
  last(start) { return put(`old ? old[${this.new.length}] : $0`, start, "v"); }
  keep(value, shown = value) { this.new.push(value); return shown; }
  average(x, decay) { return this.keep(plus(times(decay, this.last(0)), times(plus(1, times(-1, decay)), x))); }
  weight(decay) { return this.keep(times(decay, this.last(1))); }
  previous(x, start) { return this.keep(x, this.last(start)); }
}

/** Return the path theta_0, theta_1, ... as far as it is finite, and the memory after its last step. */
export function run(optimizer, theta, h, steps, memory) {
  const d = optimizer.dimension;
  const { f: next } = functionOf(optimizer, "run", h, d, () => {
    const reading = new Running(), names = namesOf(d);
    const update = read(optimizer.trace, inputsOf(optimizer, names, "ch", "time", "step"), reading);
    return { out: update.map((u, i) => put("$0 - $1 * $2", names[i], "ch", u)), kept: reading.new };
  });
  const path = [[...theta]];
  for (let n = 0; n < steps; n++) {
    const kept = [], point = next(path[n], h * n, [], n, memory, kept);
    if (!point.every(Number.isFinite)) break;
    path.push(point);
    memory = kept;
  }
  return { path, memory };
}

// --- modified equations ----------------------------------------------------------------------------

const choices = (n, k) => (k ? (choices(n, k - 1) * (n - k + 1)) / k : 1); // binomial coefficients
const BINOMIAL = Array.from({ length: MOST + 2 }, (_, n) => Array.from({ length: n + 1 }, (_, k) => choices(n, k)));
const BERNOULLI = [1];
for (let n = 1; n <= MOST; n++) BERNOULLI.push(-BERNOULLI.reduce((sum, b, k) => sum + BINOMIAL[n + 1][k] * b, 0) / (n + 1));

// The polynomial P with P(s + 1) - P(s) = q(s) and P(0) = 0, by Faulhaber's formula for sums of powers.
function antidifference(q) {
  const products = [...q, 0].map(() => []);
  q.forEach((c, j) => {
    for (let i = 0; i <= j; i++) products[j + 1 - i].push([(BINOMIAL[j + 1][i] * BERNOULLI[i]) / (j + 1), c]);
  });
  return [0, ...products.slice(1).map(total)];
}

// A mean of the values x(s - a) of the past, from the moments of their ages a: s^j becomes the mean of (s - a)^j.
function ofThePast(x, moments) {
  if (isNumber(x)) return times(moments[0], x);
  const rows = Array.from({ length: termsOf(x) }, (_, k) => x.slice(size(k), size(k + 1)));
  const weight = (j, i) => times(BINOMIAL[j][i] * (-1) ** i, moments[i]);
  return rows.flatMap((row) => row.map((_, l) => total(row.slice(l).map((c, i) => [weight(l + i, i), c]))));
}
const oneStepAgo = (x) => ofThePast(x, Array(MOST).fill(1));

// The steady-state average, with the weights (1 - decay) decay^a.
function average(x, decay) {
  const moments = [put("$0 < 1 ? 1 : NaN", leading(decay))]; // otherwise it has none
  if (isNumber(x)) return ofThePast(x, moments);
  if (isNumber(decay)) {
    const ratio = put("$0 / (1 - $0)", decay);
    for (let r = 1; r < termsOf(x); r++)
      moments.push(times(ratio, total(moments.map((m, l) => [BINOMIAL[r][l], m]))));
    return ofThePast(x, moments);
  }
  // m = decay m(s - 1) + (1 - decay) x with a decay that changes in time, term after term
  const steady = decay[0], rest = put("1 - $0", steady), change = divide(subtract(decay, steady), rest);
  const source = divide(multiply(x, subtract(1, decay)), rest);
  let m = scaled(x, 0);
  for (const _ of Array(termsOf(x))) m = average(add(source, multiply(change, oneStepAgo(m))), steady);
  return m;
}

// The memory along the curve, long after the start.
class Along {
  constructor() { this.kept = []; this.steps = []; }
  keep(value, shown = value) { this.kept.push(value); return shown; }
  average(x, decay) { return this.keep(average(x, decay)); }
  weight() { return this.keep(0); }
  previous(x) { return this.keep(x, oneStepAgo(x)); }
}

// The memory as coordinates of the curve after theta, with the decays exp(-kappa h) for fixed kappa; `power`
// is h as a Series, and `exact` says that the step is made on numbers.
class Kept extends Along {
  constructor(state, used, h, power, choice, exact) { super(); Object.assign(this, { state, used, h, power, choice, exact }); }
  // One step of a coordinate y that becomes  decay y + (1 - decay) goal.
  advance(goal, decay) {
    const y = this.state[this.used++], change = multiply(this.rate(decay), subtract(goal, y));
    this.steps.push(negative(change));
    return this.keep(y, add(y, multiply(this.exact ? this.h : this.power, change)));
  }
  // (1 - decay) / h, as a series in h.
  rate(decay) {
    if (this.exact) return divide(subtract(1, decay), this.h);
    const kappa = divide(log(decay), times(-1, this.h));
    let [sum, term] = [kappa, kappa];
    for (let k = 1; k < termsOf(this.power); k++)
      sum = add(sum, (term = divide(multiply(multiply(term, this.power), negative(kappa)), k + 1)));
    return sum;
  }
  isKept(call) { return this.choice === "kept" || this.choice[call] === "kept"; }
  average(x, decay, call) { return this.isKept(call) ? this.advance(x, decay) : super.average(x, decay); }
  weight(decay, call) { return this.isKept(call) ? this.advance(0, decay) : super.weight(); }
}

// The polynomials P_0, ..., P_order of each coordinate, row after row as in a Series.  One step along the curve
// is one step of the optimizer,  P_(k+1)(s + 1) - P_(k+1)(s) = -[h^k] U(s),  and U needs only P_0, ..., P_k.
function curve(start, order, update) {
  if (!(order >= 1 && order <= MOST)) throw new RangeError(`1 to ${MOST} terms can be had, not ${order}`);
  const rows = start.map((x) => [x]);
  for (let k = 1; k <= order; k++) {
    const step = update(rows.map((row) => (k > 1 ? row.slice(0, size(k)) : row[0])), k);
    rows.forEach((row, i) => {
      const u = isNumber(step[i]) ? row.map((_, n) => (n ? times(0, step[i]) : step[i])) : step[i];
      row.push(...antidifference(negative(u.slice(size(k - 1), size(k)))));
    });
  }
  return rows;
}
const rates = (rows, order) => Array.from({ length: order }, (_, k) => rows.map((row) => row[size(k + 1) + 1]));
const sumOfPowers = (terms, h) => terms[0].map((_, i) => terms.reduceRight((sum, term) => plus(times(sum, h), term[i]), 0));
const linear = (terms, a, h, sh) => (terms > 1 ? [a, h, sh, ...Array(size(terms) - 3).fill(0)] : a);

function steadyCurve(optimizer, order, seen) {
  return curve(namesOf(optimizer.dimension), order, (point, terms) => {
    const reading = new Along();
    const inputs = inputsOf(optimizer, point, linear(terms, 0, 1, 0), linear(terms, "time", 0, 1), Infinity);
    const update = read(optimizer.trace, inputs, reading);
    seen?.(reading.kept);
    return update;
  });
}

/** Return the coefficients f_0, f_1, ... of the steady-state modified equation at a point: arrays of numbers. */
export function terms(optimizer, theta, order, time = 0) {
  const d = optimizer.dimension, outputs = () => ({ out: rates(steadyCurve(optimizer, order), order).flat() });
  const found = functionOf(optimizer, `terms ${order}`, 0, d, outputs).f(theta, time, []);
  return Array.from({ length: order }, (_, k) => found.slice(k * d, k * d + d));
}

/** Return the right-hand side of a modified equation, as a function of the point (and, if kept, of the memory),
 *  the time, and an array for the result. */
export function field(optimizer, h, order, memory = "forgotten") {
  const outputs = memory === "forgotten" ? () => ({ out: sumOfPowers(rates(steadyCurve(optimizer, order), order), "ch") })
    : () => ({ out: keptField(optimizer, order, memory) });
  const numbers = optimizer.dimension + (memory === "forgotten" ? 0 : keptCalls(optimizer, memory).length);
  const { f, length } = functionOf(optimizer, `field ${order} ${memory}`, h, numbers, outputs);
  return (z, time = 0, out = Array(length)) => f(z, time, out);
}

function keptField(optimizer, order, memory) {
  const d = optimizer.dimension, place = d + 2; // of the number of the step among the inputs
  if (optimizer.trace.operations.some(([, ...places]) => places.includes(place)))
    throw new Error("with the memory kept a program has no number of steps");
  const z = namesOf(d + keptCalls(optimizer, memory).length);
  const step = (state, reading, time) =>
    [...read(optimizer.trace, inputsOf(optimizer, state.slice(0, d), "ch", time, NaN), reading), ...reading.steps];
  const rows = curve(z, order, (state, terms) =>
    step(state, new Kept(state, d, "ch", linear(terms, 0, 1, 0), memory, false), linear(terms, "time", 0, 1)));
  if (order === 2 && allKept(optimizer, memory)) // the increment of one step is taken exactly
    return step(z, new Kept(z, d, "ch", 0, memory, true), "time").map((u, i) => put("-$0 - $1 * $2", u, "ch", rows[i][size(2) + 2]));
  return sumOfPowers(rates(rows, order), "ch");
}

const allKept = ({ trace }, memory) =>
  trace.operations.every(([name]) => name !== "previous") && (memory === "kept" || memory.every((word) => word === "kept"));

/** Return what the memory holds just before a step from theta on the slow manifold; a run may start with it. */
export function slowMemory(optimizer, theta, h, order) {
  const before = (row) => row.reduceRight((sum, c) => plus(c, times(-1, sum)), 0); // a polynomial in s at s = -1
  const at = (x) => Array.from({ length: termsOf(x) }, (_, k) => before(x.slice(size(k), size(k + 1))))
    .reduceRight((sum, row) => plus(times(sum, "ch"), row), 0);
  const { f } = functionOf(optimizer, `memory ${order}`, h, optimizer.dimension, () => {
    let kept;
    steadyCurve(optimizer, order, (found) => { kept = found; });
    return { out: kept.map((x) => (isNumber(x) ? x : at(x))) };
  });
  return f(theta, 0, []);
}

// The questions to the memory whose answers are coordinates of a curve that keeps them.
const questions = ({ trace }) => trace.operations.filter(([name]) => !(name in RULES));
function keptCalls(optimizer, choice) {
  const asked = questions(optimizer), { constants, inputs } = optimizer.trace;
  const kept = (operation) => operation[0] !== "previous"
    && (choice === "kept" || choice[constants[operation.at(-1) - inputs.length]] === "kept");
  return asked.flatMap((operation, n) => (kept(operation) ? [n] : []));
}

/** Return the state (theta and memory) at which a flow that keeps its memory starts, from those of a run; without, empty. */
export function keptState(optimizer, theta, memory, choice = "kept") {
  const held = memory ?? questions(optimizer).map(([name]) => (name === "weight" ? 1 : 0));
  return [...theta, ...keptCalls(optimizer, choice).map((n) => held[n])];
}

// --- flows -----------------------------------------------------------------------------------------

// Rodas, a Rosenbrock method of order 4 for stiff equations (Hairer and Wanner, Solving Ordinary Differential
// Equations II, section VI.4): with the Jacobian J of the field f, stage k solves
// (I / (GAMMA step) - J) u_k = f(z + sum of MIX[k] u, t + AT[k] step) + sum of PAST[k] u / step + step SHARE[k] df/dt.
// The last two stages are what an embedded method of order 3 and the method itself add; the last one is the error.
const GAMMA = 0.25, AT = [0, 0.386, 0.21, 0.63, 1, 1], SHARE = [0.25, -0.1043, 0.1035, -0.0362, 0, 0];
const MIX = [[], [1.544], [0.9466785280815826, 0.2557011698983284], [3.314825187068521, 2.896124015972201, 0.9986419139977817],
  [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895],
  [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895, 1]];
const PAST = [[], [-5.6688], [-2.430093356833875, -0.2063599157091915], [-0.1073529058151375, -9.594562251023355, -20.47028614809616],
  [7.496443313967647, -10.24680431464352, -33.99990352819905, 11.7089089320616],
  [8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054]];
const ATTEMPTS = 4000; // steps of a flow, in addition to two for each of its times

// Gauss's elimination: the matrix becomes its factors; then x, the right-hand side, becomes the solution.
function eliminate(matrix) {
  const pivots = [];
  for (let k = 0; k < matrix.length; k++) {
    let best = k;
    for (let i = k + 1; i < matrix.length; i++) if (Math.abs(matrix[i][k]) > Math.abs(matrix[best][k])) best = i;
    [matrix[k], matrix[best]] = [matrix[best], matrix[k]];
    for (let i = k + 1; i < matrix.length; i++) {
      const factor = (matrix[i][k] /= matrix[k][k]);
      for (let j = k + 1; j < matrix.length; j++) matrix[i][j] -= factor * matrix[k][j];
    }
    pivots.push(best);
  }
  return pivots;
}
function substitute(matrix, pivots, x) {
  for (let k = 0; k < x.length; k++) [x[k], x[pivots[k]]] = [x[pivots[k]], x[k]];
  for (let i = 0; i < x.length; i++) for (let j = 0; j < i; j++) x[i] -= matrix[i][j] * x[j];
  for (let i = x.length - 1; i >= 0; i--) {
    for (let j = i + 1; j < x.length; j++) x[i] -= matrix[i][j] * x[j];
    x[i] /= matrix[i][i];
  }
}

/** Return the solution of dz/dt = field(z, t), as far as it is finite and the steps suffice: `path` at the times 0, dt,
 *  2 dt, ..., and `course` also after each step between.  In a step the error is at most `tolerance`, compared with
 *  the entries; it takes at most `most` steps, and two more for each time. */
export function flow(field, start, dt, count, tolerance = 1e-6, time = 0, most = ATTEMPTS) {
  const size = start.length, room = () => Array(size).fill(0), rooms = (n) => Array.from({ length: n }, room);
  const path = [[...start]], course = [path[0]], least = start.map((x) => 1e-4 * Math.abs(x) + 1e-12), stages = rooms(6), jacobian = rooms(size), matrix = rooms(size);
  const [here, there, drift] = rooms(3);
  let z = [...start], y = room(), t = time, step = dt / 8, attempts = most + 2 * count;
  for (let n = 1; n <= count; n++) {
    for (let stop = time + n * dt, rest; (rest = stop - t), Math.abs(rest) > 1e-12 * Math.abs(dt); ) {
      const now = field(z, t, here);
      if (!now.every(Number.isFinite)) return { path, course };
      for (let j = 0; j < size; j++) {
        const at = z[j];
        z[j] += 1e-8 * Math.max(Math.abs(at), least[j]);
        const moved = field(z, t, there), by = z[j] - at;
        for (let i = 0; i < size; i++) jacobian[i][j] = (moved[i] - now[i]) / by;
        z[j] = at;
      }
      const later = field(z, t + 1e-8 * dt, there);
      for (let i = 0; i < size; i++) drift[i] = (later[i] - now[i]) / (1e-8 * dt);
      for (let error = Infinity; !(error <= 1); ) {
        const taken = Math.abs(step) < Math.abs(rest) ? step : rest;
        if (!attempts-- || Math.abs(taken) < 1e-13 * Math.abs(dt * count)) return { path, course };
        for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) matrix[i][j] = (i === j ? 1 / (GAMMA * taken) : 0) - jacobian[i][j];
        const pivots = eliminate(matrix);
        for (let k = 0; k < 6; k++) {
          for (let i = 0; i < size; i++) {
            y[i] = z[i];
            for (let l = 0; l < MIX[k].length; l++) y[i] += MIX[k][l] * stages[l][i];
          }
          const slope = k ? field(y, t + AT[k] * taken, there) : now, u = stages[k];
          for (let i = 0; i < size; i++) {
            u[i] = slope[i] + taken * SHARE[k] * drift[i];
            for (let l = 0; l < k; l++) u[i] += (PAST[k][l] / taken) * stages[l][i];
          }
          substitute(matrix, pivots, u);
        }
        error = 0;
        for (let i = 0; i < size; i++) {
          y[i] += stages[5][i];
          const part = Math.abs(stages[5][i]) / (tolerance * (Math.max(Math.abs(z[i]), Math.abs(y[i])) + least[i]));
          error = Math.max(error, part); // also where it is not a number
        }
        const next = taken * (error < Infinity ? Math.min(6, Math.max(0.15, 0.9 * error ** -0.25)) : 0.15);
        if (!(error <= 1) || taken === step || Math.abs(next) < Math.abs(step)) step = next;
        if (!(error <= 1)) continue;
        t = taken === rest ? stop : t + taken;
        [z, y] = [y, z];
      }
      if (!z.every((x) => Math.abs(x) < 1e100)) return { path, course };
      course.push([...z]);
    }
    path.push([...z]);
  }
  return { path, course };
}

export const distance = (a, b) => Math.hypot(...a.map((x, i) => x - b[i]));

const UNSETTLED = 0.05; // of an error: a flow that is less sure than that gets no number

/** Return `flow` with a tolerance that makes it far closer than `error(path)` says, at all times or at the `last` one
 *  only; and whether that settles all of it.  If not, it ends where those of the two smallest tolerances part. */
export function closely(field, start, dt, count, error, { time = 0, last = false } = {}) {
  let tolerance = 1e-4, { path, course } = flow(field, start, dt, count, tolerance, time), settled, changes;
  do {
    const finer = flow(field, start, dt, count, (tolerance /= 100), time), whole = Math.min(path.length, finer.path.length) > count;
    changes = path.map((z, n) => (n < finer.path.length ? distance(z.slice(0, 2), finer.path[n]) : Infinity)); // in the plane
    const change = !whole ? Infinity : last ? changes.at(-1) : Math.max(...changes);
    ({ path, course } = finer);
    settled = change < Math.max(UNSETTLED * error(path), 1e-9);
    if (change < Math.max(1e-3 * error(path), 1e-13)) break;
  } while (tolerance > 1e-12);
  const parted = changes.findIndex((x, n) => !(x <= 0.01 * distance(start.slice(0, 2), path[n] ?? start)));
  if (!settled && parted >= 0) course = path = path.slice(0, Math.max(parted, 1));
  return { path, course, settled };
}
