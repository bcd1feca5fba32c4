// The grammar of a little of Python: a text's words, and a reader that computes while it reads.
//
// Nothing that is typed is ever run: it is read by recursive descent, once, and each operation on numbers is
// recorded on a tape.  A value is a number, a Node (one that the tape computes) or an array of these; apart from
// values there are things with a `title`: functions, modules and lists.
import { Node, NUMBERS, Problem } from "./tape.js";

// --- the words of a text ---------------------------------------------------------------------------

const LONGEST = 4000, DEEPEST = 60; // characters of a text, brackets within each other
const TOKEN = new RegExp([
  String.raw`[ \t\r\f]+|#[^\n]*|\\\n`, // blanks, comments, a line that goes on
  String.raw`(?<text>[rR]?(?:"""[^]*?"""|'''[^]*?'''|"[^"\n]*"|'[^'\n]*'))`,
  String.raw`(?<number>(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)`,
  String.raw`(?<name>[\p{L}_][\p{L}\d_]*)`,
  String.raw`(?<sign>\*\*|->|[<>=!]=|[-+*/%@<>=()[\],.:;\n])`,
].join("|"), "uy");
const POWER = "a power is written **", PRODUCT = "a product is written *";
const INSTEAD = { "^": POWER, "²": POWER, "³": POWER, "·": PRODUCT, "×": PRODUCT, "−": "the minus sign of the keyboard is -", "÷": "a quotient is written /", "|": "an absolute value is written abs(x)", "√": "a root is written sqrt(x)" };

function words(text) {
  if (text.length > LONGEST) throw new Problem(`the text has ${text.length} characters; at most ${LONGEST} are read`, { line: 1, column: 1 });
  const found = [];
  let open = 0, line = 1, begin = 0;
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < text.length; ) {
    const start = TOKEN.lastIndex, at = { line, column: start - begin + 1 }, match = TOKEN.exec(text);
    if (!match) {
      const letter = String.fromCodePoint(text.codePointAt(start));
      throw new Problem(`“${letter}” has no meaning here${INSTEAD[letter] ? `; ${INSTEAD[letter]}` : ""}`, at);
    }
    const [word] = match, kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
    if (word === "(" || word === "[") open++;
    if (word === ")" || word === "]") open--;
    if (open > DEEPEST) throw new Problem(`more than ${DEEPEST} brackets are open`, at);
    if (word === ";" || (word === "\n" && open <= 0)) found.push({ kind: "end", word, at, start });
    else if (kind && word !== "\n") found.push({ kind, word, at, start });
    for (const { index } of word.matchAll(/\n/g)) { line++; begin = start + index + 1; }
  }
  const last = { word: "", at: { line, column: text.length - begin + 1 }, start: text.length };
  return [...found, { ...last, kind: "end" }, { ...last, kind: "stop" }];
}

// --- the reader ------------------------------------------------------------------------------------

