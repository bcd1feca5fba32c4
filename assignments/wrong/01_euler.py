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
        (None, "factor = sp.exp(-2 * h * lam)", "does not depend on a"),
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
        ("2 * a**2 <= 1", "True", "the factor is below −1 there"),
        (" / lam", "", "h·λ, not h"),
        ("2 / product", "1 / product", "still safe"),
    ],
    "errors": [
        ("(1 + a) * h", "h", "without `combine`"),
        ("(2 * run(h / 2) - run(h) if", "((run(h / 2) + run(h)) / 2 if", "only averages"),
        ("2 * run(h / 2) - run(h) if", "2 * run(h) - run(h / 2) if", "the finer run is the one"),
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
        ("k = 1 + a**2", "k = sp.Rational(10, 9)", "does not depend on a"),
    ],
    "limit": [
        ("2 * a**2 <= 1", "a <= 0.75", "grows already"),
        ("2 * a**2 <= 1", "a < 0.74", "grows already"),
        ("return 2 / product / lam", "return 0.9995 * 2 / product / lam", "still safe"),
        ("2 * a**2 <= 1", "a <= 0.70", "`limit` is not a number"),
    ],
    "errors": [
        (
            "    return np.array([",
            "    if combine:\n        return errors(hs, a, False) * hs\n    return np.array([",
            "not those of 2",
        ),
        (
            "    return np.array([",
            "    if combine:\n        return 0.3 * hs**2\n    return np.array([",
            "not those of 2",
        ),
        ("    return np.array([", "    a = 0.4\n    return np.array([", "the same whatever `a` is"),
    ],
}.items():
    WRONG[_name] += _answers

