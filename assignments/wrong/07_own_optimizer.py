"""Common wrong answers to assignment 7, and optimizers other than the solution's; see 05_adam.py for the form."""

LOOP = """
def by_hand(gradients, beta, rho, epsilon):
    return updates(gradients, beta, rho, epsilon)
"""


def program(body):
    """A program with this body, and a loop that agrees with it."""
    head = (
        "@bea.optimizer\ndef mine(theta, gradient, memory, beta: bea.Decay, rho: bea.Decay, epsilon: bea.NonNegative):"
    )
    return head + "".join(f"\n    {line}" for line in body.split("; ")) + "\n" + LOOP


WRONG = {
    "program": [
        (None, program("return gradient(theta)"), "has no memory"),
        (None, program("g = gradient(theta); return g / np.sqrt(g**2 + epsilon)"), "has no memory"),
        (
            None,
            program(
                "g = gradient(theta); m = memory.average(g, beta); return m / np.sqrt(memory.average(g**2, rho) + epsilon)"
            ),
            "this is `bea.adam`",
        ),
        (None, program("return 3 * memory.average(gradient(theta), rho)"), "this is `bea.heavy_ball`"),
        (
            None,
            program("m = memory.average(gradient(theta), beta); return m / np.sqrt(np.sum(m**2) + epsilon)"),
            "depends on the others",
        ),
        (
            None,
            program("g = gradient(theta); return g / np.sqrt(memory.step * memory.average(g**2, rho) + epsilon)"),
            "never forgets",
        ),
        (None, program("g = gradient(theta); return memory.average(g, beta) - 2 * g"), "it climbs"),
        (
            None,
            program("m = memory.average(gradient(theta), beta); return m / (0 * epsilon + np.abs(m))"),
            "net factor is zero",
        ),
        (None, program("g = gradient(theta); return (g + memory.average(g, beta)) / 2"), "uses `mine`"),
        (
            None,
            program("g = gradient(theta); return (g + memory.average(g, beta)) / 2 + rho * theta"),
            "depends on θ itself",
        ),
        (
            None,
            program("m = memory.average(gradient(theta), beta); return m + gradient(theta - 0.1 * m)"),
            "on gradients elsewhere",
        ),
        (None, program("m = memory.average(gradient(theta), beta); return m * (1 + memory.h)"), "`memory.h`"),
        (None, program("g = gradient(theta); theta -= 0.1 * g; return memory.average(g, beta)"), "in place"),
        (None, program("return memory.average(gradient(theta) ** 2, beta) * (1 + rho)"), "it climbs"),
        (
            None,
            program("m = memory.average(gradient(theta), beta); return np.clip(m, -epsilon, epsilon) + rho * m"),
            "has a kink or a jump",
        ),
        (
            None,
            program(
                "g = gradient(theta); v = memory.average(g**2, rho); return g / np.sqrt(np.maximum(v, memory.previous(v)) + epsilon)"
            ),
            "where the gradient rises",
        ),
        (
            None,
            program("g = gradient(theta); return memory.average(g, beta) + 5 * memory.average(g, 0.99)"),
            "more slowly than by β and ρ",
        ),
        (
            None,
            "def mine(theta, gradient, memory, beta, rho, epsilon):\n    return gradient(theta)\n" + LOOP,
            "put @bea.optimizer",
        ),
        (
            None,
            "@bea.optimizer\ndef mine(theta, gradient, memory, beta, rho):\n    return gradient(theta)\n" + LOOP,
            "in its first line",
        ),
        (
            None,
            "LAST = {'g': np.zeros(1)}\n"
            + program("g = gradient(theta); old = LAST['g']; LAST['g'] = g; return g + 0.5 * old"),
            "keeps nothing of its own",
        ),
        ("return np.array(rows)", "return np.array(rows[-1])", "the result of `by_hand` must have"),
        (
            None,
            program("g = gradient(theta); return (g + memory.average(g, beta)) / 2").replace(LOOP, "")
            + "def by_hand(gradients, beta, rho, epsilon):\n    memory, rows = Running(h=1.0), []\n    for g in gradients:\n"
            "        rows.append((g + memory.average(g, beta)) / 2)\n        memory = memory.advance()\n    return np.array(rows)",
            "or the library's memory",
        ),
        ("return np.array(rows)", "print(rows[-1])", "`by_hand` returns nothing"),
        ("m, v, rows = 0, 0, []", "m, v, rows = gradients[0], gradients[0] ** 2, []", "empty memory, zeros"),
        ("        rows.append((g", "        rows.append(-(g", "the other sign"),
        ("(g + m_hat) / 2", "(g + m_hat)", "2 times the program's"),
        (
            "m_hat, v_hat = m / (1 - beta ** (n + 1)), v / (1 - rho ** (n + 1))",
            "m_hat, v_hat = m, v",
            "correct its bias",
        ),
        ("        m = beta * m + (1 - beta) * g\n", "        m = beta * m + g\n", "differ from step"),
        ("return np.array(rows)", "return np.array([0 * rows[0], *rows[:-1]])", "one step late"),
        ("for n, g in enumerate(gradients):", "for n, g in enumerate(abs(gradients)):", "differ from step"),
    ],
    "leading": [
        ("g / sp", "-g / sp", "the sign"),
        ("g / sp", "(1 - beta) * g / sp", "a factor 1−β"),
        (
            "u = g / sp.sqrt(g**2 + epsilon)",
            "u = (lambda g: g / sp.sqrt(g**2 + epsilon))(1.0)",
            "overwritten by a number",
        ),
        ("g / sp", "g / (1 - rho) / sp", "a factor 1−ρ"),
        ("(g**2 + epsilon)", "(g**2)", "ε is missing"),
        ("sp.sqrt(g**2 + epsilon)", "(g**2 + epsilon)", "is not that"),
        ("sp.sqrt(g**2 + epsilon)", "(g + sp.sqrt(epsilon))", "is not that"),
        ("g / sp.sqrt(g**2 + epsilon)", "np.sign", "must be a formula"),
    ],
    "factor": [
        ("(1 + C(beta)) / 2 - C(rho) * g**2 / (g**2 + epsilon)", "epsilon / (g**2 + epsilon)", "the degree alone"),
        ("(1 + C(beta)) / 2 - C", "(C(beta) - 1) / 2 + g**2 / (g**2 + epsilon) - C", "the memory contribution alone"),
        ("K = (1 + C(beta)) / 2 -", "K = -(1 + C(beta)) / 2 +", "the sign"),
        ("(1 + decay) / (1 - decay)", "1 / (1 - decay)", "the ages count twice"),
        ("(1 + decay) / (1 - decay)", "(3 - decay) / (1 - decay)", "look at the shares and ages again"),
        (
            "K = (1 + C(beta)) / 2 - C(rho) * g**2 / (g**2 + epsilon)",
            "K = (lambda beta, rho: (1 + C(beta)) / 2 - C(rho) * g**2 / (g**2 + epsilon))(0.5, 0.4)",
            "was that overwritten by a number?",
        ),
        (
            "(1 + C(beta)) / 2 - C(rho)",
            "(3 + C(beta) + 2) / 2 - (2 + C(rho))",
            "the present gradient has age zero",
        ),
        ("C(beta)) / 2 - C(rho)", "C(rho)) / 2 - C(beta)", "β and ρ exchanged"),
        (" * g**2 / (g**2 + epsilon)", "", "the limit of small ε"),
        ("(1 + C(beta)) / 2", "C(beta)", "look at the shares and ages again"),
        ("C(rho) * g**2", "C(rho) * g**2 / 2", "look at the shares and ages again"),
        ("(1 + C(beta)) / 2", "sp.I + C(beta)", "is not real"),
        ("C(rho) * g**2", "sp.Integral(C(rho), g) * g", "carry it out"),
    ],
    "penalized": [
        ("potential = sp.sqrt(g**2 + epsilon)", "potential = g / sp.sqrt(g**2 + epsilon)", "the step u itself"),
        ("potential = sp.sqrt(g**2 + epsilon)", "potential = g**2 / 2", "gradient descent's"),
        ("potential = sp.sqrt(g**2 + epsilon)", "potential = 2 * sp.sqrt(g**2 + epsilon)", "a constant factor"),
        ("potential = sp.sqrt(g**2 + epsilon)", "potential = g", "is not the step without memory"),
        (
            "potential = sp.sqrt(g**2 + epsilon)",
            "potential = sp.Integral(g / sp.sqrt(g**2 + epsilon), g)",
            "carry it out",
        ),
        ("1 if half_sum", "0 if half_sum", "must return 1"),
        ("half_sum >", "half_sum - epsilon / (g**2 + epsilon) >", "the memory contribution alone"),
        ("half_sum > (1 + rho)", "half_sum < (1 + rho)", "exactly reversed: a positive"),
        ("return 1 if half_sum > (1 + rho) / (1 - rho) * g**2 / (g**2 + epsilon) else -1", "return -1", "everywhere"),
        (" * g**2 / (g**2 + epsilon)", "", "not the sign of your program's net factor"),
        (
            "return 1 if half_sum > (1 + rho) / (1 - rho) * g**2 / (g**2 + epsilon) else -1",
            "return 1",
            "is 1 everywhere",
        ),
        (
            "return 1 if half_sum > (1 + rho) / (1 - rho) * g**2 / (g**2 + epsilon) else -1",
            "return sp.sign(K)",
            "is a formula in beta, epsilon, g, rho",
        ),
    ],
    "terms": [
        ("[float(term[0])", "[-float(term[0])", "f₀ has the wrong sign"),
        ("mine(beta, rho, epsilon)", "mine(rho, beta, epsilon)", "β and ρ are exchanged"),
        ("loss, order", "bea.Loss(globals()['x']**2 / 2, (globals()['x'],)), order", "the first number is not f₀"),
        (
            "    return [float(term[0])",
            "    C = lambda decay: (1 + decay) / (1 - decay)\n    s = x + x**2\n    D = s**2 + epsilon\n"
            "    K = (1 + C(beta)) / 2 - C(rho) * s**2 / D\n    return [-s / D**0.5, -K / 2 * s / D]\n    return [float(term[0])",
            "that is f₁ on x²/2",
        ),
        ("order=2)", "order=1)", "must have the shape"),
        (
            "    return [float(term[0])",
            "    f_0, f_1 = equation.coefficients((x,))[:, 0]\n    return [f_0, 2 * f_1]\n    return [float(term[0])",
            "the whole coefficient of h",
        ),
    ],
    "distance": [
        ("factor * h * f_1", "h * f_1", "does not reach the correction"),
        ("factor * h * f_1", "-factor * h * f_1", "with the wrong sign"),
        ("factor * h * f_1", "factor * h / 2 * f_1", "half of the correction"),
        ("factor * h * f_1", "2 * factor * h * f_1", "twice the correction"),
        ("factor * h * f_1", "(1 - factor) * h * f_1", "and the distances are not those"),
        ('run[:1], "DOP853"', '[x], "DOP853"', "the flow starts at x"),
        ("[40:, 0]", "[:, 0]", "the flow starts at x"),
        ("[40:, 0]", "[39:, 0]", "one step too early"),
        ("[40:, 0]", "[41:, 0]", "one step too late"),
        ("(0, steps * h)", "(0, (steps + 40) * h)", "40 steps too many"),
        ("return abs(end - run[-1])", "return abs(end - run[-1]) ** 2", "the square of the distance"),
        ("return abs(end - run[-1])", "return abs(end - run[-1]) / h", "divided by h"),
        (
            "mine(beta, rho, epsilon), loss, order",
            "mine(0.3, rho, epsilon), loss, order",
            "the distances are not those",
        ),
        (
            None,
            "def distance(h, steps, factor, x, *at):\n    import types\n    run = bea.run(mine(*at), loss, (x,), h, 40 + steps)\n"
            "    field = lambda h: lambda y: np.array([1, factor * h]) @ np.array(terms(float(y[0]), *at))[:, None]\n"
            "    flow = bea.flow(types.SimpleNamespace(field=field), (x,), h, 40 + steps)\n    return abs(flow[-1] - run[-1])[0]",
            "the flow starts at x",
        ),
        (
            '    end = solve_ivp(field, (0, steps * h), run[:1], "DOP853", rtol=1e-10, atol=1e-12).y[0, -1]',
            "    end = run[0]\n    for _ in range(steps):\n        end = end + h * field(0, [end])[0]",
            "solved to ten digits",
        ),
        (
            None,
            "def distance(h, steps, factor, x, beta, rho, epsilon):\n    return h ** (1 + factor)",
            "the distances are not those",
        ),
        (None, "def distance(h, steps, factor, x, beta, rho, epsilon):\n    return 0.0", "finite and positive"),
        ("loss, (x,), h", "loss, (0.8,), h", "the distances are not those"),
    ],
}

