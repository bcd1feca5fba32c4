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

const MOST = 8; // terms of a Series; the book shows 1 to 4
const size = (terms) => (terms * (terms + 1)) / 2; // coefficients of so many terms; row k begins at size(k)
const isNumber = (x) => typeof x === "number";
const termsOf = (x) => (isNumber(x) ? 1 : Math.floor(Math.sqrt(2 * x.length)));
const leading = (x) => (isNumber(x) ? x : x[0]);

// --- arithmetic of Series --------------------------------------------------------------------------

// A product has h^k s^j from h^i s^p and h^(k-i) s^(j-p).  These lists hold the places of all such triples
// with i > 0, k after k, and i / k; the triples with i = 0 are only the leading coefficient's.
const [PRODUCT, LEFT, RIGHT, PART, END] = [[], [], [], [], [0]];
for (let k = 0; k < MOST; k++) {
  for (let i = 1; i <= k; i++)
    for (let p = 0; p <= i; p++)
      for (let q = 0; q <= k - i; q++) {
        PRODUCT.push(size(k) + p + q);
        LEFT.push(size(i) + p);
        RIGHT.push(size(k - i) + q);
        PART.push(i / k);
      }
  END.push(PART.length);
}

const zeros = (series) => series.slice().fill(0);
const scaled = (series, factor) => series.map((c) => factor * c);

function add(a, b) {
  if (isNumber(a) && isNumber(b)) return a + b;
  if (isNumber(a)) return add(b, a);
  if (isNumber(b)) return Number.isNaN(b) ? b : [a[0] + b, ...a.slice(1)]; // see `undecided`
  return a.map((c, n) => c + b[n]);
}

function multiply(a, b) {
  if (isNumber(a)) return isNumber(b) ? a * b : scaled(b, a);
  if (isNumber(b)) return scaled(a, b);
  const result = scaled(b, a[0]), end = END[termsOf(a)];
  for (let n = 0; n < end; n++) result[PRODUCT[n]] += a[LEFT[n]] * b[RIGHT[n]];
  return result;
}

// A function of v whose derivative is `slope` times that of v:  k w_k = sum of i v_i slope_(k-i) over i > 0.
// The slope is needed to one term less than v has.
function integral(value, v, slope) {
  const result = zeros(v), end = END[termsOf(v)];
  result[0] = value;
  for (let n = 0; n < end; n++) result[PRODUCT[n]] += PART[n] * v[LEFT[n]] * slope[RIGHT[n]];
  return result;
}

// The power w of v, from  v w' = exponent w v':  k v_0 w_k = sum of (i (exponent + 1) - k) v_i w_(k-i).
// Each w_(k-i) is finished when it is asked for, because the triples are in the order of k.
function power(v, exponent, value = v[0] ** exponent) {
  const result = zeros(v), end = END[termsOf(v)];
  result[0] = value;
  for (let n = 0; n < end; n++)
    result[PRODUCT[n]] += ((PART[n] * (exponent + 1) - 1) * v[LEFT[n]] * result[RIGHT[n]]) / v[0];
  return result;
}

const negative = (x) => multiply(-1, x);
const subtract = (a, b) => add(a, negative(b));
const divide = (a, b) => (isNumber(b) ? (isNumber(a) ? a / b : scaled(a, 1 / b)) : multiply(a, power(b, -1)));
const square = (x) => multiply(x, x);
const root = (x) => (isNumber(x) ? Math.sqrt(x) : power(x, 0.5, Math.sqrt(x[0])));

// --- functions -------------------------------------------------------------------------------------

// From the function of a number and its derivative, which is computed along a Series of one term less: each
// function calls itself or others on shorter Series, down to its value.
const smooth = (value, slope) => (x) => {
  if (isNumber(x)) return value(x);
  const terms = termsOf(x);
  return terms > 1 ? integral(value(x[0]), x, slope(x.slice(0, size(terms - 1)))) : [value(x[0])];
};
const inverseRoot = (x) => divide(1, root(x));
const exp = smooth(Math.exp, (x) => exp(x));
const log = smooth(Math.log, (x) => divide(1, x));
const sin = smooth(Math.sin, (x) => cos(x));
const cos = smooth(Math.cos, (x) => negative(sin(x)));
const tan = smooth(Math.tan, (x) => add(1, square(tan(x))));
const sinh = smooth(Math.sinh, (x) => cosh(x));
const cosh = smooth(Math.cosh, (x) => sinh(x));
const tanh = smooth(Math.tanh, (x) => subtract(1, square(tanh(x))));
const arctan = smooth(Math.atan, (x) => divide(1, add(1, square(x))));
const logistic = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))); // without overflow
const expit = smooth(logistic, (x) => multiply(expit(x), expit(negative(x))));
const logExpit = smooth((x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))), (x) => expit(negative(x)));
const logAddExp = (a, b) => (leading(a) < leading(b) ? logAddExp(b, a) : subtract(a, logExpit(subtract(a, b))));

