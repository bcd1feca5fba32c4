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
            "return np.array(found) if factor == 0 else errors(hs, 0) * hs",
            "not the errors with that penalty",
        ),
        (
            "return np.array(found)",
            "return np.array(found) if factor == 0 else 50 * np.asarray(hs) ** 2",
            "not the errors with that penalty",
        ),
    ],
}.items():
    WRONG[_name] += _answers