# More of what passes for an answer: another method's, half of a formula, a flow that is not solved, state that is kept.
for _name, _answers in {
    "program": [
        (
            None,
            "@bea.optimizer\ndef mine(theta, gradient, memory, beta: bea.Decay, rho: bea.Decay, epsilon: bea.NonNegative):\n    g = gradient(theta)\n    return (g + memory.average(g, beta)) / 2\n\ndef by_hand(gradients, beta, rho, epsilon):\n    memory, rows = Running(h=1.0), []\n    for g in gradients:\n        rows.append((g + memory.average(g, beta))/2)\n        memory = memory.advance()\n    return np.array(rows)",
            "`by_hand` uses `mine`, or the library's memory; write it without `bea`",
        ),
        (
            None,
            "@bea.optimizer\ndef mine(theta, gradient, memory, beta: bea.Decay, rho: bea.Decay, epsilon: bea.NonNegative):\n    g = gradient(theta)\n    m = memory.average(g, beta)\n    return g + 1e-7*m\ndef by_hand(gradients, beta, rho, epsilon):\n    m, rows = 0, []\n    for g in gradients:\n        m = beta*m+(1-beta)*g\n        rows.append(g+1e-7*m)\n    return np.array(rows)",
            "it has no memory: its step is the same whatever the gradients before w",
        ),
    ],
    "leading": [
        (None, "u = g/(sp.sqrt(g**2)+epsilon)", "under a constant gradient g your program's step is not that"),
        (None, "u = sp.sign(g)", "ε is missing"),
    ],
    "factor": [
        (
            None,
            "K = (1 + (lambda d:(1+d)/(1-d))(beta)) / 2 + (lambda d:(1+d)/(1-d))(rho) * g**2 / (g**2 + epsilon)",
            "the measured net factor of your program is",
        ),
        (
            None,
            "C=lambda d:(1+d)/(1-d)\nK = C(beta)/2 - C(rho) * g**2 / (g**2 + epsilon)",
            "the measured net factor of your program is",
        ),
    ],
    "penalized": [
        ("1 if half_sum", "True if half_sum", "the result of `direction` must be a number; yours is of the type bool"),
        ("else -1", "else 0", "where it penalizes, and −"),
    ],
    "terms": [
        ("order=2)", "order=3)", "the result of `terms` must have the shape ("),
        (
            "mine(beta, rho, epsilon)",
            "bea.adam(beta, rho, epsilon)",
            "the second number is not f₁ of your program on this loss",
        ),
    ],
    "distance": [
        ("40 + steps", "50 + steps", ", and the distances are not those of your program on this loss, betwee"),
        (
            "(0, steps * h)",
            "(0, steps * h + h)",
            "the control: the flow starts one step too late: the first point of a r",
        ),
    ],
}.items():
    WRONG[_name] += _answers