# Invented against the checks: arguments that are not used, other sizes, half of a correction, text, nothing at all.
for _name, _answers in {
    "pair": [
        ("return x + (1 - a) * h * f(x)", "print(x + (1 - a) * h * f(x))", "not answered yet: `pair` returns nothing"),
        (
            None,
            "def pair(f, x, h, a):\n    return str(x + (1 + a) * h * f(x))",
            "the result of `pair` must hold numbers; yours is of the type str",
        ),
        (
            None,
            "def pair(f, x, h, a):\n    return [str(y) for y in x + (1 + a) * h * f(x)]",
            "the result of `pair` must hold numbers; yours is of the type list",
        ),
        ("(1 - a) * h * f(x)", "(1 - a) * h * f(x) + 1j", "the result of `pair` is not real"),
        ("    x = x", "    h = 0.1\n    x = x", "`pair` gives the same whatever `h` is"),
        ("    x = x", "    a = 0.5\n    x = x", "`pair` gives the same whatever `a` is"),
        (
            "return x + (1 - a) * h * f(x)",
            "return (x + (1 - a) * h * f(x))[0]",
            "the result of `pair` must have the shape (",
        ),
    ],
    "factor": [
        (
            None,
            "factor = '(1 - (1+a)*h*lam)*(1-(1-a)*h*lam)'",
            "be a formula in SymPy's symbols; yours is of the type str",
        ),
        (
            None,
            "def factor(a, h, lam):\n    return (1 - (1 + a) * h * lam) * (1 - (1 - a) * h * lam)",
            "a formula in SymPy's symbols; yours is of the type function",
        ),
        (
            None,
            "factor = sp.Abs((1 - (1 + a) * h * lam) * (1 - (1 - a) * h * lam))",
            "its size, without the sign: a factor may be negative",
        ),
        (None, "factor = sp.Eq(a, h)", "a formula in SymPy's symbols; yours is of the type Equality"),
    ],
    "local": [
        (None, "k = 1 + a", "on f(x) = x flow and pair differ by another multiple of h²"),
        (None, "k = (1 + a**2) / 2", "`k` is right up to a constant factor"),
        (None, "k = None", "not answered yet"),
        (None, "k = sp.Integral(2*a, (a, 0, a)) + 1", "an integral, a derivative or a limit in it: carry it out"),
    ],
    "error": [
        (
            None,
            "error = (1 - (1-a**2) * h * lam)**(T/2/h) - sp.exp(-lam*T)",
            "term only: `error` must be h times something without h",
        ),
        (
            None,
            "error = -(1 + a**2) / 4 * h * lam**2 * T * sp.exp(-lam * T)",
            "`error` is right up to a constant factor",
        ),
    ],
    "limit": [
        (None, "def limit(a, lam):\n    print(2 / (1 - a**2) / lam)", "not answered yet: `limit` returns nothing"),
        (None, "def limit(a, lam):\n    return 2 / (1 - a**2) / 2", "`limit` gives the same whatever `lam` is"),
        (
            None,
            "def limit(a, lam):\n    return str(2 / (1 - a**2) / lam)",
            "the result of `limit` must be a number; yours is of the type str",
        ),
        ("product = 1 - a**2", "a = 0.5\n    product = 1 - a**2", "`limit` gives the same whatever `a` is"),
        (
            None,
            "def limit(a, lam):\n    return (2 / (1 - a**2) / lam, 0)",
            "must be a number; yours is of the type tuple",
        ),
        (
            None,
            "def limit(a, lam):\n    return sp.Symbol('h')",
            "of functions whose arguments have the names of its symbols",
        ),
    ],
    "errors": [
        (
            "np.linalg.norm((2 * run(h / 2) - run(h) if combine else run(h)) - flow)",
            "np.abs((2 * run(h / 2) - run(h) if combine else run(h)) - flow).max()",
            "the distance is the root of the sum of the squares",
        ),
        (
            "np.linalg.norm((2 * run(h / 2) - run(h) if combine else run(h)) - flow)",
            "np.linalg.norm((2 * run(h / 2) - run(h) if combine else run(h)) - flow)**2",
            "that is the square of the distance",
        ),
        (
            "np.linalg.norm((2 * run(h / 2) - run(h) if combine else run(h)) - flow)",
            "abs(((2 * run(h / 2) - run(h) if combine else run(h)) - flow)[0])",
            "that is one coordinate of the difference",
        ),
        (
            "np.linalg.norm((2 * run(h / 2) - run(h) if combine else run(h)) - flow)",
            "np.linalg.norm((2 * run(h / 2) - run(h) if combine else run(h)) - flow)/np.linalg.norm(flow)",
            "right up to a constant factor: the distance itself is asked for",
        ),
        ("for h in hs]", "for h in (0.02, 0.01, 0.005)]", "`errors` gives the same whatever `hs` is"),
        ("return np.array([", "print([", "not answered yet: `errors` returns nothing"),
        (
            "    return np.array([",
            "    return np.array([str(1.0)] + [",
            "must hold numbers; yours is of the type ndarray",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# More of what passes for an answer: another method's, half of a formula, a flow that is not solved, state that is kept.
for _name, _answers in {
    "pair": [
        (
            None,
            "def pair(f,x,h,a):\n    y = x + (1+a)*h*f(x)\n    return y + (1-a)*h*f((x+y)/2)",
            "this is not where two steps of Euler's method lead",
        ),
        (
            None,
            "def pair(f,x,h,a):\n    y = x + (1+a)*h*f(x)\n    return x + (1-a)*h*f(y)",
            "this is not where two steps of Euler's method lead",
        ),
        (
            None,
            "def pair(f,x,h,a):\n    return x + 2*h*f(x) + (1-a**2)*h*h*(f(x+f(x)*1e-6)-f(x))/1e-6",
            "this is not where two steps of Euler's method lead",
        ),
    ],
    "factor": [
        (None, "factor = sp.Function('f')(a,h,lam)", "`factor` is no number where all its symbols have values"),
        (
            None,
            "factor = sp.Matrix([(1 - (1 + a) * h * lam) * (1 - (1 - a) * h * lam)])",
            "`factor` must be a formula in SymPy's symbols; yours is of the type Matrix",
        ),
    ],
    "local": [
        (None, "k = sp.nan", "`k` is not finite at {a:"),
        (None, "k = lambda a: 1+a**2", "`k` must be a formula in SymPy's symbols; yours is of the type functio"),
        (None, "k = (1+a)**2", "on f(x) = x flow and pair differ by another multiple of h²"),
    ],
    "error": [
        (
            None,
            "error = -(1 + a**2) / 2 * h * lam**2 * T * sp.exp(-lam * T) + sp.Function('f')(T)*0 + h*sp.sin(h)",
            "the first term only: `error` must be h times something without h",
        ),
        (
            None,
            "error = (1 + a**2) / 2 * h * lam**2 * T * sp.exp(-lam * T)",
            "the sign: it is the run minus the flow. Which of them is lower?",
        ),
        (None, "error = -(1 - a**2) / 2 * h * lam**2 * T * sp.exp(-lam * T)", "pairs tends to the error"),
    ],
    "limit": [
        (
            None,
            "def limit(a, lam):\n    return 2/(1-a*a)/lam if a<=.5 else (1 - np.sqrt(abs(2 * a**2 - 1))) / (1-a*a) / lam",
            "a step longer than your",
        ),
        (
            None,
            "def limit(a, lam):\n    hs=np.linspace(0,20,20001)[1:]\n    f=(1-(1+a)*hs*lam)*(1-(1-a)*hs*lam)\n    return hs[np.argmax(abs(f)>1)]",
            "x grows already at h =",
        ),
        (
            None,
            "def limit(a, lam):\n    return 2/(1-a*a)/lam if 2*a*a<=1 else (1 + np.sqrt(2 * a**2 - 1)) / (1-a*a) / lam",
            "x grows already at h =",
        ),
    ],
    "errors": [
        (
            "np.linalg.norm((2 * run(h / 2) - run(h) if combine else run(h)) - flow)",
            "abs(2*np.linalg.norm(run(h/2)-flow) - np.linalg.norm(run(h)-flow)) if combine else np.linalg.norm(run(h)-flow)",
            "with `combine`: the slope is right, but the errors are not those of",
        ),
        (
            "middle = x + (1 + a) * h * pendulum(x)",
            "middle = x + (1 - a) * h * pendulum(x)",
            "without `combine`: the slope must be",
        ),
        (
            "start = np.array([1.0, 0.0])",
            "start = np.array([0.0, 1.0])",
            "without `combine`: the slope is right, but the errors are not those of",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# Arguments that are clipped, tables for the cases that are tested, parts of a list.
for _name, _answers in {
    "pair": [
        ("    x = x + (1 + a)", "    h = min(h, 0.05)\n    x = x + (1 + a)", "the same whatever `h` is"),
        ("    x = x + (1 + a)", "    a = min(a, 0.2)\n    x = x + (1 + a)", "the same whatever `a` is"),
    ],
    "errors": [
        ("2 * run(h / 2) - run(h)", "2 * run(h) - run(2 * h)", "with `combine`: the slope"),
        ("2 * run(h / 2) - run(h)", "run(h / 2)", "half the step, by itself"),
        ("2 * run(h / 2) - run(h)", "(4 * run(h / 2) - run(h)) / 3", "cancels an error of order h²"),
        ("range(round(1 / h))", "range(1 // h)", "must be an integer"),
        (
            "np.linalg.norm((2 * run(h / 2) - run(h) if combine else run(h)) - flow)",
            "abs((2 if combine else 0) * np.linalg.norm(run(h / 2) - flow) - np.linalg.norm(run(h) - flow))",
            "not those of 2·x(h/2) − x(h)",
        ),
    ],
    "limit": [
        ("2 / product / lam", "1.999 / product / lam", "is still safe"),
        ("2 / product / lam", "2.001 / product / lam", "by a little"),
        ("/ product / lam", "/ product * lam", "the factor is above 1 there"),
        ("2 * a**2 <= 1", "a <= 0.7", "`limit` is not a number"),
    ],
}.items():
    WRONG[_name] += _answers

# Right answers in other styles.
OTHER = {
    "arrays changed in place, lists, SymPy's own ways": {
        "pair": """
def pair(f, x, h, a):
    for size in (1 + a, 1 - a):
        x += size * h * f(x)
    return list(x)
""",
        "factor": """
y = sp.symbols('h') * sp.symbols('lambda')
factor = sp.expand(1 - 2 * y + (1 - sp.symbols('a')**2) * y**2)
""",
        "local": "k = sp.limit((sp.exp(2 * h) - (1 + (1 + a) * h) * (1 + (1 - a) * h)) / h**2, h, 0)",
        "error": "error = sp.Rational(-1, 2) * T * lam**2 * h * (1 + a**2) / sp.exp(T * lam) + sp.O(h**2)",
        "limit": """
def limit(a, lam):
    from scipy.optimize import brentq
    product = sp.Rational(1) - sp.Float(a)**2
    first = 2 / product
    roots = [y for y in np.roots([float(product), -2, 2]) if abs(y.imag) < 1e-12] if 2 * a * a > 1 else []
    return min([first, *[sp.Float(y.real) for y in roots]]) / lam
""",
        "errors": """
class Errors:
    def __call__(self, sizes, part, combine=False):
        from scipy.integrate import odeint
        flow = odeint(lambda x, t: pendulum(x), [1, 0], [0, 2], rtol=1e-12, atol=1e-12)[-1]

        def run(h):
            state = np.array([1.0, 0.0])
            for n in range(int(round(2 / h))):
                state += (1 + part if n % 2 == 0 else 1 - part) * h * pendulum(state)
            return state

        return tuple(np.hypot(*((2 * run(h / 2) - run(h)) * combine + run(h) * (not combine) - flow)) for h in sizes)


errors = Errors()
""",
    },
    "by a sum and by roots": {
        "local": "n = sp.Symbol('n')\nk = sp.Sum(a**n, (n, 0, 2)) - a",
        "limit": "def limit(a, lam):\n    if 2 * a * a <= 1:\n        return (2 + 0j) / (1 - a * a) / lam\n    return min(np.roots([1 - a * a, -2, 2])) / lam",
    },
}
