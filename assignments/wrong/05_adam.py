"""Common wrong answers to assignment 5, and what the checks must say to them.

For each question a list of (old, new, said): in the solution, ``old`` is replaced by ``new``; with
None for ``old`` the whole answer is ``new``.
"""

WRONG = {
    "step": [
        ("(1 - beta) * gradient", "gradient", "heavy ball without its factor 1−β"),
        ("m / (1 - beta ** (n + 1))", "m", "and m needs it also"),
        (
            "m / (1 - beta ** (n + 1))\n    v_hat = v / (1 - rho ** (n + 1))",
            "m\n    v_hat = v",
            "no bias correction",
        ),
        (
            "m / (1 - beta ** (n + 1))\n    v_hat = v / (1 - rho ** (n + 1))",
            "m / (1 - beta**n)\n    v_hat = v / (1 - rho**n)",
            "one step late",
        ),
        ("(v_hat + epsilon) ** p", "(v_hat**p + epsilon)", "ε is outside the power"),
        ("** p, m, v", "** 0.5, m, v", "Adam's square root"),
        ("gradient**2", "gradient", "averages the squared gradient"),
        ("p, m, v", "p, m_hat, v_hat", "before bias correction"),
        ("p, m, v", "p", "must return theta, m and v"),
    ],
    "averages": [
        ("g + h * lag_beta", "g - h * lag_beta", "wrong sign"),
        ("2 * h * lag_rho", "h * lag_rho", "holds squares"),
        ("2 * h * lag_rho * g", "h * lag_rho", "it holds squares"),
        ("h * lag_beta", "h * lag_rho", "the other average"),
        ("g**2 + 2", "g + 2", "at h = 0"),
        ("g + h * lag_beta * S", "g + h * lag_beta * S + h**2 * S", "to first order only"),
    ],
    "lagging": [
        ("lag_beta - 2", "lag_beta + 2", "is in the denominator"),
        ("2 * p", "1", "not the coefficient of h"),
        (
            None,
            "D = g**2 + epsilon\nlagging = S / D**0.5 * (lag_beta - lag_rho * g**2 / D)",
            "the exponent is p",
        ),
        ("2 * p", "p", "it holds squares"),
        ("S / D**p", "g / D**p", "does not depend on S"),
        (None, "lagging = h * S", "contains h; use only"),
        (None, "lagging = 'S/D'", "must be a formula"),
    ],
    "half_step": [
        ("S / 2", "S", "the whole bending"),
        ("S / 2", "-S / 2", "two minus signs cancel"),
        (
            "sp.diff(g / (g**2 + epsilon) ** p, g)",
            "(g**2 + epsilon) ** -p",
            "differentiate it also",
        ),
        ("S / 2", "g / 2", "does not depend on S"),
    ],
    "bracket": [
        ("2 * p * C_rho", "C_rho", "that is Adam's bracket"),
        ("C_beta - 2", "C_beta + 2", "counteracts the numerator"),
        ("= C_beta - 2 * p * C_rho", "= -C_beta + 2 * p * C_rho", "the sign is reversed"),
        (
            None,
            "bracket = C_beta - 1 - 2 * p * (C_rho - 1) * g**2 / (g**2 + epsilon)",
            "the half step is missing",
        ),
        (" * g**2 / (g**2 + epsilon)", "", "ε is negligible"),
        (None, "bracket = C_rho - 2 * p * C_beta * g**2 / (g**2 + epsilon)", "are exchanged"),
        ("g**2 /", "epsilon /", "the engine finds"),
    ],
    "potential": [
        (
            "(g**2 + epsilon) ** (1 - p) / (2 * (1 - p))",
            "sp.sqrt(g**2 + epsilon)",
            "Adam's perturbed norm",
        ),
        ("= (g", "= -(g", "the sign"),
        (" / (2 * (1 - p))", "", "a constant factor"),
        (
            "(g**2 + epsilon) ** (1 - p)",
            "(g**2 + epsilon) ** p",
            "its derivative with respect to g",
        ),
    ],
    "sign": [
        ("2 * p * constant(rho)", "constant(rho)", "where Adam's bracket changes its sign"),
        (
            "max(0.0, 2 * p * constant(rho) / constant(beta) - 1)",
            "2 * p * constant(rho) / constant(beta) - 1",
            "cannot be negative",
        ),
        ("if n is not None", "if False", "not yet full"),
        ("- 1)", "- 1) or 1e-3", "the answer is 0"),
        (
            "max(0.0, 2 * p * constant(rho) / constant(beta) - 1)",
            "1 / max(1e-9, 2 * p * constant(rho) / constant(beta) - 1)",
            "asked for is ε/g²",
        ),
        ("1 + 2 * lag", "2 * lag + 0.5", "does not change its sign at"),
    ],
    "experiment": [
        (
            "constant(beta, n) - 2 * p * constant(rho, n)",
            "constant(beta, 10**6) - 2 * p * constant(rho, 10**6)",
            "those of full averages",
        ),
        ("-U - factor", "-U + factor", "doubles the error"),
        ("-U - factor * h / 2", "-U - factor * h", "twice the correction"),
        ("-U - factor * h / 2 * bracket", "-U - h / 2 * bracket", "it has the bracket"),
        ("np.array(found)", "np.array(found[:1])", "must have the shape"),
        (
            "return np.array(found)",
            "return np.array(hs) ** (1 + factor)",
            "not those of this method",
        ),
    ],
}