_PROGRAM = """@bea.optimizer
def mine(theta, gradient, memory, beta: bea.Decay, rho: bea.Decay, epsilon: bea.NonNegative):
    g = gradient(theta)
    m = memory.average(g, DECAY, corrected=CORRECTED)
    return STEP


"""
_BALL = (
    _PROGRAM.replace("CORRECTED", "False").replace("STEP", "m")
    + """def by_hand(gradients, beta, rho, epsilon):
    m, rows = 0, []
    for g in gradients:
        m = (DECAY) * m + (1 - DECAY) * g
        rows.append(m)
    return np.array(rows)
"""
)
_CAPPED = _PROGRAM.replace("CORRECTED", "True").replace("DECAY", "np.minimum(beta, 0.9)")
_CAPPED = _CAPPED.replace("STEP", "(g + m) / 2 / np.sqrt(memory.average(g**2, rho, corrected=True) + epsilon)")

# Small slips: a count that is off by one, a factor close to one, a case that is left out.
for _name, _answers in {
    "program": [
        (None, _BALL.replace("DECAY", "beta / 2"), "this is `bea.heavy_ball`"),
        (None, _BALL.replace("DECAY", "np.minimum(beta, 0.9)"), "this is `bea.heavy_ball`"),
    ],
    "factor": [("K = ", _CAPPED + "K = ", "beta = 0.9")],
}.items():
    WRONG[_name] += _answers