const COMPARED = { "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "==": "equal", "!=": "not_equal" };
const KEYWORDS = "False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield".split(" ");
export const isValue = (x) => typeof x === "number" || typeof x === "boolean" || x instanceof Node || Array.isArray(x);

/** Reads a text with some names; hint(name) says what to write instead of another one, `branches` whether it may compare. */
export class Reader {
  constructor(text, tape, names, { hint = () => "", branches = true } = {}) {
    Object.assign(this, { words: words(text), next: 0, depth: 0, tape, names: { __proto__: null, ...names }, hint, branches, assigned: [] });
  }
  get word() { return this.words[this.next].word; }
  get kind() { return this.words[this.next].kind; }
  get at() { return this.words[this.next].at; }
  fail(message, at = this.at) { throw new Problem(message, at); }
  shown() { return this.kind === "stop" || !this.word ? "the end of the text" : this.kind === "end" ? "the end of the line" : this.word; }
  take() { return this.words[this.next++].word; }
  took(word) { return this.kind !== "text" && this.kind !== "stop" && this.word === word && Boolean(++this.next); }
  must(word, where) { if (!this.took(word)) this.fail(`“${word}” is missing ${where}; here is ${this.shown()}${this.open() || this.missing()}`); }
  // The bracket around the next word, if it was opened on an earlier line.
  open() {
    for (let n = this.next - 1, closed = 0; n >= 0; n--) {
      const { word, at } = this.words[n];
      if (word === ")" || word === "]") closed++;
      else if ((word === "(" || word === "[") && closed-- === 0) return at.line < this.at.line ? `; the “${word}” of line ${at.line}, column ${at.column} is still open` : "";
    }
    return "";
  }
  // What may be missing between two values side by side.
  missing() {
    const before = this.words[this.next - 1];
    if (this.word === "@") return this.branches ? "; write np.sum(a * b)" : "";
    if (!before || KEYWORDS.includes(this.word) || !(["number", "name"].includes(this.kind) || this.word === "(") || !(["number", "name"].includes(before.kind) || before.word === ")")) return "";
    return this.names[before.word]?.call ? `; write ${before.word}(…), with brackets` : `; ${PRODUCT}`;
  }
  name(what) {
    if (KEYWORDS.includes(this.word)) this.fail(`“${this.word}” is a word of Python’s own, and no name`);
    return this.kind === "name" ? this.take() : this.fail(`${what} must be a name, not ${this.shown()}`);
  }
  skipEnds() { while (this.kind === "end") this.next++; }
  endOfLine() {
    if (this.kind !== "end" && this.kind !== "stop") this.fail(`the line should end before ${this.shown()}${this.missing()}`);
    this.skipEnds();
  }

  // Operations on numbers, entry by entry for arrays; an array of one entry goes with any other.
  apply(name, at, ...values) {
    for (const x of values) if (!isValue(x)) this.fail(`${x?.title ?? "this"} is not a value that one can compute with${x?.list ? "; write np.stack([...])" : ""}`, at);
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
    if (!this.branches) this.fail("a loss is one formula, without “if”", at);
    const condition = this.comparison();
    if (typeof condition !== "boolean" && typeof condition !== "number") this.fail("“if” needs True, False or a fixed number; for values that change write np.where(condition, a, b)", at);
    this.must("else", "after “if”");
    const other = this.expression();
    return condition ? value : other;
  }
  comparison() {
    const value = this.sum(), at = this.at;
    if (this.kind !== "sign" || !(this.word in COMPARED)) return value;
    if (!this.branches) this.fail(`a loss is one number, without “${this.word}”`);
    return this.apply(COMPARED[this.take()], at, value, this.sum());
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
      const at = this.at, title = value.title ?? "a value";
      if (this.took(".")) {
        const name = this.name("after a dot there"), members = value.members ?? (Array.isArray(value) ? methods(value) : {});
        if (!Object.hasOwn(members, name)) this.fail(`${title} has no “${name}” here; it has ${Object.keys(members).join(", ") || "nothing"}`, at);
        value = members[name];
      } else if (this.took("(")) {
        if (!value.call) this.fail(`${title} cannot be called; for a product write *`, at);
        const given = this.given(value, start);
        this.tape.at = start;
        value = value.call(this, start, ...given);
      } else if (this.took("[")) value = this.entries(value, at);
      else return value;
    }
  }
  // The values that a function is given, in the order of its own arguments.
  given({ title, least, most, named }, start) {
    const found = [];
    let count = 0;
    for (; !this.took(")"); count++) {
      const [{ kind, word, at }, after] = this.words.slice(this.next, this.next + 2), own = kind === "name" && after.word === "=";
      const place = own ? named.indexOf(word) : count;
      if (place < 0) this.fail(`${title} has no argument “${word}”${named.length ? `; it has ${named.join(", ")}` : ""}`, at);
      if (place in found) this.fail(`${title} is given “${word}” twice`, at);
      if (own) this.next += 2;
      found[place] = this.expression();
      if (this.word !== ")") this.must(",", "between arguments, or “)” after them");
    }
    if (count < least || count > most) this.fail(`${title} takes ${least}${most > least ? ` to ${most}` : ""} ${most > 1 ? "values" : "value"}, not ${count}`, start);
    return found;
  }
  entries(value, at) {
    if (!Array.isArray(value)) this.fail("only an array, as theta is, has entries", at);
    const end = () => (this.word === ":" || this.word === "]" ? undefined : this.expression()), first = end(), range = this.took(":"), last = range ? end() : undefined;
    this.must("]", "after an entry’s number");
    if ((!range && first === undefined) || [first, last].some((n) => n !== undefined && !Number.isInteger(n))) this.fail("an entry’s number must be a fixed whole number", at);
    return range ? value.slice(first, last) : value.at(first) ?? this.fail(`there is no entry ${first}; the entries are 0 to ${value.length - 1}`, at);
  }
  list(close, found = []) {
    while (!this.took(close)) {
      found.push(this.expression());
      if (this.word !== close) this.must(",", `in a list, or “${close}” after it`);
    }
    return { title: "a list", list: found };
  }
  atom() {
    const { at, kind, word } = this.words[this.next];
    if (this.took("(")) {
      const value = this.expression();
      if (this.took(",")) return this.list(")", [value]);
      this.must(")", "after “(”");
      return value;
    }
    if (this.took("[")) return this.list("]");
    if (kind === "number") {
      const value = Number(this.take().replaceAll("_", ""));
      return Number.isFinite(value) ? value : this.fail(`${word.length > 16 ? `${word.slice(0, 12)}…` : word} is too large for a number`, at);
    }
    if (kind !== "name") this.fail(`a value is missing before ${this.shown()}`);
    if (this.take() in this.names) return this.names[word];
    if (KEYWORDS.includes(word)) this.fail(`“${word}” is a word of Python’s own that is not read here`, at);
    const hint = this.assigned.includes(word) ? "it has no value yet; what is kept from step to step is memory.average(x, decay) or memory.previous(x)" : this.hint(word);
    return this.fail(`“${word}” is unknown; ${hint || `there are ${Object.keys(this.names).filter((name) => !name.startsWith("_")).join(", ")}`}`, at);
  }

  // Lines `name = value`, `a, b = value, value` and, at last, `return value`.
  body() {
    for (this.skipEnds(); this.kind !== "stop"; this.endOfLine()) {
      if (this.kind === "text") this.next++;
      else if (this.took("return")) {
        const value = this.expression();
        this.endOfLine();
        return this.kind === "stop" ? value : this.fail("there is text after “return”; one function is read, without branches");
      } else if (KEYWORDS.includes(this.word)) this.fail(`“${this.word}” is not read here: write lines “name = value” and a last line “return value”`);
      else this.assignment();
    }
    return this.fail("the last line must be “return”, with the update: theta − h · update is the next point");
  }
  assignment() {
    const names = [], values = [], at = this.at;
    do names.push(this.name("a line begins with “return” or with a name, which")); while (this.took(","));
    if (/[-+*/]/.test(this.word) && this.words[this.next + 1].word === "=") this.fail(`“${this.word}=” is not read here; write ${names[0]} = ${names[0]} ${this.word} …`);
    if (this.word === "[") this.fail("one entry cannot be set alone; write np.stack([a, b]) for both");
    if (this.word !== "=") this.fail(`“=” is missing after “${names.join(", ")}”; a line is “name = value” or “return value”`);
    this.next++;
    this.assigned = names;
    do values.push(this.expression()); while (this.took(","));
    this.assigned = [];
    if (names.length !== values.length) this.fail(`${names.length} names cannot hold ${values.length} values`, at);
    names.forEach((name, n) => { this.names[name] = values[n]; });
  }
}

// --- functions -------------------------------------------------------------------------------------

/** A function: call(reader, at, ...values) with `least` to `most` values, some of which may be given by name. */
export const callable = (title, [least, most = least], call, named = []) => ({ title, least, most, call, named });
export const elementwise = (title, name = title.split(".").pop()) =>
  callable(title, [NUMBERS[name].length || 2], (reader, at, ...values) => reader.apply(name, at, ...values));
const total = (reader, at, x) => x.reduce((sum, entry) => reader.apply("add", at, sum, entry), 0);
const REDUCTIONS = {
  sum: total,
  mean: (reader, at, x) => reader.apply("divide", at, total(reader, at, x), x.length),
  norm: (reader, at, x) => reader.apply("sqrt", at, total(reader, at, reader.apply("multiply", at, x, x))),
};
export const reduced = (title, name = title.split(".").pop()) => callable(title, [1], (reader, at, x) => REDUCTIONS[name](reader, at, [x].flat()));
const methods = (value) => Object.fromEntries(["sum", "mean"].map((name) => [name, callable(name, [0], (reader, at) => REDUCTIONS[name](reader, at, value))]));
