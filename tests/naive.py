"""The modified equation by plain symbolic differentiation: slow, short, and sharing no line with the library.

Along a curve that solves θ̇ = f(θ), a function a of θ has the derivative D a = ∇a·f, its past values are e^{−khD} a, and the step is
(e^{hD} − 1)θ.  So an exponential average with weights (1−β)β^k is a ↦ Σ_r (−h)^r/r! · E[k^r] D^r a, where E[k^r] is the moment of the
age; and f_k follows from the terms before it.  A function of θ that also depends on h is the list of its coefficients of h^0, h^1, ...
"""

import sympy as sp


def age_moments(decay, count):
    """E[k^r] = (1−β) Σ_k k^r β^k for r = 0, 1, ..., by (β d/dβ)^r of the geometric series."""
    if decay == 0:
        return [1] + [0] * (count - 1)
    x = sp.Symbol("x")
    sums = [1 / (1 - x)]
    for _ in range(count - 1):
        sums.append(sp.together(x * sp.diff(sums[-1], x)))
    return [((1 - x) * total).subs(x, decay) for total in sums]


def lie(a, fields, symbols):
    """D a for a = [a_0, a_1, ...] along f = [f_0, f_1, ...] as far as both are known."""
    count = min(len(a), len(fields))
    return [
        sp.Add(
            *(
                sp.diff(a[k - j], s) * component
                for j in range(k + 1)
                for s, component in zip(symbols, fields[j])
            )
        )
        for k in range(count)
    ]


def modified_terms(gradient, symbols, averages, update, order):
    """[f_0, ..., f_{order−1}], each a list of SymPy expressions.

    gradient: list of expressions; averages: list of (function of a gradient component, decay); update: function of one average each.
    """
    h = sp.Symbol("h_")
    d = len(symbols)
    moments = [age_moments(decay, order) for _, decay in averages]
    # the coefficient of h^k in the update, for averages with coefficients x_{a,0}, x_{a,1}, ...
    x = [[sp.Symbol(f"x_{a}_{k}") for k in range(order)] for a in range(len(averages))]
    composed = update(*(sum(c * h**k for k, c in enumerate(of_one)) for of_one in x))
    outer = [(sp.diff(composed, h, k) / sp.factorial(k)).subs(h, 0) for k in range(order)]

    fields = []
    for k in range(order):
        f_k = []
        for i in range(d):
            values = {}
            for a, (function, _) in enumerate(averages):
                coefficients = [sp.Integer(0)] * (k + 1)
                derivative = [function(gradient[i])] + [sp.Integer(0)] * k
                for r in range(k + 1):
                    for j in range(k + 1 - r):
                        coefficients[r + j] += (
                            (-1) ** r * moments[a][r] / sp.factorial(r) * derivative[j]
                        )
                    if r < k:
                        derivative = lie(derivative, fields, symbols)
                values |= {x[a][j]: coefficients[j] for j in range(k + 1)}
            total = -outer[k].subs(values, simultaneous=True)
            # e^{hD} − 1 = h (D + h D²/2 + ...): subtract what the terms known already put at h^k
            derivative = [f[i] for f in fields]
            for r in range(2, k + 2):
                derivative = lie(derivative, fields, symbols)
                total -= derivative[k + 1 - r] / sp.factorial(r)
            f_k.append(total)
        fields.append(f_k)
    return fields