# Arguments that are clipped, tables for the cases that are tested, parts of a list.
for _name, _answers in {
    "program": [
        ("    m, v, rows = 0, 0, []", "    beta = min(beta, 0.6)\n    m, v, rows = 0, 0, []", "differ from step 1"),
        (
            None,
            _PROGRAM.replace("CORRECTED", "False").replace("DECAY", "beta").replace("STEP", "g + 2 * m")
            + "def by_hand(gradients, beta, rho, epsilon):\n    weights = (1 - beta) * beta ** np.arange(40)\n"
            "    padded = np.concatenate([np.zeros((39, gradients.shape[1])), gradients])\n"
            "    m = [weights[::-1] @ padded[n : n + 40] for n in range(len(gradients))]\n"
            "    return gradients + 2 * np.array(m)",
            "differ from step 40",
        ),
    ],
    "penalized": [("    half_sum =", "    beta = min(beta, 0.9)\n    half_sum =", "not the sign of your program's")],
    "terms": [("    equation =", "    x = min(x, 0.9)\n    equation =", "the first number is not f₀")],
    "distance": [("    run = bea", "    h = max(h, 1e-3)\n    run = bea", "the control: the slope is")],
}.items():
    WRONG[_name] += _answers

# What students of the chapters got wrong: one array in all rows, state, an `if`, decays exchanged, formulas for numbers.
_MIX = program("g = gradient(theta); STATE; return (g + memory.average(g, beta)) / 2")
for _name, _answers in {
    "program": [
        (None, _MIX.replace("STATE", "g = 2 * g if g > 0 else g"), "take np.where"),
        (
            None,
            "LAST = [0.0]\n" + _MIX.replace("STATE", "LAST[0] = 0.5 * LAST[0] + g; g = LAST[0]"),
            "keeps nothing of its own",
        ),
        ("return np.array(rows)", "return np.array([rows[-1]] * len(rows))", "all rows of `by_hand` are the same"),
        ("return np.array(rows)", "return np.cumsum(rows, axis=0)", "sums of the updates"),
        ("def by_hand(gradients, beta, rho", "def by_hand(gradients, rho, beta", "exchanged between the loop"),
        ("        m = beta * m + (1 - beta) * g\n", "        m = beta * m + g\n", "compare both for one row"),
    ],
    "leading": [
        ("g / sp", "2 * g / sp", "right up to a constant factor"),
        ("sp.sqrt(g**2 + epsilon)", "sp.sqrt(0.5 * g**2 + epsilon)", "each average is then what it averages"),
    ],
    "factor": [
        ("(1 + C(beta)) / 2 - C(rho)", "1 + C(beta) - 2 * C(rho)", "twice that"),
        ("(1 + C(beta)) / 2", "C(beta) / 2", "off by -0.5 everywhere"),
    ],
    "penalized": [
        ("potential = ", "potential = -", "the sign: the step is"),
        ("def direction(g, beta, rho, epsilon)", "def direction(g, rho, beta, epsilon)", "β and ρ are exchanged"),
        (" * g**2 / (g**2 + epsilon)", "", "everywhere: at g = "),
    ],
    "terms": [
        (
            None,
            "def terms(x, *at):\n    return [term[0] for term in bea.modified_equation(mine(*at), loss, 2).terms]",
            "holds a formula in x",
        )
    ],
    "distance": [
        ("factor * h * f_1", "factor * h**2 * f_1", "the factor h², not h"),
        ("factor * h * f_1", "factor * f_1", "look at the correction alone"),
        ("h, 40 + steps", "h, steps", "run and flow end 40 steps apart"),
    ],
}.items():
    WRONG[_name][:0] = _answers  # before those that leave another program behind