// What is not smooth is decided by the leading coefficients.  Two values that are equal here but not next to
// here have no expansion: the answer is not a number, and so is all that follows from it.
function undecided(a, b) {
  if (Number.isNaN(leading(a)) || Number.isNaN(leading(b))) return true;
  if ((isNumber(a) && isNumber(b)) || leading(a) !== leading(b)) return false;
  return subtract(a, b).some((x) => x !== 0);
}
const decided = (compare) => (a, b) => (undecided(a, b) ? NaN : Number(compare(leading(a), leading(b))));
const sign = (x) => (undecided(x, 0) ? NaN : Math.sign(leading(x)));
const choose = (condition, a, b) => (Number.isNaN(condition) ? NaN : condition ? a : b);
const notLess = decided((a, b) => a >= b), notMore = decided((a, b) => a <= b);
const onNumbers = (f) => (...x) => (x.every((v) => v === undefined || isNumber(v)) ? f(...x) : NaN); // it jumps

// The operations of traces, by their names in NumPy.
export const RULES = {
  add, subtract, multiply, divide, negative, exp, log, sin, cos, tan, sinh, cosh, tanh, arctan, expit, sign,
  sqrt: root,
  power: (a, b) => (isNumber(b) ? (isNumber(a) ? a ** b : power(a, b)) : exp(multiply(b, log(a)))),
  cbrt: (x) => (isNumber(x) ? Math.cbrt(x) : power(x, 1 / 3, Math.cbrt(x[0]))),
  hypot: (a, b) => root(add(square(a), square(b))),
  expm1: smooth(Math.expm1, exp),
  exp2: smooth((x) => 2 ** x, (x) => multiply(Math.LN2, exp(multiply(Math.LN2, x)))),
  log1p: smooth(Math.log1p, (x) => divide(1, add(1, x))),
  log2: smooth(Math.log2, (x) => divide(Math.LOG2E, x)),
  log10: smooth(Math.log10, (x) => divide(Math.LOG10E, x)),
  arcsin: smooth(Math.asin, (x) => inverseRoot(subtract(1, square(x)))),
  arccos: smooth(Math.acos, (x) => negative(inverseRoot(subtract(1, square(x))))),
  arcsinh: smooth(Math.asinh, (x) => inverseRoot(add(1, square(x)))),
  arccosh: smooth(Math.acosh, (x) => inverseRoot(subtract(square(x), 1))),
  arctanh: smooth(Math.atanh, (x) => divide(1, subtract(1, square(x)))),
  log_expit: logExpit,
  logaddexp: logAddExp,
  absolute: (x) => multiply(sign(x), x),
  less: decided((a, b) => a < b),
  less_equal: notMore,
  greater: decided((a, b) => a > b),
  greater_equal: notLess,
  equal: decided((a, b) => a === b),
  not_equal: decided((a, b) => a !== b),
  where: choose,
  maximum: (a, b) => choose(notLess(a, b), a, b),
  minimum: (a, b) => choose(notMore(a, b), a, b),
  floor: onNumbers(Math.floor),
  ceil: onNumbers(Math.ceil),
  remainder: onNumbers((a, b) => a - Math.floor(a / b) * b),
};
const MEMORY = ["average", "weight", "previous"]; // what a trace asks of the memory

// --- traces ----------------------------------------------------------------------------------------

// A trace's values are its inputs, its constants and the results of its operations; an operation is a name
// and the places of its arguments among them.

/** Return a trace with functions instead of names, to be evaluated. */
export function compiled(trace) {
  const operations = trace.operations.map(([name, ...places]) => {
    if (!(name in RULES) && !MEMORY.includes(name)) throw new Error(`the live engine has no operation ${name}`);
    return [RULES[name] ?? name, ...places];
  });
  return { ...trace, operations };
}

