"""Common wrong answers to assignment 6; see 05_adam.py for the form."""

WRONG = {
    "measure": [
        ("2 if factor else 1", "2", "does not reach the correction"),
        ("2 if factor else 1", "1 if factor else 2", "you predict the slope 2"),
        ("slopes = (2, 1)", "slopes = (3, 2)", "you predict the slope 3"),
        ("slopes = (2, 1)", "slopes = (1, 2)", "larger by about 1"),
        ("8e-3, 4e-3, 2e-3, 1e-3", "2e-3, 1.6e-3, 1.25e-3, 1e-3", "less than a factor of 8"),
        ("8e-3, 4e-3, 2e-3, 1e-3", "1e-3, 2e-3, 4e-3, 8e-3", "must fall"),
        (
            None,
            "hs = [0.8, 0.4, 0.2, 0.1]\nslopes = (2, 1)\ndef measure(hs, factor):\n    return np.array(hs) ** (1 + factor)",
            "is that measured?",
        ),
        (
            None,
            "hs = [8e-3, 4e-3]\nslopes = (2, 1)\ndef measure(hs, factor):\n    return hs",
            "four or more",
        ),
    ],
    "interval": [
        (" / np.sqrt(n)", "", "how far single values spread"),
        ("t.ppf(0.975, n - 1)", "1.96", "the normal distribution's"),
        ("t.ppf(0.975, n - 1)", "2", "2 standard errors"),
        (", ddof=1", "", "with n − 1, not n"),
        (" / np.sqrt(n)", " / n", "by the root of n, not by n"),
        (
            None,
            "def interval(values):\n    half = 1.96 * np.std(values) / np.sqrt(len(values))\n    return np.mean(values) - half, np.mean(values) + half",
            "take Student's t instead of 1.96",
        ),
        ("0.975", "0.95", "on each side"),
        ("t.ppf(0.975, n - 1) * ", "", "one standard error"),
        (
            None,
            "def interval(values):\n    rng = np.random.default_rng(1)\n    means = rng.choice(values, (1000, len(values))).mean(axis=1)\n    return np.quantile(means, [0.025, 0.975])",
            "covers the mean in",
        ),
        (
            "np.mean(values) - half, np.mean(values) + half",
            "np.mean(values) + half, np.mean(values) - half",
            "the lower end first",
        ),
    ],
    "seeds": [
        ("default_rng(seed)", "default_rng()", "the same number for the same seed"),
        ("default_rng(seed)", "default_rng(1)", "the same for every seed"),
        ("(seed, 1 / 2)", "(seed, 0)", "the control also shows the effect"),
        ("(seed, 0)", "(seed, 1 / 2)", "neither is seen"),
        ("smallest = 0.005", "smallest = 0.5", "neither is seen"),
        ("smallest = 0.005", "smallest = 0", "must be positive"),
        (
            "rng.uniform(0, 0.2), rng.uniform(0.6, 0.8)",
            "rng.normal(), rng.normal()",
            "decides nothing",
        ),
    ],
}

