"""Common wrong answers to assignment 2; see 05_adam.py for the form."""

WRONG = {
    "factor": [
        (" + c * h**2 * lam**2", "", "that is Euler's"),
        ("+ c", "- c", "two minus signs"),
        (None, "factor = sp.exp(-h * lam)", "the flow's own factor"),
        ("c * h**2", "c * h", "its h is missing"),
    ],
    "rate": [
        ("- c", "", "c is missing"),
        ("sp.Rational(1, 2)", "1", "coefficient of h^1"),
        ("sp.Rational(1, 3) - c", "sp.Rational(1, 3) - c / 2", "coefficient of h^2"),
        (
            "[lam, lam**2 * (sp.Rational(1, 2) - c), lam**3 * (sp.Rational(1, 3) - c)]",
            "[-lam, lam**2 * (c - sp.Rational(1, 2)), lam**3 * (c - sp.Rational(1, 3))]",
            "the signs",
        ),
        (None, "rate = lam", "a list of three"),
    ],
    "terms": [
        ("a = c - sp.Rational(1, 2)", "a = c", "already has half"),
        ("a = c - sp.Rational(1, 2)", "a = sp.Rational(1, 2) - c", "wrong sign"),
        ("b = sp.Rational(1, 3) - c", "b = -sp.Rational(1, 6) + 0 * c", "`b`"),
        ("- c / 2 + sp.Rational(1, 12)", "- sp.Rational(1, 6)", "`d`"),
        ("c**2 / 2", "c**2", "`d`"),
    ],
    "penalty": [
        ("1 - 2 * c", "2 * c - 1", "the sign"),
        ("/ 4", "/ 2", "a factor of 2"),
        ("1 - 2 * c", "1 - c", "not the method's"),
    ],
    "best": [
        ("sp.Rational(1, 2)", "1", "order 1 only"),
        ("order = 2", "order = 3", "the order is"),
        ("sp.Rational(1, 2)", "0", "order 1 only"),
    ],
    "errors": [
        ("c - 1 / 2", "c", "with 2 terms"),
        ("c - 1 / 2", "1 / 2 - c", "with 2 terms"),
        ("1 / 3 - c", "1 / 3", "with 3 terms"),
        ("range(round(1 / h))", "range(round(0.5 / h))", "not those of this method"),
        ("np.array(found)", "np.array(found) * 0", "positive"),
    ],
}

