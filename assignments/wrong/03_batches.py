"""Common wrong answers to assignment 3; see 05_adam.py for the form."""

WRONG = {
    "epoch": [
        ("range(r)", "range(1)", "`r` is missing"),
        (
            None,
            "def epoch(theta, gradients, order, h, r):\n    for _ in range(r):\n        for batch in order:\n            theta = theta - h * gradients[batch](theta)\n    return theta",
            "the whole order, r times",
        ),
        (
            None,
            "def epoch(theta, gradients, order, h, r):\n    for batch in order:\n        theta = theta - r * h * gradients[batch](theta)\n    return theta",
            "r times as long",
        ),
        (
            None,
            "def epoch(theta, gradients, order, h, r):\n    return theta - h * r * sum(gradients[b](theta) for b in order)",
            "at the epoch's start",
        ),
        ("in order", "in sorted(order)", "as `order` says"),
        ("theta - h", "theta + h", "uphill"),
        ("h * gradients", "h / len(order) * gradients", "not a part of it"),
    ],
    "second": [
        (
            None,
            "second = -(r * (r - 1) / 2 * (H_A * g_A + H_B * g_B) + r**2 * H_B * g_A)",
            "the sign",
        ),
        ("H_B * g_A", "H_A * g_B", "that is B first"),
        ("r * (r - 1) / 2 * (H_A * g_A + H_B * g_B) + ", "", "displace each other"),
        (" + r**2 * H_B * g_A", "", "B sees all"),
        (None, "second = H_B * g_A", "this is r = 1"),
        ("r * (r - 1) / 2", "r**2", "not r²"),
        ("r * (r - 1) / 2", "r * (r - 1)", "an earlier and a later one."),
    ],
    "correction": [
        (
            "-(H_A * g_A + H_B * g_B) / 4 + r * (H_B * g_A - H_A * g_B) / 4",
            "(H_A * g_A + H_B * g_B) / 4 - r * (H_B * g_A - H_A * g_B) / 4",
            "the sign",
        ),
        (
            None,
            "correction = (r - 1) / 4 * (H_A * g_A + H_B * g_B) + r / 2 * H_B * g_A",
            "own term of order h²",
        ),
        ("/ 4", "* r / 2", "2r steps."),
        ("/ 4", "* r / 4", "not 2."),
        (" + r * (H_B * g_A - H_A * g_B) / 4", "", "the mean over both orders"),
        ("(H_B * g_A - H_A * g_B)", "(H_A * g_B - H_B * g_A)", "B first and A second"),
        ("r * (", "(", "`r` is missing"),
    ],
    "shuffled": [
        ("sp.Rational(1, 4)", "-sp.Rational(1, 4)", "a reward"),
        ("sp.Rational(1, 4)", "sp.Rational(1, 2)", "half of the derivative"),
        ("sp.Rational(1, 4)", "r / 4", "r times as long"),
        ("sp.Rational(1, 4)", "1 / r / 4", "take part"),
        ("sp.Rational(1, 4)", "1", "up to a constant factor"),
    ],
    "drawn": [
        ("v = 1 - r", "v = r - 1", "the sign of v"),
        (None, "u, v = 1, 0", "that is r = 1"),
        (None, "u, v = 0, 1", "the reshuffled epoch"),
        (None, "u, v = 1 - r, r", "changed places"),
        ("v = 1 - r", "v = -r", "not r²"),
        ("u = r", "u = r**2", "is another one"),
    ],
    "gap": [
        ("h, r) for order", "h, 1) for order", "or by the time"),
        ("permutations(range(3))]", "[(0, 1, 2)]]", "that is one order"),
        ("- factor * h / 2", "+ factor * h / 2", "doubles the gap"),
        ("- factor * h / 2", "- factor * h * r / 2", "must be 3"),
        (
            "sum(hessian(theta, b) @ gradients[b] for b in range(3)) / 3",
            "sum(hessian(theta, b) for b in range(3)) @ sum(gradients) / 9",
            "must be 3",
        ),
        ("3 * r * h / 20", "3 * h / 20", "or by the time"),
        ("range(20)", "range(0)", "or by the time"),
    ],
}

