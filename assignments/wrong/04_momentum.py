"""Common wrong answers to assignment 4; see 05_adam.py for the form."""

WRONG = {
    "step": [
        ("(1 - beta) * gradient", "gradient", "heavy ball without its factor 1−β"),
        (
            "m = beta * m + (1 - beta) * gradient\n    return theta - h * ((1 - alpha) * gradient + alpha * m), m",
            "return theta - h * ((1 - alpha) * gradient + alpha * m), beta * m + (1 - beta) * gradient",
            "before it is used",
        ),
        (
            "((1 - alpha) * gradient + alpha * m)",
            "(alpha * gradient + (1 - alpha) * m)",
            "changed places",
        ),
        ("((1 - alpha) * gradient + alpha * m)", "m", "enters directly"),
        ("theta - h", "theta + h", "uphill"),
        ("alpha * m), m", "alpha * m)", "must return theta and m"),
    ],
    "weights": [
        ("(1 - beta) * beta", "beta", "the factor 1−β"),
        ("    found[0] += 1 - alpha\n", "", "enters directly"),
        ("return found", "return found[::-1]", "newest first"),
        ("np.arange(count)", "np.arange(1, count + 1)", "not the weights"),
    ],
    "lag": [
        ("alpha * beta / (1 - beta)", "beta / (1 - beta)", "the memory's own lag"),
        ("alpha * beta", "alpha", "count from 0"),
        ("alpha * beta", "(1 - alpha) * beta", "only the rest is memory"),
        ("alpha * beta", "alpha**2 * beta", "not the mean age"),
    ],
    "penalty": [
        ("1 + 2", "2", "only the memory contribution"),
        ("2 * alpha * beta", "2 * beta", "the damped heavy ball's"),
        ("1 + 2 * ", "1 + ", "counts twice"),
        ("1 + 2", "1 - 2", "looks back uphill"),
        ("(1 - beta)", "(1 - beta) ** 2", "another K"),
    ],
    "matrix": [
        ("beta]])", "beta]]).T", "columns and rows"),
        (
            "1 - y * (1 - alpha * beta), -y * alpha * beta",
            "1 - y * (1 - alpha), -y * alpha",
            "before theta moves",
        ),
        ("[1 - beta, beta]", "[1, beta]", "the second row"),
        ("-y * alpha * beta", "-y * beta", "the first row"),
    ],
    "experiment": [
        ("m = g + h / (1 - beta) * hessian(theta) @ g", "m = 0 * g", "the memory is empty"),
        ("-g - factor", "-g + factor", "doubles the error"),
        ("factor * h / 2 * K", "factor * h / 2", "must be 2"),
        ("1 + 2 * alpha * beta / (1 - beta)", "(1 + beta) / (1 - beta)", "must be 2"),
        ("np.array(found)", "np.array(found[1:])", "must have the shape"),
        ("np.array([0.9, 1.5])", "np.array([1.0, 1.5])", "not those of this method"),
    ],
}