# Found by trying to get past the checks.
for _name, _answers in {
    "penalty": [("penalty = ", "penalty = sp.I * c + ", "not real")],
    "rate": [("rate = [lam,", "rate = [lam + sp.I * lam,", "not real")],
    "terms": [
        ("d = c**2 / 2 - c / 2 + sp.Rational(1, 12)", "d = c**2 / 2 - c / 2 + sp.Rational(1, 12) + c / 1000", "`d`")
    ],
    "errors": [
        (
            "return np.array(found)",
            "return np.array(found) * (1 + 0.1 * (terms == 3))",
            "with 3 terms: the slope is right",
        ),
        (
            "return np.array(found)",
            "return np.array(found) if terms == 1 else errors(hs, 1, c) * np.asarray(hs) ** (terms - 1)",
            "with 2 terms: the slope is right",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# Invented against the checks: arguments that are not used, other sizes, half of a correction, text, nothing at all.
for _name, _answers in {
    "rate": [
        (
            None,
            "rate = [lam, h * lam**2 * (sp.Rational(1, 2) - c), h**2 * lam**3 * (sp.Rational(1, 3) - c)]",
            "]` contains h; use only c, lambda",
        ),
        (None, "rate = [str(lam), '', '']", "be a formula in SymPy's symbols; yours is of the type str"),
        (None, "rate = [1, (sp.Rational(1, 2) - c), (sp.Rational(1, 3) - c)]", "]` does not depend on lambda"),
        (
            None,
            "rate = [lam**3 * (sp.Rational(1, 3) - c), lam**2 * (sp.Rational(1, 2) - c), lam]",
            "is not that of −ln(factor)/h",
        ),
        (None, "rate = [...,...,...]", "not answered yet"),
    ],
    "terms": [
        ("a = c - sp.Rational(1, 2)", "a = h*(c - sp.Rational(1, 2))", "`a` contains h; use only c"),
        ("a = c - sp.Rational(1, 2)", "a = -0.3", "`a`: flow and step differ in h²"),
        (
            "a = c - sp.Rational(1, 2)",
            "a = sp.I*c + c - sp.Rational(1, 2)",
            "`a` is not real where all its symbols are",
        ),
        ("a = c - sp.Rational(1, 2)", "a = 'c - 1/2'", "be a formula in SymPy's symbols; yours is of the type str"),
        ("d = c**2 / 2 - c / 2 + sp.Rational(1, 12)", "d = ...", "not answered yet"),
    ],
    "penalty": [
        (None, "penalty = sp.Rational(1,4)", "`penalty` does not depend on c"),
        (None, "penalty = h*(1 - 2 * c) / 4", "`penalty` contains h; use only c"),
    ],
    "best": [
        ("best = sp.Rational(1, 2)", "best = '1/2'", "`best` must be a number; yours is of the type str"),
        ("best = sp.Rational(1, 2)", "best = c", "of functions whose arguments have the names of its symbols"),
        ("best = sp.Rational(1, 2)", "best = [1/2]", "`best` must be a number; yours is of the type list"),
        ("order = 2", "order = '2'", "`order` must be a number; yours is of the type str"),
        ("order = 2", "order = None", "not answered yet"),
    ],
    "errors": [
        (
            "np.linalg.norm(run - flow)",
            "np.abs(run - flow).max()",
            "the distance is the root of the sum of the squares",
        ),
        (
            "np.linalg.norm(run - flow)",
            "np.linalg.norm(run - flow) / np.linalg.norm(flow)",
            "right up to a constant factor: the distance itself is asked for",
        ),
        ("np.linalg.norm(run - flow)", "np.linalg.norm(run - flow)**2", "that is the square of the distance"),
        ("np.linalg.norm(run - flow)", "abs(run - flow)[0]", "coordinate of the difference"),
        ("    found = []", "    c = 0.25\n    found = []", "`errors` gives the same whatever `c` is"),
        ("for h in hs:", "for h in (0.04, 0.02, 0.01):", "`errors` gives the same whatever `hs` is"),
        ("return np.array(found)", "print(found)", "not answered yet: `errors` returns nothing"),
        ("if terms > 1:", "if True:", "the errors with 2 terms"),
        ("np.array(found)", "np.array(found) * 1j", "the result of `errors` is not real"),
    ],
}.items():
    WRONG[_name] += _answers

# More of what passes for an answer: another method's, half of a formula, a flow that is not solved, state that is kept.
for _name, _answers in {
    "factor": [
        (None, "factor = 1 - h*lam*(1+c*h*lam)", "the sign of the last term: two minus signs meet in it"),
        (None, "factor = (1-h*lam)*(1-c*h*lam)", "the step itself begins at x"),
    ],
    "rate": [
        (
            None,
            "rate=[lam, lam**2*(sp.Rational(1,2)-c), lam**3*(sp.Rational(1,3)-c), 0]",
            "`rate` must be a list of three formulas",
        ),
        (
            None,
            "rate={0:lam,1:lam**2*(sp.Rational(1,2)-c),2:lam**3*(sp.Rational(1,3)-c)}",
            "`rate` must be a list of three formulas",
        ),
    ],
    "terms": [
        (
            "b = sp.Rational(1, 3) - c",
            "b = sp.Rational(1, 6) - c",
            "`b`: on f(x) = x flow and step differ in h³. In ẍ = F'F the field is",
        ),
        (
            "d = c**2 / 2 - c / 2 + sp.Rational(1, 12)",
            "d = c**2 / 2 - sp.Rational(1, 6)",
            "`d`: on a field with f'' ≠ 0 flow and step differ in h³",
        ),
    ],
    "penalty": [
        (None, "penalty=(c-sp.Rational(1,2))/2", "the sign: gradient flow is minus"),
        (None, "penalty=1-2*c", "`penalty` is right up to a constant factor"),
    ],
    "best": [
        (
            None,
            "best=sp.Rational(1,2)\norder=sp.Integer(1)",
            "the order is the slope of the error against the *leading-order* flow:",
        ),
        (None, "best=0.4999\norder=2", "the flow of f is met to order"),
    ],
    "errors": [
        ("flow + h / 2 * k1", "flow + h * k1", "term: the slope is right, but the errors are not those of this method"),
        ("found = []", "terms=min(terms,2)\n    found = []", "the errors with 2 terms"),
    ],
}.items():
    WRONG[_name] += _answers

# Arguments that are clipped, tables for the cases that are tested, parts of a list.
for _name, _answers in {
    "errors": [
        ("h / 6 * (k1 + 2 * k2 + 2 * k3 + field(flow + h * k3, h))", "h * k2", "are not those of this method"),
        ("1 / 12", "1 / 13", "with 3 terms: "),
        ("1 / 3 - c", "c - 1 / 3", "An error of order h² is left"),
        (
            None,
            "def errors(hs, terms, c):\n    from scipy.integrate import solve_ivp\n    return [solve_ivp(lambda t, x: f(x) + h * a * df(x, f(x)), (0, 1), [1.5, 1.0]).y[0, -1] for h in hs]",
            "a formula in symbols",
        ),
        ("    found = []", "    c = max(c, 0.3)\n    found = []", "the same whatever `c` is"),
    ],
}.items():
    WRONG[_name] += _answers

# Right answers in other styles.
OTHER = {
    "series, integrals carried out, tuples": {
        "factor": """
X = sp.Symbol('X')
factor = sp.diff(X - lam * h * (X - c * h * lam * X), X)
""",
        "rate": """
_mu = sp.series(-sp.log(1 - h * lam + c * h**2 * lam**2) / h, h, 0, 3).removeO()
rate = tuple(sp.expand(_mu).coeff(h, n) for n in range(3))
""",
        "terms": """
a = -0.5 + c
b = sp.integrate(1, (sp.Symbol('t'), c, sp.Rational(1, 3)))
d = sp.factor(6 * c**2 - 6 * c + 1) / 12
""",
        "penalty": "penalty = -a / 2",
        "best": """
from fractions import Fraction
best, order = Fraction(1, 2), np.float64(2.0)
""",
        "errors": """
def errors(hs, terms, c):
    from scipy.integrate import solve_ivp
    coefficients = np.array([1, c - 0.5, 1 / 3 - c, (6 * c * c - 6 * c + 1) / 12]) * (np.array([1, 2, 3, 3]) <= terms)

    def one(h):
        def field(t, x):
            k = f(x)
            return np.array([1, h, h * h, h * h]) * coefficients @ [k, df(x, k), df(x, df(x, k)), ddf(x, k, k)]

        x = np.array([1.5, 1.0])
        for n in range(round(1 / h)):
            ahead = x + c * h * f(x)
            x += h * f(ahead)
        y = solve_ivp(field, [0, 1], [1.5, 1.0], method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
        return ((x - y) ** 2).sum() ** 0.5

    return list(map(one, hs))
""",
    },
    "a matrix, and a complex number that is real": {
        "rate": "rate = sp.Matrix([lam, lam**2 * (sp.Rational(1, 2) - c), lam**3 * (sp.Rational(1, 3) - c)])",
        "best": "best, order = 0.5 + 0j, True + True",
    },
}
