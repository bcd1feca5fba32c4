"""Common wrong answers to assignment 1; see 05_adam.py for the form."""

WRONG = {
    "pair": [
        (
            None,
            "def pair(f, x, h, a):\n    return x + (1 + a) * h * f(x) + (1 - a) * h * f(x)",
            "at x in both steps",
        ),
        (
            None,
            "def pair(f, x, h, a):\n    x = x + (1 - a) * h * f(x)\n    return x + (1 + a) * h * f(x)",
            "the long one must",
        ),
        ("* h", "* h / 2", "only half of it"),
        (
            None,
            "def pair(f, x, h, a):\n    x = x + h * f(x)\n    return x + h * f(x)",
            "`a` is missing",
        ),
        ("x +", "x -", "against f"),
        ("return x + (1 - a) * h * f(x)", "return x", "not where two steps"),
    ],
    "factor": [
        (None, "factor = (1 - h * lam) ** 2", "two equal steps"),
        (None, "factor = 1 - 2 * h * lam", "that is a sum"),
        ("(1 - (", "(1 + (", "the signs"),
        (" * (1 - (1 - a) * h * lam)", "", "one of the two steps"),
        (None, "factor = sp.exp(-2 * h * lam)", "not what a pair does"),
    ],
    "local": [
        ("1 + a**2", "1 - a**2", "the pair itself"),
        ("1 + a**2", "2", "the flow's own"),
        ("1 + a**2", "-1 - a**2", "the sign"),
        ("1 + a**2", "1", "make up for each other"),
        ("1 + a**2", "sp.Rational(1, 2) - (1 - a**2)", "you took the time h"),
        ("1 + a**2", "h * (1 + a**2)", "contains h; use only a"),
    ],
    "error": [
        ("-(1", "(1", "the sign"),
        (" / 2", "", "not T/h"),
        (" * sp.exp(-lam * T)", "", "the exponential is missing"),
        (" * T * sp", " * sp", "errors add up"),
        ("1 + a**2", "1", "equal steps"),
        ("* h *", "*", "its factor h"),
        ("lam**2", "lam", "a run of 2000 pairs"),
    ],
    "limit": [
        (None, "def limit(a, lam):\n    return 2 / lam", "equal steps"),
        (None, "def limit(a, lam):\n    return 2 / (1 + a) / lam", "the long step alone"),
        ("2 * a**2 <= 1", "True", "meets −1 before"),
        (" / lam", "", "h·λ, not h"),
        ("2 / product", "1 / product", "still safe"),
    ],
    "errors": [
        ("(1 + a) * h", "h", "without `combine`"),
        ("(2 * run(h / 2) - run(h) if", "((run(h / 2) + run(h)) / 2 if", "only averages"),
        ("2 * run(h / 2) - run(h) if", "2 * run(h) - run(h / 2) if", "the slope must be 2"),
        ("2 * run(h / 2) - run(h) if combine else ", "", "nothing changes"),
        (", rtol=1e-11, atol=1e-12", "", "accurate to ten digits"),
        ("round(1 / h)", "round(2 / h)", "without `combine`"),
        ("for h in hs]", "for h in hs[1:]]", "must have the shape"),
    ],
}

# Found by trying to get past the checks.
for _name, _answers in {
    "factor": [("factor = ", "factor = sp.I * a + ", "not real")],
    "error": [("error = -", "error = sp.I * h - ", "not real")],
    "local": [
        ("k = 1 + a**2", "k = 1 + a**2 + sp.I * a", "not real"),
        ("k = 1 + a**2", "k = sp.Rational(10, 9)", "another multiple"),
    ],
    "limit": [
        ("2 * a**2 <= 1", "a <= 0.75", "grows already"),
        ("2 * a**2 <= 1", "a < 0.74", "grows already"),
        ("return 2 / product / lam", "return 0.9995 * 2 / product / lam", "still safe"),
        ("2 * a**2 <= 1", "a <= 0.70", "is not finite"),
    ],
    "errors": [
        (
            "    return np.array([",
            "    if combine:\n        return errors(hs, a, False) * hs\n    return np.array([",
            "not the errors of 2",
        ),
        (
            "    return np.array([",
            "    if combine:\n        return 0.3 * hs**2\n    return np.array([",
            "not the errors of 2",
        ),
        ("    return np.array([", "    a = 0.4\n    return np.array([", "not the errors of this method"),
    ],
}.items():
    WRONG[_name] += _answers