/** Return the outputs of a compiled trace from its inputs, numbers or Series, and a memory if it asks one. */
export function evaluate(trace, inputs, memory) {
  const values = [...inputs, ...trace.constants];
  for (const [rule, i, j, k] of trace.operations) {
    const [a, b, c] = [values[i], values[j], values[k]];
    values.push(typeof rule === "function" ? rule(a, b, c) : memory[rule](a, b, c));
  }
  return trace.outputs.map((place) => values[place]);
}

/** Return one step of a program on a loss, with its hyper-parameters: the loss's operations replace each gradient. */
export function optimizer(program, loss, given = {}) {
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
  for (const name of Object.keys(given)) if (!(name in program.given)) throw new Error(`the program has no ${name}`);
  const trace = compiled({ ...program, constants, operations, outputs: program.outputs.map((n) => place[n]) });
  return { trace, dimension: program.outputs.length, given: Object.values({ ...program.given, ...given }) };
}

const inputsOf = (optimizer, theta, h, time, step) => [...theta, h, time, step, ...optimizer.given];

// --- iterates --------------------------------------------------------------------------------------

// A run's memory: one number for each average, for each weight that an average has not gathered yet, and for
// each previous value, in the order in which the program asks.
class Running {
  constructor(old) { this.old = old; this.new = []; }
  last(start) { return this.old ? this.old[this.new.length] : start; }
  keep(value, shown = value) { this.new.push(value); return shown; }
  average(x, decay) { return this.keep(decay * this.last(0) + (1 - decay) * x); }
  weight(decay) { return this.keep(decay * this.last(1)); }
  previous(x, start) { return this.keep(x, this.last(start)); }
}

/** Return the path theta_0, theta_1, ... as far as it is finite, and the memory after its last step. */
export function run(optimizer, theta, h, steps, memory) {
  const path = [[...theta]];
  for (let n = 0; n < steps; n++) {
    const reading = new Running(memory);
    const update = evaluate(optimizer.trace, inputsOf(optimizer, path[n], h, h * n, n), reading);
    const next = path[n].map((x, i) => x - h * update[i]);
    if (!next.every(Number.isFinite)) break;
    path.push(next);
    memory = reading.new;
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
  const result = [...q, 0].fill(0);
  q.forEach((c, j) => {
    for (let i = 0; i <= j; i++) result[j + 1 - i] += (c * BINOMIAL[j + 1][i] * BERNOULLI[i]) / (j + 1);
  });
  return result;
}

// A mean of the values x(s - a) of the past, from the moments of their ages a: s^j becomes the mean of (s - a)^j.
function ofThePast(x, moments) {
  if (isNumber(x)) return x;
  const result = zeros(x);
  for (let k = 0; size(k) < x.length; k++)
    for (let j = 0; j <= k; j++)
      for (let i = 0; i <= j; i++)
        result[size(k) + j - i] += x[size(k) + j] * BINOMIAL[j][i] * (-1) ** i * moments[i];
  return result;
}
const oneStepAgo = (x) => ofThePast(x, Array(MOST).fill(1));

// The steady-state average, with the weights (1 - decay) decay^a.
function average(x, decay) {
  if (!(leading(decay) < 1)) return NaN; // it has none
  if (isNumber(x)) return x;
  if (isNumber(decay)) {
    const moments = [1];
    for (let r = 1; r < termsOf(x); r++)
      moments.push((decay / (1 - decay)) * moments.reduce((sum, m, l) => sum + BINOMIAL[r][l] * m, 0));
    return ofThePast(x, moments);
  }
  // m = decay m(s - 1) + (1 - decay) x with a decay that changes in time, term after term
  const fixed = decay[0], change = divide(subtract(decay, fixed), 1 - fixed);
  const source = divide(multiply(x, subtract(1, decay)), 1 - fixed);
  let m = scaled(x, 0);
  for (const _ of Array(termsOf(x))) m = average(add(source, multiply(change, oneStepAgo(m))), fixed);
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
    const kappa = divide(log(decay), -this.h);
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
      const u = isNumber(step[i]) ? row.map((_, n) => (n ? 0 * step[i] : step[i])) : step[i];
      row.push(...antidifference(negative(u.slice(size(k - 1), size(k)))));
    });
  }
  return rows;
}
const rates = (rows, order) => Array.from({ length: order }, (_, k) => rows.map((row) => row[size(k + 1) + 1]));
const sumOfPowers = (terms, h) => terms[0].map((_, i) => terms.reduceRight((sum, term) => sum * h + term[i], 0));
const linear = (terms, a, h, sh) => (terms > 1 ? [a, h, sh, ...Array(size(terms) - 3).fill(0)] : a);

