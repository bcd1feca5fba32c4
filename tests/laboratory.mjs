// Answers the questions of test_laboratory.py: reads the worker's script and requests as JSON; prints JSON.
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";

const { text, requests } = JSON.parse(readFileSync(0, "utf8"));
const names = "program hyperparameters loss optimizer run field terms slowMemory keptState experiment".split(" ");
const lab = new Function("self", `${text}\nreturn { ${names.join(", ")} };`)({});

// What an optimizer does, from its trace: a run, the fields with 1 to 4 terms, the field that keeps its memory.
function behaviour(trace, loss, { theta, h, steps }) {
  const optimizer = lab.optimizer(trace, loss), found = lab.run(optimizer, theta, h, steps), last = found.path.at(-1);
  const fields = [1, 2, 3, 4].map((order) => lab.field(optimizer, h, order)(theta, 0.7));
  let kept;
  try {
    kept = [1, 2, 3].map((order) => lab.field(optimizer, h, order, "kept")(lab.keptState(optimizer, last, found.memory), 0.7));
  } catch (problem) {
    kept = String(problem.message);
  }
  return { path: found.path, fields, kept, memory: lab.slowMemory(optimizer, theta, h, 3) };
}
const answers = {
  compare: (r) => [r.trace, lab.program(r.text, r.given)].map((trace) => behaviour(trace, r.loss, r)),
  losses: (r) => {
    const still = { inputs: ["theta_0", "theta_1", "h", "time", "step"], constants: [0, 1], given: {}, outputs: [7, 8], operations: [["gradient", 0, 1, 5], ["gradient", 0, 1, 6]] };
    return [r.loss, lab.loss(r.text)].map((loss) => r.points.map((point) => [1, 2, 3, 4].map((order) => lab.field(lab.optimizer(still, loss), 0.1, order)(point))));
  },
  program: (r) => lab.program(r.text, lab.hyperparameters(r.given ?? "")),
  loss: (r) => lab.loss(r.text),
  experiment: (r) => {
    const began = performance.now(), parts = [...lab.experiment(r.spec)];
    return { parts, milliseconds: performance.now() - began };
  },
};

// JSON has no NaN and no infinity: they are written as text.
const plain = (key, x) => (typeof x === "number" && !Number.isFinite(x) ? String(x) : x);
process.stdout.write(JSON.stringify(requests.map((request) => {
  try {
    return answers[request.call](request);
  } catch (problem) {
    return { error: String(problem.message), line: problem.line, column: problem.column, kind: problem.constructor.name };
  }
}), plain));