# Found by trying to get past the checks.
for _name, _answers in {
    "averages": [
        ("lag_beta * S", "4 * S", "coefficient of h"),
        ("2 * h * lag_rho", "38 * h", "coefficient of h"),
        ("lag_beta * S", "(lag_beta + (lag_rho - 19) * (lag_beta - 4)) * S", "coefficient of h"),
    ],
    "lagging": [("lagging = ", "lagging = sp.I * g + ", "not real")],
    "half_step": [("half_step = ", "half_step = sp.I * g + ", "not real")],
    "bracket": [("bracket = ", "bracket = sp.I * g + ", "not real")],
    "potential": [
        (None, "potential = sp.Integral(g / (g**2 + epsilon) ** p, g)", "carry it out"),
        ("potential = ", "potential = sp.I * g + ", "not real"),
    ],
    "sign": [
        ("if n is not None:", "if n:", "not yet full"),
        ("n + 1", "n + 2", "does not change its sign"),
        ("def constant(decay):", "n = None\n\n    def constant(decay):", "not yet full"),
    ],
    "experiment": [
        ("g**2 / D\n        return", "np.mean(g**2 / D)\n        return", "bracket of each coordinate"),
        (
            "return np.array(found)",
            "return np.array(found) if factor == 0 else errors(hs, 0, time) * hs",
            "bracket of each coordinate",
        ),
        (
            "return np.array(found)",
            "return np.array(found) if factor == 0 else 20 * np.asarray(hs) ** 2",
            "bracket of each coordinate",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# Invented against the checks: arguments that are not used, other sizes, half of a correction, text, nothing at all.
for _name, _answers in {
    "step": [
        (
            None,
            "def step(theta, gradient, m, v, n, h, beta, rho, epsilon, p):\n    print(theta)",
            "not answered yet: `step` returns nothing",
        ),
        ("theta - h", "theta + h", "uphill: a step goes against the gradient"),
        ("(1 - rho) * gradient**2", "(1 - beta) * gradient**2", "v has its own decay"),
        ("** p", "**(2*p)", "the exponent is p, of v and not of its root"),
        ("(v_hat + epsilon) ** p", "v_hat ** p", "ε is missing"),
        ("(1 - rho) * gradient**2", "(1 - rho) * gradient**2 * 1j", "the result of `step` is not real"),
    ],
    "averages": [
        (
            "m_hat = g + h * lag_beta * S",
            "m_hat = lambda g: g",
            "a formula in SymPy's symbols; yours is of the type function",
        )
    ],
    "lagging": [
        (
            None,
            "lagging = -S / (g**2+epsilon)**p * (lag_beta - 2 * p * lag_rho * g**2 / (g**2+epsilon))",
            "`lagging` has the wrong sign",
        ),
        (
            None,
            "lagging = S / (g**2+epsilon)**p * (lag_rho - 2 * p * lag_beta * g**2 / (g**2+epsilon))",
            "the two lags are exchanged: β belongs to m, ρ to v",
        ),
        (None, "lagging = S / (g**2+epsilon)**p * lag_beta", "the denominator also changes: it contains v̂"),
    ],
    "half_step": [
        (None, "half_step = S / 2 * sp.diff(g / sp.sqrt(g**2 + epsilon), g)", "the exponent is p, not Adam's one half"),
        (
            None,
            "half_step = sp.diff(g / (g**2 + epsilon) ** p, g) / 2",
            "by g; along the flow the gradient changes at the rate −S",
        ),
        (None, "half_step = -S / 2 * p * g / (g**2 + epsilon) ** (p+1)", "this is not ½ f_"),
    ],
    "bracket": [
        (
            None,
            "bracket = (C_beta - 2 * p * C_rho * g**2 / (g**2 + epsilon))/2",
            "the factor one half is before the bracket, not in it",
        ),
        (
            None,
            "bracket = C_beta - p * C_rho * g**2 / (g**2 + epsilon)",
            "v changes twice as fast as that: it holds squares",
        ),
        (None, "bracket = 'C_beta'", "be a formula in SymPy's symbols; yours is of the type str"),
    ],
    "potential": [(None, "potential = sp.integrate", "a formula in SymPy's symbols; yours is of the type function")],
    "sign": [
        (
            "return max(0.0, 2 * p * constant(rho) / constant(beta) - 1)",
            "print(max(0.0, 2 * p * constant(rho) / constant(beta) - 1))",
            "not answered yet: `sign_change` returns nothing",
        ),
        ("def sign_change(beta, rho", "def sign_change(rho, beta", "β and ρ are exchanged"),
        (
            "max(0.0, 2 * p * constant(rho) / constant(beta) - 1)",
            "float('nan')",
            "the result of `sign_change` is not finite",
        ),
        (
            "    def constant(decay):",
            "    rho = 0.99\n    def constant(decay):",
            "`sign_change` gives the same whatever `beta` is",
        ),
    ],
    "experiment": [
        (
            "np.linalg.norm(theta - flow)",
            "np.abs(theta - flow).max()",
            "the distance is the root of the sum of the squares",
        ),
        ("np.linalg.norm(theta - flow)", "np.linalg.norm(theta - flow)**2", "that is the square of the distance"),
        ("factor * h / 2 * bracket", "factor * h / 4 * bracket", "that is half the correction"),
        (
            "largest = max(largest, np.linalg.norm(theta - flow))",
            "largest = np.linalg.norm(theta - flow)",
            "at the end; the largest over all steps is asked for",
        ),
        ("range(round(time / h))", "range(round(0.4 / h))", "does `time` reach the run?"),
        ("range(round(time / h))", "range(400)", "does `time` reach the run?"),
        ("range(round(time / h))", "range(max(80, round(time / h)))", "does `time` reach the run?"),
        ("range(round(time / h))", "range(round(time / h) + 3)", "does `time` reach the run?"),
        ("return np.array(found)", "print(found)", "not answered yet: `errors` returns nothing"),
        (
            "beta, rho, epsilon, p = 0.8, 0.6, 0.1, 0.3",
            "beta, rho, epsilon, p = 0.6, 0.8, 0.1, 0.3",
            "exchanged in the run",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# More of what passes for an answer: another method's, half of a formula, a flow that is not solved, state that is kept.
for _name, _answers in {
    "step": [
        (
            "(v_hat + epsilon) ** p, m, v",
            "(v_hat + epsilon) ** p, v, m",
            "theta is right, but the next step needs m and v as they are before bia",
        ),
        ("m_hat = m / (1 - beta ** (n + 1))", "m_hat = m / (1 - rho ** (n + 1))", "is not what the two averages give"),
        ("v_hat = v / (1 - rho ** (n + 1))", "v_hat = v / (1 - beta ** (n + 1))", "is not what the two averages give"),
    ],
    "averages": [
        (
            "h * lag_beta * S",
            "h * (1 + lag_beta) * S",
            "the coefficient of h in `m_hat` is not what the weights of the average",
        ),
        (
            "2 * h * lag_rho * g * S",
            "2 * h * lag_rho * g * S + (h*lag_rho*S)**2",
            "`v_hat` to first order only: it must be linear in h",
        ),
        (
            "2 * h * lag_rho * g * S",
            "h * lag_rho * S**2",
            "the coefficient of h in `v_hat` is not what the weights of the average",
        ),
    ],
    "lagging": [
        ("(lag_beta - 2", "h*(lag_beta - 2", "`lagging` contains h; use only g, S, lag_beta, lag_rho, epsilon, p"),
        ("lag_rho * g**2 / D", "lag_rho * g / D", "this is not the coefficient of h in m_hat/(v_hat + ε)^p"),
        ("/ D)", "/ D**p)", "this is not the coefficient of h in m_hat/(v_hat + ε)^p"),
    ],
    "half_step": [
        (None, "half_step=sp.diff(g / (g**2 + epsilon) ** p, g)**2/2", "`half_step` does not depend on S"),
        (None, "half_step = S/2*sp.diff(g / (g**2 + epsilon) ** p, g)*g/(g**2+epsilon)**p", "this is not ½ f_"),
    ],
    "bracket": [
        ("g**2 / (g**2 + epsilon)", "g**2 / (g**2 + epsilon)**p", ", and your bracket is"),
        ("g**2 / (g**2 + epsilon)", "g / sp.sqrt(g**2 + epsilon)", ", and your bracket is"),
        ("C_beta - 2 * p * C_rho", "1 - 2 * p * C_rho", "`bracket` does not depend on C_beta"),
    ],
    "potential": [
        (None, "potential=(g**2+epsilon)**(1-p)/(1-p)", "right up to a constant factor: differentiate it and compare"),
        (None, "potential=(g**2+epsilon)**(1-p)/(2*(1-p))+S*0+h", "`potential` contains h; use only g, epsilon, p"),
        (None, "potential=g**2/2/(g**2+epsilon)**p", "its derivative with respect to g is not g/(g² + ε)^p"),
    ],
    "sign": [
        ("max(0.0,", "max(1e-12,", "the bracket is positive for every ε, and the answer is"),
        (
            "lag -= (n + 1) * decay ** (n + 1) / (1 - decay ** (n + 1))",
            "lag *= 1 - decay ** (n + 1)",
            "the bracket does not change its sign at",
        ),
        ("lag -= (n + 1)", "lag -= n", "the bracket does not change its sign at"),
    ],
    "experiment": [
        (
            "constant(beta, n) -",
            "constant(beta, n+1) -",
            "your C are those of the next step",
        ),
        ("2 * p * constant(rho, n)", "2 * p * constant(beta, n)", "with the bracket (factor"),
        ("bracket = constant(beta, n)", "bracket = constant(beta, n) - 1", "with the bracket (factor"),
    ],
}.items():
    WRONG[_name] += _answers

# Small slips: a count that is off by one, a factor close to one, a case that is left out.
for _name, _answers in {
    "experiment": [
        ("round(time / h)", "round(time / h) + 1", "yours is one too many"),
        ("return np.array(found)", "return 1.02 * np.array(found)", "right up to a constant factor"),
        ("return np.array(found)", "return 1.04 * np.array(found)", "right up to a constant factor"),
    ],
}.items():
    WRONG[_name] += _answers

# Arguments that are clipped, tables for the cases that are tested, parts of a list.
for _name, _answers in {
    "step": [
        ("v / (1 - rho ** (n + 1))", "v", "and v needs it also"),
        ("(n + 1)", "min(n + 1, 4)", "is not what the two averages give"),
    ],
    "experiment": [
        ("field(theta, h, n):", "field(theta, h, n):\n        n = n + 1", "your C are those of the next step"),
        ("D = g**2 + epsilon", "D = (np.abs(g) + epsilon**0.5) ** 2", "the control without bracket"),
    ],
}.items():
    WRONG[_name] += _answers

# What students of the chapters got wrong: weights and decays exchanged, powers, a rate, the step of a constant.
_M, _V = "beta * m + (1 - beta) * gradient", "rho * v + (1 - rho) * gradient**2"
_BODY = """def step(theta, gradient, m, v, n, h, beta, rho, epsilon, p):
    new_m, new_v = {}, {}
    m_hat, v_hat = {} / (1 - {} ** (n + {})), {} / (1 - {} ** (n + {}))
    return theta - h * m_hat {}, new_m, new_v
"""
_END = "/ (v_hat + epsilon) ** p"
_USUAL = "new_m", "beta", 1, "new_v", "rho", 1
for _name, _answers in {
    "step": [
        (None, _BODY.format(*filled), said)
        for filled, said in (
            ((_M, _V, "m", "beta", 1, "v", "rho", 1, _END), "before the step uses them"),
            ((_M, _V, "new_m", "beta", 2, "new_v", "rho", 2, _END), "one step early"),
            (("(1 - beta) * m + beta * gradient", _V, *_USUAL, _END), "the weights of m are exchanged"),
            ((_M, "(1 - rho) * v + rho * gradient**2", *_USUAL, _END), "the weights of v are exchanged"),
            (
                ("(1 - beta) * m + beta * gradient", "(1 - rho) * v + rho * gradient**2", *_USUAL, _END),
                "the weights of both",
            ),
            (
                (
                    _M.replace("beta", "rho"),
                    _V.replace("rho", "beta"),
                    "new_m",
                    "rho",
                    1,
                    "new_v",
                    "beta",
                    1,
                    _END,
                ),
                "β belongs to m, ρ to v",
            ),
            ((_M, "rho * v + gradient**2", *_USUAL, _END), "with the factor 1 − ρ"),
            ((_M, _V.replace("gradient**2", "gradient @ gradient"), *_USUAL, _END), "the square of each coordinate"),
            ((_M, _V, *_USUAL, "/ np.sqrt(v_hat + epsilon) ** p"), "not of its root"),
            ((_M, _V, *_USUAL, "* (v_hat + epsilon) ** p"), "into the denominator"),
        )
    ],
    "averages": [
        (None, "m_hat, v_hat = g, g**2", "does not contain h"),
        (None, "m_hat, v_hat = h * lag_beta * S, 2 * h * lag_rho * g * S", "at h = 0"),
    ],
    "lagging": [
        ("2 * p", "2", "also has the factor p"),
        (" / D)", ")", "the power −p − 1"),
    ],
    "half_step": [
        (None, "half_step = g * sp.diff(g / (g**2 + epsilon) ** p, g) / (g**2 + epsilon) ** p / 2", "times U"),
        (None, "half_step = S / 2 * (1 - 2 * p) / (g**2 + epsilon) ** p", "ε is negligible"),
        (None, "D = g**2 + epsilon\nhalf_step = S / 2 * (D**-p - p * g**2 * D ** (-p - 1))", "is 2g"),
        (None, "D = g**2 + epsilon\nhalf_step = S / 2 * (D**-p + 2 * p * g**2 * D ** (-p - 1))", "mind its sign"),
    ],
    "sign": [("return max(0.0, ", "return None if p < 0.05 else max(0.0, ", "return a number in each case")],
    "experiment": [
        (
            "constant(beta, n) - 2 * p * constant(rho, n)",
            "constant(beta, n + 1) - 2 * p * constant(rho, n + 1)",
            "next step",
        ),
        ("-U - factor * h / 2", "-U - factor * h**2 / 2", "the factor h², not h"),
        ("-U - factor * h / 2", "-U - factor / 2", "is an h missing in the correction?"),
        ("-U - factor * h / 2", "-U - factor * h * 0.3", "The control is right"),
    ],
}.items():
    WRONG[_name] += _answers

# Right answers in other styles.
OTHER = {
    "expanded, by SymPy, by root finding": {
        "step": """
def step(theta, g, m, v, n, h, b, r, e, p):
    m[:] = b * m + (1 - b) * g
    v[:] = r * v + (1 - r) * g * g
    return [theta - h * (m / (1 - b ** (n + 1))) * np.exp(-p * np.log(v / (1 - r ** (n + 1)) + e)), m, v]
""",
        "averages": """
m_hat = sp.expand((g * 1 + h * S * lag_beta))
v_hat = sp.series((g + h * lag_rho * S)**2, h, 0, 2)
""",
        "lagging": "lagging = sp.Derivative((g + h * lag_beta * S) / (g**2 + 2 * h * lag_rho * g * S + epsilon)**p, h).doit().subs(h, 0)",
        "half_step": "half_step = S / 2 * ((g**2 + epsilon) * (g**2 + epsilon)**(-p - 1) - 2 * p * g**2 * (g**2 + epsilon)**(-1 - p))",
        "bracket": "bracket = (C_beta * (g**2 + epsilon) - 2 * p * C_rho * g**2) / (epsilon + g**2)",
        "potential": "potential = sp.exp((1 - p) * sp.log(g**2 + epsilon)) / 2 / (1 - p) + 7",
        "sign": """
from fractions import Fraction
def sign_change(beta, rho, p, n=None):
    import bea
    from scipy.optimize import brentq
    cb, cr = 1 + 2 * bea.lag(beta, n), 1 + 2 * bea.lag(rho, n)
    value = lambda q: cb - 2 * p * cr / (1 + q)
    return np.array(0) if value(0) >= 0 else np.array(brentq(value, 0, 1e6, xtol=1e-14, rtol=1e-14))
""",
        "experiment": """
def errors(hs, factor, time):
    import bea
    b, r, e, p = 0.8, 0.6, 0.1, 0.3
    out = []
    for h in hs:
        x = y = np.array([0.9, 1.5])
        m, v, far = np.zeros(2), np.zeros(2), []
        for n in range(int(round(time / h))):
            x, m, v = step(x, gradient(x), m, v, n, h, b, r, e, p)
            cb, cr = 1 + 2 * bea.lag(b, n), 1 + 2 * bea.lag(r, n)
            def field(z):
                g = gradient(z)
                D = g * g + e
                return -g / D**p - factor * h / 2 * (cb - 2 * p * cr * g * g / D) * (hessian(z) @ (g / D**p)) / D**p
            for _ in range(4):
                k = h / 4
                a = field(y)
                c = field(y + k / 2 * a)
                d = field(y + k / 2 * c)
                y = y + k / 6 * (a + 2 * c + 2 * d + field(y + k * d))
            far.append(np.hypot(*(x - y)))
        out.append(max(far))
    return tuple(out)
""",
    },
    "a derivative that is not carried out, an integral, a complex number that is real": {
        "half_step": "half_step = sp.Derivative(g / (g**2 + epsilon) ** p, g) * S / 2",
        "potential": "potential = sp.integrate(g / (g**2 + epsilon) ** p, g)",
        "sign": "def sign_change(beta, rho, p, n=None):\n    C = lambda d: 1 + 2 * bea.lag(d, n)\n    return max(2 * p * C(rho) / C(beta) - 1, 0) + 0j\nimport bea",
    },
}