# Found by trying to get past the checks.
for _name, _answers in {
    "lag": [("lag = ", "lag = sp.I * beta + ", "not real")],
    "penalty": [("penalty = ", "penalty = sp.I * beta + ", "not real")],
    "experiment": [
        (
            "return np.array(found)",
            "return np.array(found) if factor == 0 else errors(hs, 0, time) * hs",
            "not those with that penalty",
        ),
        (
            "return np.array(found)",
            "return np.array(found) if factor == 0 else 50 * np.asarray(hs) ** 2",
            "not those with that penalty",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# Invented against the checks: arguments that are not used, other sizes, half of a correction, text, nothing at all.
for _name, _answers in {
    "step": [
        (
            "return theta - h * ((1 - alpha) * gradient + alpha * m), m",
            "print(theta)",
            "not answered yet: `step` returns nothing",
        ),
        (
            "return theta - h * ((1 - alpha) * gradient + alpha * m), m",
            "return m, theta - h * ((1 - alpha) * gradient + alpha * m)",
            "must return theta and m, in this order",
        ),
        ("+ alpha * m), m", "+ alpha * m), gradient", "theta is right, but return m as the next step needs it"),
        (
            "return theta - h * ((1 - alpha) * gradient + alpha * m), m",
            "return theta - ((1 - alpha) * gradient + alpha * m), m",
            "the step size h is missing",
        ),
        ("    m = beta", "    beta = 0.9\n    m = beta", "`step` gives the same whatever `beta` is"),
        (
            "return theta - h * ((1 - alpha) * gradient + alpha * m), m",
            "return np.array([theta - h * ((1 - alpha) * gradient + alpha * m), m]) + 1j",
            "the result of `step` is not real",
        ),
        ("(1 - alpha) * gradient", "gradient", "the newest gradient enters with"),
    ],
    "weights": [
        ("return found", "print(found)", "not answered yet: `weights` returns nothing"),
        ("return found", "return -found", "a weight here is positive: the step is −h times the sum"),
        ("    found = alpha", "    alpha = 0.7\n    found = alpha", "`weights` gives the same whatever `alpha` is"),
        ("    found = alpha", "    count = 2\n    found = alpha", "the result of `weights` must have the shape ("),
        ("return found", "return found.cumsum()", "these are sums of weights"),
    ],
    "lag": [
        (None, "lag = alpha * beta / (1 - beta)**2", "the age of an average is β/("),
        (None, "lag = 9", "`lag` does not depend on alpha, beta"),
    ],
    "penalty": [
        (None, "penalty = -(1 + 2 * alpha * beta / (1 - beta))", "`penalty` has the wrong sign"),
        (None, "penalty = 2*(1 + 2 * alpha * beta / (1 - beta))", "`penalty` is right up to a constant factor"),
        (None, "penalty = 1 + 2 * (1-alpha) * beta / (1 - beta)", "−α have changed places: α belongs to the memory"),
        (None, "penalty = 19", "`penalty` does not depend on alpha, beta"),
    ],
    "matrix": [
        ("return np.array(", "print(", "not answered yet: `matrix` returns nothing"),
        ("    return", "    y = 0.1\n    return", "`matrix` gives the same whatever `y` is"),
        (
            "return np.array([[1 - y * (1 - alpha * beta), -y * alpha * beta], [1 - beta, beta]])",
            "return np.array([[beta, 1 - beta], [-y * alpha * beta, 1 - y * (1 - alpha * beta)]])",
            "θ comes first, and then m, in rows and in columns",
        ),
        (
            "return np.array([[1 - y * (1 - alpha * beta), -y * alpha * beta], [1 - beta, beta]])",
            "return np.array([1 - y * (1 - alpha * beta), -y * alpha * beta, 1 - beta, beta])",
            "the result of `matrix` must have the shape (",
        ),
        ("-y * alpha * beta", "y * alpha * beta", "a sign: a step goes against the gradient"),
    ],
    "experiment": [
        (
            "np.linalg.norm(theta - flow)",
            "np.abs(theta - flow).max()",
            "the distance is the root of the sum of the squares",
        ),
        (
            "max(largest, np.linalg.norm(theta - flow))",
            "np.linalg.norm(theta - flow)",
            "at the end; the largest over all steps is asked for",
        ),
        ("np.linalg.norm(theta - flow)", "np.linalg.norm(theta - flow)**2", "that is the square of the distance"),
        (
            "m = g + h / (1 - beta) * hessian(theta) @ g",
            "m = g",
            "start; a run that came from uphill remembers larger ones",
        ),
        ("for h in hs", "for h in (2e-3, 1e-3, 5e-4)", "`errors` gives the same whatever `hs` is"),
        ("factor * h / 2 * K", "factor * h / 4 * K", "that is half the penalty"),
        ("range(round(time / h))", "range(200)", "does `time` reach the run?"),
        ("range(round(time / h))", "range(round(0.2 / h))", "does `time` reach the run?"),
        ("factor * h / 2 * K", "factor * h * K", "that is twice the penalty"),
        ("    def field", "    factor = 1\n    def field", "it has the penalty: `factor` does not reach it"),
        ("return np.array(found)", "print(np.array(found))", "not answered yet: `errors` returns nothing"),
    ],
}.items():
    WRONG[_name] += _answers

# More of what passes for an answer: another method's, half of a formula, a flow that is not solved, state that is kept.
for _name, _answers in {
    "step": [
        (
            None,
            "def step(theta, gradient, m, h, alpha, beta):\n    new = beta * m + (1 - beta) * gradient\n    return theta - h * new, (1 - alpha) * gradient + alpha * new",
            "that is the damped heavy ball; the newest gradient also enters directl",
        ),
        (
            None,
            "def step(theta, gradient, m, h, alpha, beta):\n    m = beta * m + (1 - beta) * gradient\n    return {'theta':theta - h * ((1 - alpha) * gradient + alpha * m), 'm':m}",
            "`step` must return theta and m, in this order",
        ),
        (
            None,
            "def step(theta, gradient, m, h, alpha, beta):\n    m = beta * m + (1 - beta) * gradient / (1-beta)\n    return theta - h * ((1 - alpha) * gradient + alpha * m), m",
            "−β: the newest gradient enters m with that factor",
        ),
    ],
    "weights": [
        (
            None,
            "def weights(count, alpha, beta):\n    w = (1-alpha)*beta**np.arange(count)\n    w[0] += alpha\n    return w",
            "these are not the weights",
        ),
        (
            None,
            "def weights(count, alpha, beta):\n    w = alpha*(1-beta)*beta**np.arange(count)\n    w[0] += 1-alpha\n    w[-1] += 1-w.sum()\n    return w",
            "these are not the weights",
        ),
        (
            None,
            "def weights(count, alpha, beta):\n    w = beta*(1-alpha)*alpha**np.arange(count)\n    w[0] += 1-beta\n    return w",
            "these are not the weights of the last",
        ),
    ],
    "lag": [
        (None, "lag=beta/(1-beta)*(1-alpha)", "−α has age zero, and only the rest is memory"),
        (None, "lag=beta*alpha/(1-alpha)", "this is not the mean age under the weights of a step"),
        (None, "lag=alpha/(1-beta)", "the newest gradient has age zero: count from"),
    ],
    "penalty": [
        (None, "penalty=1+alpha*beta/(1-beta)", "lag, since the penalty of one half step is h/"),
        (None, "penalty=(1+alpha*beta)/(1-alpha*beta)", "the engine finds another K"),
        (None, "penalty=alpha*(1+beta)/(1-beta)", "the engine finds another K"),
    ],
    "matrix": [
        (
            None,
            "def matrix(y, alpha, beta):\n    return np.array([[1 - y * (1 - alpha * beta), -y * alpha * beta], [y*(1 - beta), beta]])",
            "the second row: the new m, in units of λ",
        ),
        (
            None,
            "def matrix(y, alpha, beta):\n    return np.array([[1 - y, -y * alpha * beta], [1 - beta, beta]])",
            "the first row: the new theta",
        ),
        (
            None,
            "def matrix(y, alpha, beta):\n    return np.array([[1 - y * (1 - beta * alpha), -y * beta * alpha], [1 - alpha, alpha]])",
            "the second row: the new m, in units of λ",
        ),
    ],
    "experiment": [
        (
            "h / (1 - beta) * hessian",
            "h * beta / (1 - beta) * hessian",
            "the gradients of steps −1, −2",
        ),
        ("K = 1 + 2 * alpha * beta / (1 - beta)", "K = 1 + alpha * beta / (1 - beta)", "with the penalty (factor"),
        ("K = 1 + 2 * alpha * beta / (1 - beta)", "K = 1", "with the penalty (factor"),
    ],
}.items():
    WRONG[_name] += _answers

# Small slips: a count that is off by one, a factor close to one, a case that is left out.
for _name, _answers in {
    "experiment": [
        ("round(time / h)", "round(time / h) + 1", "yours is one too many"),
        ("round(time / h)", "round(time / h) - 1", "yours is one too few"),
        ("return np.array(found)", "return 1.04 * np.array(found)", "your errors come to 1.040 times those"),
    ],
}.items():
    WRONG[_name] += _answers

# Arguments that are clipped, tables for the cases that are tested, parts of a list.
for _name, _answers in {
    "step": [("    m = beta", "    beta = min(beta, 0.85)\n    m = beta", "theta is not what the formula gives")],
    "matrix": [("    return np", "    y = min(y, 1.9)\n    return np", "the same whatever `y` is")],
    "experiment": [("1 + 2 * alpha * beta / (1 - beta)", "3.05", "with the penalty (factor 1): the slope")],
}.items():
    WRONG[_name] += _answers

# Right answers in other styles.
OTHER = {
    "dictionaries, recursions, and matrices": {
        "step": """
def step(theta, gradient, m, h, alpha, beta):
    m *= beta
    m += (1 - beta) * gradient
    theta -= h * (gradient + alpha * (m - gradient))
    return np.array([theta, m])
""",
        "weights": """
def weights(count, alpha, beta):
    w = []
    for age in range(count):
        w.append((1 - alpha) * (age == 0) + alpha * (1 - beta) * beta**age)
    return tuple(w)
""",
        "lag": """
n = sp.Symbol('n', integer=True)
x = sp.Symbol('x')
lag = (x * sp.diff(alpha * (1 - x) / (1 - x) * 1 / (1 - x), x) * (1 - x)).subs(x, beta).simplify()
""",
        "penalty": "penalty = 1.0 + 2.0 * lag",
        "matrix": """
def matrix(y, alpha, beta):
    new = np.matrix([[1 - beta, beta]])
    first = np.matrix([[1, 0]]) - y * ((1 - alpha) * np.matrix([[1, 0]]) + alpha * new)
    return np.vstack([first, new])
""",
        "experiment": """
def errors(hs, factor, time):
    from scipy.integrate import solve_ivp
    K = float(penalty.subs({alpha: 0.7, beta: 0.6})) if hasattr(penalty, "subs") else 1 + 2.1
    def largest(h):
        steps = int(round(time / h))
        def rhs(t, x):
            return -gradient(x) - factor * h / 2 * K * hessian(x) @ gradient(x)
        flow = solve_ivp(rhs, (0, steps * h), [0.9, 1.5], rtol=1e-11, atol=1e-13, t_eval=h * np.arange(steps + 1), max_step=h * 20).y.T
        x = np.array([0.9, 1.5])
        memory = gradient(x) + h / 0.4 * hessian(x) @ gradient(x)
        far = 0
        for n in range(steps):
            x, memory = step(x.copy(), gradient(x), memory.copy(), h, 0.7, 0.6)
            far = max(far, np.linalg.norm(x - flow[n + 1]))
        return far
    return [largest(h) for h in hs]
""",
    },
    "a series, and a mean of penalties": {
        "lag": "n = sp.Symbol('n')\nlag = alpha * sp.Sum(n * (1 - beta) * beta**n, (n, 0, sp.oo))",
        "penalty": "penalty = (1 - alpha) + alpha * (1 + beta) / (1 - beta)",
    },
}