# Invented against the checks: arguments that are not used, other sizes, half of a correction, text, nothing at all.
for _name, _answers in {
    "measure": [
        (
            None,
            "hs = [8e-3, 4e-3, 2e-3, 1e-3]\nslopes = (2, 1)\ndef measure(hs, factor):\n    print(hs)",
            "not answered yet: `measure` returns nothing",
        ),
        (
            None,
            "hs = [8e-3, 4e-3, 2e-3, 1e-3]\nslopes = (2, 1)\ndef measure(hs, factor):\n    e = {1: [1e-3, 2.51e-4, 6.2e-5, 1.6e-5], 0: [1e-2, 5.1e-3, 2.5e-3, 1.2e-3]}\n    return np.array(e[int(factor)])",
            "the result of `measure` must have the shape (",
        ),
        (
            None,
            "hs = [8e-3, 4e-3, 2e-3, 1e-3]\nslopes = (2, 1)\ndef measure(hs, factor):\n    return np.array([complex(1, 1)]*4)",
            "the result of `measure` is not real",
        ),
        ("slopes = (2, 1)", "slopes = 2", "`slopes` must have the shape ("),
        ("slopes = (2, 1)", "slopes = ('2', '1')", "`slopes` must hold numbers; yours is of the type tuple"),
        ("slopes = (2, 1)", "slopes = {2, 1}", "`slopes` must hold numbers; yours is of the type set"),
        ("hs = [8e-3, 4e-3, 2e-3, 1e-3]", "hs = '8e-3'", "`hs` must hold numbers; yours is of the type str"),
    ],
    "interval": [
        (
            "return np.mean(values) - half, np.mean(values) + half",
            "print(half)",
            "not answered yet: `interval` returns nothing",
        ),
        (
            "return np.mean(values) - half, np.mean(values) + half",
            "return half",
            "the result of `interval` must have the shape (",
        ),
        ("return np.mean(values) - half, np.mean(values) + half", "return -half, half", "the interval has to move by"),
        ("t.ppf(0.975, n - 1)", "t.ppf(0.975, n)", "Student's t here has n −"),
    ],
    "seeds": [
        (
            None,
            "smallest = 0.1\ndef effect(seed): print(seed)\ndef control(seed): return 0.0",
            "not answered yet: `effect` returns nothing",
        ),
        (
            None,
            "smallest = 0.1\ndef effect(seed): return 'yes'\ndef control(seed): return 0.0",
            "the result of `effect` must be a number; yours is of the type str",
        ),
        (
            None,
            "smallest = 0.1\ndef effect(seed): return float('nan')\ndef control(seed): return 0.0",
            "the result of `effect` is not finite",
        ),
        (
            None,
            "smallest = 0.1\ndef effect(seed): return [np.random.default_rng(seed).normal(1, 0.01)]\ndef control(seed): return 0.0",
            "must be a number; yours is of the type list",
        ),
        ("smallest = 0.005", "smallest = float('inf')", "`smallest` is not finite"),
        ("smallest = 0.005", "smallest = '0.005'", "`smallest` must be a number; yours is of the type str"),
        (
            None,
            "smallest = 0.1\ndef effect(seed): return 1j*np.random.default_rng(seed).normal(1, 0.01)\ndef control(seed): return 0.0",
            "must be a number; yours is of the type complex",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# Laws that are invented instead of measured, and effects in which nothing is drawn.
_HEAD = "hs = [8e-3, 4e-3, 2e-3, 1e-3]\nslopes = (2, 1)\ndef measure(hs, factor):\n    hs = np.array(hs)\n    return "
_CALM = "\nsmallest = 0.1\ndef control(seed): return 0.0\ndef effect(seed): return "
for _name, _answers in {
    "measure": [
        (
            None,
            _HEAD + "hs**(1 + factor) * (1 + 0.01 * np.random.default_rng(0).normal(size=len(hs)))",
            "measured again beside other step sizes",
        ),
        (
            None,
            _HEAD + "hs**(1 + factor) * np.random.default_rng(int(factor)).normal(1, 0.01, len(hs))",
            "measured again beside other step sizes",
        ),
        (
            None,
            _HEAD + "hs**(1 + factor) * np.random.normal(1, 0.01, len(hs))",
            "measured again beside other step sizes",
        ),
        (None, _HEAD + "hs**(1 + factor) * (1 + 0.01 * np.sin(1e5 * hs))", "the control times a power of h"),
        (None, _HEAD + "hs**(1 + factor) * (1 + hs * (1 + factor))", "an exact formula in h"),
        (
            "return bea",
            "return np.array(hs) ** factor * bea",
            "you predict the slope 2",
        ),
        (
            "terms = 2 if factor else 1\n    return bea",
            "terms = 1\n    return np.array(hs) ** factor * bea",
            "times a power of h",
        ),
        (
            None,
            _HEAD.replace("    return", "    N[0] += 1\n    return")
            + "hs**(1 + factor) * (1 + N[0] * np.sin(hs))\nN = [0]",
            "measured again beside other step sizes",
        ),
    ],
    "seeds": [
        (None, _CALM + "1 + 0.01 * np.sin(seed)", "computes with the seed"),
        (None, _CALM + "1 + 1e-4 * seed", "computes with the seed"),
        (None, _CALM + "1 + 1e-3 * (seed % 7)", "computes with the seed"),
        (None, _CALM + "[1.02, 0.98, 1.01, 1.05, 0.97, 1.03, 0.99, 1.0][seed]", "list index out of range"),
    ],
}.items():
    WRONG[_name] += _answers

# Small slips: a count that is off by one, a factor close to one, a case that is left out.
for _name, _answers in {
    "seeds": [
        (None, _CALM + "[1.02, 0.98, 1.01, 1.05, 0.97, 1.03, 0.99, 1.0][seed % 8]", "takes its number from a table"),
        (None, _CALM + "1 + 0.01 * np.random.default_rng(seed % 11).normal()", "takes its number from a table"),
        (None, _CALM + "1 + 0.01 * int(str(seed)[-1])", "takes its number from a table"),
    ],
}.items():
    WRONG[_name] += _answers

# Arguments that are clipped, tables for the cases that are tested, parts of a list.
for _name, _answers in {
    "interval": [
        ("t.ppf(0.975, n - 1)", "{4: 3.182446, 5: 2.776445, 9: 2.306004}.get(n, 2)", "standard errors are too few"),
        (
            "np.mean(values) - half, np.mean(values) +",
            "np.median(values) - half, np.median(values) +",
            "covers the mean",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# Right answers in other styles.
OTHER = {
    "gradient descent on a quartic, intervals by SciPy": {
        "measure": """
slopes = np.array([2.0, 1.0])
hs = 0.02 * 0.5 ** np.arange(4)
def measure(hs, factor):
    out = []
    for h in np.asarray(hs):
        x = 1.0
        for _ in range(int(round(1 / h))):
            x -= h * x**3
        y, dt = 1.0, 1 / 400
        f = lambda z: -(z**3) - factor * h / 2 * 3 * z**2 * z**3
        for _ in range(400):
            a = f(y)
            b = f(y + dt / 2 * a)
            c = f(y + dt / 2 * b)
            y += dt / 6 * (a + 2 * b + 2 * c + f(y + dt * c))
        out.append(abs(x - y))
    return out
""",
        "interval": """
def interval(values):
    from scipy import stats
    values -= 0.0
    values.sort()
    return list(stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values)))
""",
        "seeds": """
from fractions import Fraction
smallest = Fraction(1, 20)
effect = lambda seed: np.mean(np.random.default_rng(int(seed)).normal(0.4, 0.1, 50))
def control(seed):
    return np.float32(np.mean(np.random.default_rng(int(seed)).normal(0, 0.1, 50)))
""",
    },
    "errors of one step, tails of two sizes, Python's own generator": {
        "measure": "hs, slopes = (0.08, 0.04, 0.02, 0.01), [3, 2]\ndef measure(hs, factor):\n    return [abs(1 - h + factor * h * h / 2 - np.exp(-h)) for h in hs]",
        "interval": "def interval(values):\n    from scipy.stats import sem, t\n    n, middle = len(values), sum(values) / len(values)\n    return middle - t.ppf(0.96, n - 1) * sem(values), middle + t.ppf(0.99, n - 1) * sem(values)",
        "seeds": "import random\nsmallest = 0.1\ndef effect(seed):\n    draw = random.Random(seed)\n    return sum(draw.gauss(1, 0.1) for _ in range(30)) / 30\ndef control(seed):\n    return random.Random(seed).gauss(0, 0.01)",
    },
}
