// Answers the questions of test_live.py: reads the engine's text, traces and requests as JSON; prints JSON.
import { readFileSync } from "node:fs";

const { text, programs, losses, traces, requests } = JSON.parse(readFileSync(0, "utf8"), (key, x) => (x === "NaN" ? NaN : x));
const engine = await import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);

const optimizerOf = (r) => engine.optimizer(programs[r.program], losses[r.loss], r.given);
const lengths = (values) => values.map((x) => x.length ?? 0);
const evaluate = (trace, inputs) => engine.evaluator(trace, lengths(inputs))(inputs);
function applied(rule, inputs) {
  const operations = [[rule, ...inputs.keys()]], trace = { inputs, constants: [], operations, outputs: [inputs.length] };
  return evaluate(trace, inputs).map((x) => (x.length && x.every(Number.isNaN) ? NaN : x));
}
// fields of a test's own
const own = {
  line: ([z], t) => [t - z], square: ([z]) => [z * z], pair: ([z, w]) => [z * z, -w], still: ([z]) => [0 * z],
  mean: (z) => z.map((x) => z.reduce((a, b) => a + b, 0) / z.length - x),
  stiff: ([x, y], t) => [-1e6 * (x - Math.cos(t)), x * y], root: ([x, y]) => [-Math.sqrt(x), 1 / y], wall: ([x, y]) => [x > 1 ? NaN : 50 * (1 - x) ** 1.5, 1 / y], noise: ([x, y], t) => [Math.sin(1e9 * (x + t)), y],
};
const answers = {
  names: () => Object.keys(engine.RULES),
  value: (r) => evaluate(losses[r.loss].value, r.theta),
  gradient: (r) => evaluate(losses[r.loss].gradient, r.theta),
  trace: (r) => evaluate(traces[r.trace], r.inputs),
  run: (r) => engine.run(optimizerOf(r), r.theta, r.h, r.steps, r.memory),
  path: (r) => engine.run(optimizerOf(r), r.theta, r.h, r.steps, r.memory).path,
  terms: (r) => engine.terms(optimizerOf(r), r.theta, r.order, r.time),
  field: (r) => engine.field(optimizerOf(r), r.h, r.order, r.memory)(r.theta, r.time),
  slowMemory: (r) => engine.slowMemory(optimizerOf(r), r.theta, r.h, r.order),
  kept: (r) => {
    const optimizer = optimizerOf(r), { path, memory } = engine.run(optimizer, r.theta, r.h, r.steps);
    return engine.field(optimizer, r.h, r.order, r.choice)(engine.keptState(optimizer, path.at(-1), memory, r.choice), r.h * r.steps);
  },
  flow: (r) => engine.flow(engine.field(optimizerOf(r), r.h, r.order), r.theta, r.h, r.steps, r.tolerance, r.time).path,
  // the end of a flow that is known to a thousandth of `apart`
  followed: (r) => {
    const { settled, path } = engine.closely(engine.field(optimizerOf(r), r.h, r.order), r.theta, r.h, r.steps, () => r.apart, { last: true });
    return settled ? path.at(-1) : [];
  },
  memory: (r) => engine.run(optimizerOf(r), r.theta, r.h, r.steps).memory,
  state: (r) => engine.keptState(optimizerOf(r), r.theta, r.memory),
  // the functions that are written for one optimizer, one after another
  shared: (r) => {
    const optimizer = optimizerOf(r), state = [...r.theta, ...r.held];
    return [1, 2, 3, 4].flatMap((order) => [
      ...engine.terms(optimizer, r.theta, order).at(-1), ...engine.field(optimizer, r.h, order)(r.theta), ...engine.slowMemory(optimizer, r.theta, r.h, order),
      ...engine.field(optimizer, r.h, order, "kept")(state),
    ]);
  },
  // how often Math.exp is called for a run, and for a field at some points
  exponentials: (r) => {
    const optimizer = optimizerOf(r), { exp } = Math;
    let count = 0;
    Math.exp = (x) => { count++; return exp(x); };
    engine.run(optimizer, r.theta, r.h, r.steps);
    const slope = engine.field(optimizer, r.h, 2, "kept"), before = count;
    for (const x of r.points) slope([...r.theta, x, x, x]);
    Math.exp = exp;
    return [before, count];
  },
  // how many functions are written for a field of an optimizer whose hyper-parameters move
  writings: (r) => {
    const optimizer = optimizerOf(r), { Function: plain } = globalThis;
    let count = 0;
    globalThis.Function = function (...parts) { count++; return plain(...parts); };
    for (const beta of r.betas) engine.field(engine.withValues(optimizer, { beta }), r.h, 2)(r.theta);
    globalThis.Function = plain;
    return [count];
  },
  own: (r) => engine.flow(own[r.own], r.theta, r.dt, r.steps, r.tolerance, r.time).path,
  // how close a flow is followed if its end is to be known to a part of `apart`: whether it is settled, and its path
  closely: (r) => {
    const { settled, path } = engine.closely(own[r.own], r.theta, r.dt, r.steps, () => r.apart, { last: true });
    return [[Number(settled)], ...path];
  },
  rule: (r) => applied(r.rule, r.values).map((x) => (r.leading && Array.isArray(x) ? x[0] : x)),
};

// JSON has no NaN and no infinity: they are written as text.
const plain = (key, x) => (typeof x === "number" && !Number.isFinite(x) ? String(x) : x);
const answer = (request) => {
  try {
    return answers[request.call](request);
  } catch (problem) {
    return { error: String(problem) };
  }
};
process.stdout.write(JSON.stringify(requests.map(answer), plain));