OTHER = {
    "optimistic gradient descent with a saturating step": {
        "program": """
@bea.optimizer
def mine(theta, gradient, memory, beta, rho, epsilon):
    g = gradient(theta)
    return np.arctan(2 * g - memory.previous(g)) + 0 * beta


def by_hand(gradients, beta, rho, epsilon):
    gradients = np.asarray(gradients)
    return np.arctan(2 * gradients - np.vstack([0 * gradients[:1], gradients[:-1]]))
""",
        "leading": "u = sp.atan(g)",
        "factor": "q = sp.simplify(g * sp.diff(u, g) / u)\nK = q * (1 + 2 * (2 * 0 - 1 * 1))",
        "penalized": """
potential = sp.integrate(sp.atan(g), g)
direction = lambda g, *rest: np.sign(float(K.subs(sp.Symbol("g", positive=True), g)))
""",
        "terms": """
def terms(x, beta, rho, epsilon):
    s = x + x**2
    return np.array([-np.arctan(s), np.arctan(s) / (1 + s**2) * (1 + 2 * x) / 2])
""",
        "distance": """
def distance(h, steps, factor, x, beta, rho, epsilon):
    # without the engine: a loop, and the classical method of Runge and Kutta
    before, path = 0.0, [x]
    for _ in range(40 + steps):
        s = path[-1] + path[-1] ** 2
        path.append(path[-1] - h * np.arctan(2 * s - before))
        before = s
    y = path[40]
    field = lambda y: np.dot(terms(y, beta, rho, epsilon), [1, factor * h])
    for _ in range(steps):
        a = field(y)
        b = field(y + h / 2 * a)
        c = field(y + h / 2 * b)
        y = y + h / 6 * (a + 2 * b + 2 * c + field(y + h * c))
    return np.abs(np.array([y - path[-1]]))[0]
""",
    },
    "an average of an average, damped by a power": {
        "program": """
@bea.optimizer
def mine(theta, gradient, memory, beta: bea.Decay, rho: bea.Decay, epsilon: bea.NonNegative):
    slow = memory.average(memory.average(gradient(theta), beta), rho)
    return slow / (slow**2 + epsilon) ** 0.25


class ByHand:
    def __call__(self, gradients, beta, rho, epsilon):
        one = two = 0.0
        for g in gradients.tolist():
            one = beta * one + (1 - beta) * np.array(g)
            two = rho * two + (1 - rho) * one
            self.rows.append(list(two / (two**2 + epsilon) ** 0.25))
        rows, self.rows = self.rows, []
        return rows

    rows = []


by_hand = ByHand()
""",
        "leading": "u = (g**4 / (g**2 + epsilon)) ** sp.Rational(1, 4)",
        "factor": """
lag = lambda decay: decay / (1 - decay)
K = (1 - g**2 / (2 * (g**2 + epsilon))) * (1 + 2 * lag(beta) + 2 * lag(rho))
""",
        "penalized": "potential = 2 * (g**2 + epsilon) ** 0.75 / 3 + 17\ndef direction(g, beta, rho, epsilon): return 1.0",
        "terms": """
def terms(x_, beta_, rho_, epsilon_):
    at = {x: x_, beta: beta_, rho: rho_, epsilon: epsilon_}
    equation = bea.modified_equation(mine(beta, rho, epsilon), loss, 2)
    return tuple(sp.N(term[0].subs(at)) for term in equation.terms)
""",
        "distance": """
class With:
    def __init__(self, factor, *at):
        self.factor, self.equation = factor, bea.modified_equation(mine(*at), loss, 2)

    def field(self, h):
        return lambda x: self.equation.coefficients(x)[0] + self.factor * h * self.equation.coefficients(x)[1]


def distance(h, steps, factor, x, *at):
    run = bea.run(mine(*at), loss, [x], h, 40 + steps)
    return np.linalg.norm(bea.flow(With(factor, *at), run[40], h, steps)[-1] - run[-1])
""",
    },
    "the cube of the gradient, and its mean in the denominator": {
        "program": """
@bea.optimizer
def mine(theta, gradient, memory, beta: bea.Decay, rho: bea.Decay, epsilon: bea.NonNegative):
    g = gradient(theta)
    return memory.average(g**3, beta) / (epsilon + memory.average(g**2, rho))


def by_hand(gradients, beta, rho, epsilon):
    from scipy.signal import lfilter
    filtered = lambda x, d: lfilter([1 - d], [1, -d], x, axis=0)
    return filtered(gradients**3, beta) / (epsilon + filtered(gradients**2, rho))
""",
        "leading": "g, epsilon = sp.symbols('g epsilon')\nu = g**3 / (g**2 + epsilon)",
        "factor": "K = 3 * (2 / (1 - beta) - 1) - 2 * g**2 * (1 + rho) / (epsilon + g**2) / (1 - rho)",
        "penalized": """
potential = g**2 / 2 - epsilon * sp.log(g**2 + epsilon) / 2
def direction(*at):
    value = sp.lambdify((g, beta, rho, epsilon), K)(*at)
    return np.int64(1) if value > 0 else np.int64(-1)
""",
        "terms": """
def terms(x, *at):
    return bea.modified_equation(mine(*at), loss, 2).coefficients([x])[:, 0]
""",
        "distance": """
from scipy.integrate import solve_ivp
def distance(h, steps, factor, x, *at):
    memory, y = Running(h=h), np.array([x])
    for n in range(40 + steps):
        if n == 40:
            start = y
        y, memory = y - h * mine(*at)(y, lambda z: z + z * z, memory), memory.advance()
    flow = solve_ivp(lambda t, z: terms(z[0], *at) @ [1, factor * h], (0, h * steps), start, method="LSODA", rtol=1e-11, atol=1e-13)
    return max(flow.y[0, -1] - y[0], y[0] - flow.y[0, -1])
""",
    },
    "gradient descent beside a smoothed sign of momentum": {
        "program": """
@bea.optimizer
def mine(theta, gradient, memory, beta: bea.Decay, rho: bea.Decay, epsilon: bea.NonNegative):
    g = gradient(theta)
    m = memory.average(g, rho, corrected=True)
    return rho * g + np.tanh(m / epsilon)


def by_hand(gradients, beta, rho, epsilon):
    out = np.empty_like(gradients)
    for n in range(len(gradients)):
        weights = (1 - rho) * rho ** np.arange(n, -1, -1)
        m = weights @ gradients[: n + 1] / weights.sum()
        out[n] = rho * gradients[n] + np.tanh(m / epsilon)
    return out
""",
        "leading": "u = rho * g + 1 - 2 / (1 + sp.exp(2 * g / epsilon))",
        "factor": """
plain, sign = rho * g, sp.tanh(g / epsilon)
K = (plain + (1 + rho) / (1 - rho) * g * sp.diff(sign, g)) / (plain + sign)
""",
        "penalized": "potential = rho * g**2 / 2 + epsilon * sp.log(sp.cosh(g / epsilon))\ndirection = lambda *_: +1",
        "terms": """
def terms(x, beta, rho, epsilon):
    eq = bea.modified_equation(mine(beta, rho, epsilon), bea.black_box(lambda t: t + t**2, 1), 2)
    low, high = eq.field(1)([x])[0], eq.field(2)([x])[0]
    return 2 * low - high, high - low
""",
        "distance": """
def distance(h, steps, factor, x, beta, rho, epsilon):
    from scipy.integrate import odeint
    its = [float(t) for t in bea.run(mine(beta, rho, epsilon), loss, (x,), h, 40 + steps)[:, 0]]
    C = (1 + rho) / (1 - rho)
    def f(y, t):
        s = y + y * y
        u, sign = rho * s + np.tanh(s / epsilon), 1 / np.cosh(s / epsilon) ** 2 / epsilon
        return -u - factor * h * (rho + C * sign) / 2 * u * (1 + 2 * y)
    return abs(odeint(f, its[40], [0, steps * h], rtol=1e-11, atol=1e-12)[-1, 0] - its[-1])
""",
    },
}