# Found by trying to get past the checks.
for _name, _answers in {
    "epoch": [
        ("range(r)", "range(3)", "the same whatever `r` is"),
        ("range(r)", "range(len(order) - 1)", "the same whatever `r` is"),
        ("in order:", "in reversed(order):", "the order from its end"),
    ],
    "second": [
        ("second = ", "second = (r - 1) * (r - 2) * (r - 3) * (r - 5) * g_A + ", "another coefficient"),
        ("second = ", "second = sp.I * r + ", "not real"),
    ],
    "correction": [("correction = ", "correction = (r - 1) * (r - 2) * (r - 3) * (r - 5) + ", "does not end where")],
    "shuffled": [
        ("k = ", "k = 5 * sp.I + ", "not real"),
        ("k = ", "k = (r - 1) * (r - 2) * (r - 3) * (r - 5) + ", "another penalty"),
    ],
    "drawn": [
        ("u = r", "u = r + (r - 1) * (r - 2) * (r - 5)", "the mean over all"),
        ("v = 1 - r", "v = 1 - r + sp.I", "not real"),
    ],
    "gap": [
        (
            "return np.array(found)",
            "return np.array(found) if factor == 0 else gap(hs, r, 0) * hs",
            "not those with that penalty",
        ),
        (
            "return np.array(found)",
            "return np.array(found) if factor == 0 else 0.7 * np.asarray(hs) ** 3",
            "not those with that penalty",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# Invented against the checks: arguments that are not used, other sizes, half of a correction, text, nothing at all.
for _name, _answers in {
    "epoch": [
        (
            "theta = theta - h * gradients[batch](theta)\n    return theta",
            "theta = theta - h * gradients[batch](theta)\n    print(theta)",
            "not answered yet: `epoch` returns nothing",
        ),
        ("h * gradients", "0.1 * gradients", "`epoch` gives the same whatever `h` is"),
        ("gradients[batch](theta)", "gradient(theta, batch % 3)", "not those of the first cells"),
        (
            "return theta",
            "return theta.tolist().__str__()",
            "the result of `epoch` must hold numbers; yours is of the type str",
        ),
    ],
    "second": [
        (
            None,
            "second = r * (r + 1) / 2 * (H_A * g_A + H_B * g_B) + r**2 * H_B * g_A",
            "pairs of an earlier and a later one: not r(r+",
        ),
        (
            None,
            "second = r * (r - 1) / 2 * (H_A * g_A + H_B * g_B) + r * H_B * g_A",
            "each of B's r steps sees each of A's: r² pairs, not r",
        ),
        (
            None,
            "second = r * (r - 1) / 2 * (H_A * g_A + H_B * g_B) + r**2 * (H_B * g_A + H_A*g_B)/2",
            "that is the mean over both orders; this is one of them",
        ),
        (
            None,
            "second = (lambda r: r * (r - 1) / 2 * (H_A * g_A + H_B * g_B) + r**2 * H_B * g_A)(3)",
            "or that was overwritten by a number",
        ),
        (None, "second = sp.Sum(0*r, (r, 1, 3))", "`second` does not depend on g_A, g_B, H_A, H_B"),
    ],
    "correction": [
        (
            None,
            "correction = -(H_A * g_A + H_B * g_B) / 4 + r * (H_B * g_A - H_A * g_B) / 2",
            "that depends on the order is twice as large as it should be",
        ),
        (
            None,
            "correction = -(H_A * g_A + H_B * g_B) / 2 + r * (H_B * g_A - H_A * g_B) / 4",
            "not depend on the order is twice as large as it should be",
        ),
        (
            None,
            "correction = -(H_A + H_B)*(g_A + g_B) / 8",
            "−½ E''E': the field of gradient descent with the whole loss",
        ),
    ],
    "shuffled": [
        (None, "k = sp.Rational(1, 8)", "half in E, and its square also enters with one half"),
        (None, "k = '1/4'", "be a formula in SymPy's symbols; yours is of the type str"),
        (None, "k = [sp.Rational(1,4)]", "be a formula in SymPy's symbols; yours is of the type list"),
    ],
    "drawn": [("u = r", "u = str(r)", "be a formula in SymPy's symbols; yours is of the type str")],
    "gap": [
        (
            "np.linalg.norm(np.mean(ends, axis=0) - flow)",
            "np.abs(np.mean(ends, axis=0) - flow).max()",
            "the distance is the root of the sum of the squares",
        ),
        (
            "np.linalg.norm(np.mean(ends, axis=0) - flow)",
            "np.mean([np.linalg.norm(e - flow) for e in ends])",
            "the mean of six distances",
        ),
        (
            "np.linalg.norm(np.mean(ends, axis=0) - flow)",
            "np.linalg.norm(np.mean(ends, axis=0) - flow)**2",
            "that is the square of the distance",
        ),
        (
            "np.linalg.norm(np.mean(ends, axis=0) - flow)",
            "np.sum(np.mean(ends, axis=0) - flow)",
            "an error here is a distance, and positive",
        ),
        ("    found = []", "    r = 2\n    found = []", "`gap` gives the same whatever `r` is"),
        ("for h in hs", "for h in (8e-3, 4e-3, 2e-3)", "`gap` gives the same whatever `hs` is"),
        ("factor * h / 2", "factor * h / 4", "that is half the penalty"),
        ("factor * h / 2 *", "factor * h *", "that is twice the penalty"),
        ("return np.array(found)", "print(found)", "not answered yet: `gap` returns nothing"),
        ("    found = []", "    factor = 1\n    found = []", "it has the penalty: `factor` does not reach it"),
    ],
}.items():
    WRONG[_name] += _answers

# More of what passes for an answer: another method's, half of a formula, a flow that is not solved, state that is kept.
for _name, _answers in {
    "epoch": [
        (
            None,
            "def epoch(theta, gradients, order, h, r):\n    for k in range(r):\n        for b in order[::(-1)**k]:\n            theta=theta-h*gradients[b](theta)\n    return theta",
            "this is not where the epoch ends",
        ),
        (
            None,
            "def epoch(theta, gradients, order, h, r):\n    for b in order:\n        g=gradients[b](theta)\n        for k in range(r):\n            theta=theta-h*g\n    return theta",
            "that is one step r times as long for each batch; each of the r steps t",
        ),
    ],
    "second": [
        (None, "second = r*(r-1)/2*(H_A*g_A+H_B*g_B) + r**2*H_B*g_B", "an exact run has another coefficient of h²"),
        (None, "second = r*(r-1)/2*(H_A+H_B)*(g_A+g_B) + r**2*H_B*g_A", "an exact run has another coefficient of h²"),
    ],
    "correction": [
        (None, "correction=-(H_A*g_A+H_B*g_B)/4", "that is the mean over both orders; this is one of them"),
        (
            None,
            "correction=r*(H_B*g_A-H_A*g_B)/4",
            "with this correction the flow does not end where an exact run does",
        ),
    ],
    "shuffled": [
        (None, "k=1/(4*r)", "count again what depends on r; the pairs of steps on one batch take pa"),
        (None, "k=(2-r)/4", "the mean over both orders has another penalty"),
    ],
    "drawn": [
        (None, "u=r\nv=sp.Integer(0)", "times, the mean over all"),
        (None, "u=1\nv=r-1", "times, the mean over all"),
    ],
    "gap": [
        (
            "permutations(range(3))]",
            "[(0,1,2),(1,2,0),(2,0,1)]]",
            "): the slope is right, but the errors are not those of these batches f",
        ),
        (
            "permutations(range(3))]",
            "[(0,1,2),(2,1,0)]]",
            "): the slope is right, but the errors are not those with that penalty",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# Small slips: a count that is off by one, a factor close to one, a case that is left out.
for _name, _answers in {
    "epoch": [("range(r)", "range(max(r, 2))", "r is 1 here, and each batch is used twice")],
    "gap": [("    found = []", "    r = max(r, 2)\n    found = []", "and not for r = 1")],
}.items():
    WRONG[_name] += _answers

# Arguments that are clipped, tables for the cases that are tested, parts of a list.
for _name, _answers in {
    "epoch": [("in order", "in order[:4]", "the last batch is not used")],
    "gap": [
        ("permutations(range(3))]", "list(permutations(range(3)))[:5]]", "the errors are not those of these batches"),
        (
            "sum(hessian(theta, b) @ gradients[b] for b in range(3)) / 3",
            "sum(hessian(theta, b) for b in range(3)) @ sum(gradients) / 9",
            "with the penalty (factor 1): the slope must be 3",
        ),
    ],
}.items():
    WRONG[_name] += _answers

# What students of the chapters got wrong: counts by one, the flow's own term, loops that share a variable, zeros.
for _name, _answers in {
    "epoch": [
        ("range(r)", "range(r + 1)", "used r + 1 times"),
        ("range(r)", "range(1, r)", "used r − 1 times"),
        ("    return theta", "        return theta", "is the `return` inside the loop?"),
        ("return theta", "return theta, h", "its parts have different shapes"),
        ("gradients[batch](theta)", "gradients[batch]", "A number is needed, and this is a function"),
    ],
    "second": [
        ("r**2 * H_B", "r * (r - 1) * H_B", "Count again how often g_A·H_B enters"),
        ("r * (r - 1) / 2", "(r - 1) / 2", "Count again how often g_A·H_A, g_B·H_B enter"),
    ],
    "correction": [
        (None, f"correction = (second {sign} * (H_A + H_B) * (g_A + g_B)) / (2 * r)", said)
        for sign, said in (
            ("+ r**2 / 2", "subtract it, since f_1"),
            ("- r**2 / 4", "twice as large as that"),
            ("- r**2", "enters with ½"),
            ("- 1 / 2", "belongs to the time 2r, as the run does, not to 2"),
            ("- r**2 / 8", "belongs to the time 2r, not to r"),
        )
    ]
    + [("r * (H_B * g_A - H_A * g_B)", "r**2 * (H_B * g_A - H_A * g_B)", "how often g_A·H_B, g_B·H_A enter")],
    "shuffled": [
        (None, "k = 0", "the mean over both orders has another penalty"),
        (None, "k = (r - 1) / 4", "minus the derivative of the penalty"),
    ],
    "drawn": [
        (None, "u, v = -r, r - 1", "the signs of both"),
        (None, "u, v = 2 * r, 2 - 2 * r", "both are twice"),
        (None, "u, v = r / 2, (1 - r) / 2", "both are half"),
        (None, "u, v = r, sp.Integer(1)", "Already at r = 1"),
    ],
    "gap": [
        ("np.mean(ends, axis=0)", "np.sum(ends, axis=0)", "that is the sum of the six ends"),
        ("np.mean(ends, axis=0)", "ends[-1]", "that is one order"),
        (
            "np.linalg.norm(np.mean(ends, axis=0) - flow)",
            "np.mean([np.linalg.norm(end - flow) for end in ends])",
            "the mean of six distances",
        ),
        (
            "np.linalg.norm(np.mean(ends, axis=0) - flow)",
            "np.linalg.norm(np.mean(ends, axis=0) - flow) / h",
            "divided by h",
        ),
        ("np.mean(ends, axis=0)", "np.mean(ends)", "do not fall with h"),
        ("factor * h / 2", "factor * h**2 / 2", "the factor h², not h"),
        ("factor * h / 2", "factor * h * 3 / 2", "three times the penalty"),
        ("factor * h / 2", "factor * h * 0.6", "The control is right"),
    ],
}.items():
    WRONG[_name] += _answers

# Right answers in other styles.
OTHER = {
    "sums over pairs, means over permutations, in place": {
        "epoch": """
def epoch(theta, gradients, order, h, r):
    while order:
        batch = order.pop(0)
        for k in range(r):
            theta -= h * gradients[batch](theta)
    return theta.tolist()
""",
        "second": """
n = sp.Symbol('n')
second = sp.summation(n, (n, 0, r - 1)) * (g_A * H_A + g_B * H_B) + r * r * g_A * H_B
""",
        "correction": "correction = sp.simplify((second - (2 * r)**2 / 2 * (H_A + H_B) / 2 * (g_A + g_B) / 2) / (2 * r))",
        "shuffled": "k = 0.25",
        "drawn": """
r = sp.symbols('r')
u, v = r, -(r - 1)
""",
        "gap": """
def gap(hs, r, factor):
    import itertools
    from scipy.integrate import solve_ivp
    out = []
    for h in hs:
        ends = np.zeros(2)
        for order in itertools.permutations([0, 1, 2]):
            theta = np.array([1.1, 0.7])
            for s in np.repeat(order, r):
                theta -= h * gradient(theta, s)
            ends += theta / 6
        def rhs(t, y):
            return -sum(gradient(y, b) + factor * h / 2 * hessian(y, b) @ gradient(y, b) for b in (0, 1, 2)) / 3
        y = solve_ivp(rhs, (0, 3 * r * h), (1.1, 0.7), rtol=1e-12, atol=1e-14).y[:, -1]
        out.append(np.sqrt(np.dot(ends - y, ends - y)))
    return out
""",
    },
    "a sum that is not carried out, an array without axes": {
        "second": "n = sp.Symbol('n')\nsecond = sp.Sum(n, (n, 0, r - 1)) * (H_A * g_A + H_B * g_B) + r**2 * H_B * g_A",
        "shuffled": "k = np.array(0.25)",
    },
}