function steadyCurve(optimizer, theta, order, time, seen) {
  return curve(theta, order, (point, terms) => {
    const reading = new Along();
    const inputs = inputsOf(optimizer, point, linear(terms, 0, 1, 0), linear(terms, time, 0, 1), Infinity);
    const update = evaluate(optimizer.trace, inputs, reading);
    seen?.(reading.kept);
    return update;
  });
}

/** Return the coefficients f_0, f_1, ... of the steady-state modified equation at a point: arrays of numbers. */
export const terms = (optimizer, theta, order, time = 0) => rates(steadyCurve(optimizer, theta, order, time), order);

/** Return the right-hand side of a modified equation, as a function of the point (and, if kept, of the memory). */
export function field(optimizer, h, order, memory = "forgotten") {
  if (memory === "forgotten") return (theta, time = 0) => sumOfPowers(terms(optimizer, theta, order, time), h);
  const d = optimizer.dimension, place = d + 2; // of the number of the step among the inputs
  if (optimizer.trace.operations.some(([, ...places]) => places.includes(place)))
    throw new Error("with the memory kept a program has no number of steps");
  const step = (state, reading, time) =>
    [...evaluate(optimizer.trace, inputsOf(optimizer, state.slice(0, d), h, time, NaN), reading), ...reading.steps];
  return (z, time = 0) => {
    const rows = curve(z, order, (state, terms) =>
      step(state, new Kept(state, d, h, linear(terms, 0, 1, 0), memory, false), linear(terms, time, 0, 1)));
    const reading = new Kept(z, d, h, 0, memory, true);
    if (order === 2 && allKept(optimizer, memory)) // the increment of one step is taken exactly
      return step(z, reading, time).map((u, i) => -u - h * rows[i][size(2) + 2]);
    return sumOfPowers(rates(rows, order), h);
  };
}

const allKept = ({ trace }, memory) =>
  trace.operations.every(([name]) => name !== "previous") && (memory === "kept" || memory.every((word) => word === "kept"));

/** Return what the memory holds just before a step from theta on the slow manifold; a run may start with it. */
export function slowMemory(optimizer, theta, h, order) {
  let kept;
  steadyCurve(optimizer, theta, order, 0, (found) => { kept = found; });
  const before = (row) => row.reduceRight((sum, c) => c - sum, 0); // a polynomial in s at s = -1
  const at = (x) => Array.from({ length: termsOf(x) }, (_, k) => before(x.slice(size(k), size(k + 1))))
    .reduceRight((sum, row) => sum * h + row, 0);
  return kept.map((x) => (isNumber(x) ? x : at(x)));
}

/** Return the state (theta and memory) at which a flow that keeps its memory starts, from those of a run. */
export function keptState(optimizer, theta, memory, choice = "kept") {
  const { operations, constants, inputs } = optimizer.trace, asked = operations.filter(([name]) => MEMORY.includes(name));
  const kept = (operation) => operation[0] !== "previous"
    && (choice === "kept" || choice[constants[operation.at(-1) - inputs.length]] === "kept");
  return [...theta, ...memory.filter((_, n) => kept(asked[n]))];
}

// --- flows -----------------------------------------------------------------------------------------

/** Return the solution of dz/dt = field(z, t) at the times 0, dt, 2 dt, ... by the classical Runge-Kutta method,
 *  as far as it is finite; each dt is made of `parts` equal steps. */
export function flow(field, start, dt, count, parts = 1, time = 0) {
  const path = [[...start]], step = dt / parts;
  const moved = (z, slope, by) => z.map((x, i) => x + by * slope[i]);
  for (let n = 0; n < count; n++) {
    let z = path[n];
    for (let part = 0; part < parts; part++) {
      const t = time + n * dt + part * step;
      const a = field(z, t), b = field(moved(z, a, step / 2), t + step / 2);
      const c = field(moved(z, b, step / 2), t + step / 2), e = field(moved(z, c, step), t + step);
      z = z.map((x, i) => x + (step / 6) * (a[i] + 2 * b[i] + 2 * c[i] + e[i]));
    }
    if (!z.every((x) => Math.abs(x) < 1e100)) break;
    path.push(z);
  }
  return path;
}
