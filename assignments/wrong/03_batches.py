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
        ("sp.Rational(1, 4)", "1", "another penalty"),
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
        ("h, r) for order", "h, 1) for order", "Do both take the time"),
        ("permutations(range(3))]", "[(0, 1, 2)]]", "that is one order"),
        ("- factor * h / 2", "+ factor * h / 2", "doubles the gap"),
        ("- factor * h / 2", "- factor * h * r / 2", "must be 3"),
        (
            "sum(hessian(theta, b) @ gradients[b] for b in range(3)) / 3",
            "sum(hessian(theta, b) for b in range(3)) @ sum(gradients) / 9",
            "must be 3",
        ),
        ("3 * r * h / 20", "3 * h / 20", "Do both take the time"),
        ("range(20)", "range(0)", "Do both take the time"),
    ],
}

# Found by trying to get past the checks.
for _name, _answers in {
    "epoch": [
        ("range(r)", "range(3)", "not where the epoch ends"),
        ("range(r)", "range(len(order) - 1)", "not where the epoch ends"),
        ("in order:", "in reversed(order):", "not where the epoch ends"),
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
            "not the gaps with that penalty",
        ),
        (
            "return np.array(found)",
            "return np.array(found) if factor == 0 else 0.7 * np.asarray(hs) ** 3",
            "not the gaps with that penalty",
        ),
    ],
}.items():
    WRONG[_name] += _answers
