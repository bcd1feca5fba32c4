// The worker: it computes what it is sent, and sends back part after part.  The page ends it when it takes too long.
self.onmessage = ({ data: { id, spec } }) => {
  try {
    for (const part of experiment(spec)) self.postMessage({ id, ...part });
  } catch (problem) {
    self.postMessage({ id, kind: "problem", field: "", message: `this cannot be computed: ${problem.message}` });
  }
};
