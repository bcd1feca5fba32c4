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
        sp.Add(*(sp.diff(a[k - j], s) * component for j in range(k + 1) for s, component in zip(symbols, fields[j])))
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
                        coefficients[r + j] += (-1) ** r * moments[a][r] / sp.factorial(r) * derivative[j]
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


class Sums:
    """A memory that keeps every value it was given and adds them up anew, with their weights written out.

    The average after the values x_0, ..., x_n with the decays d_0, ..., d_n is the sum of (1 - d_k) d_{k+1} ... d_n x_k.
    """

    def __init__(self, h, time=0.0):
        self.h, self.begin, self.step, self.slots = h, time, 0, []
        self.call = 0

    @property
    def time(self):
        return self.begin + self.h * self.step

    def _slot(self):
        if self.call == len(self.slots):
            self.slots.append([])
        self.call += 1
        return self.slots[self.call - 1]

    def average(self, x, decay, corrected=False):
        slot = self._slot()
        slot.append((x, decay))
        total, weight = 0, 1
        for value, d in reversed(slot):
            total = total + weight * (1 - d) * value
            weight = weight * d
        return total / (1 - weight) if corrected else total

    def previous(self, x, start=0.0):
        slot = self._slot()
        slot.append(x)
        return slot[-2] if len(slot) > 1 else start + 0 * x

    def next_step(self):
        self.step, self.call = self.step + 1, 0


def updates_at(optimizer, gradients, points, h, time=0.0):
    """The update of every step if step k is made at points[k] with gradients[k], wherever the one before led."""
    memory, found = Sums(h, time), []
    for gradient, point in zip(gradients, points):
        found.append(optimizer(point, gradient, memory))
        memory.next_step()
    return found


def path(optimizer, gradients, theta, h):
    """The iterates, by the definition of a program."""
    memory, found = Sums(h), [theta]
    for gradient in gradients:
        found.append(found[-1] - h * optimizer(found[-1], gradient, memory))
        memory.next_step()
    return found


def transient_terms(optimizer, gradients, theta, h):
    """[f_0, f_1] of the last step's piece, from the first step on: differences of step 1e-30 in the imaginary direction.

    All steps see one point, and to first order in h step k saw it where the updates k, ..., n-1 were not made yet.
    """
    n, tiny = len(gradients) - 1, 1e-30
    still = updates_at(optimizer, gradients, [theta] * (n + 1), h)
    behind = [sum(still[k:n], 0 * theta) for k in range(n + 1)]
    # the derivative along the update itself enters with a half: the step is made from one point to the next
    moved = [theta + 1j * tiny * (b + still[n] / 2) for b in behind]
    return [-still[n], -updates_at(optimizer, gradients, moved, h)[n].imag / tiny]


def defect(optimizer, gradient, curve, h, past, time=0.0):
    """theta(h) - theta(0) + h U for a curve s -> theta(s h) and the update U of a program that has followed it long enough."""
    points = [curve(s, h) for s in range(-past, 1)]
    update = updates_at(optimizer, [gradient] * (past + 1), points, h, time - past * h)[-1]
    return curve(1, h) - points[-1] + h * update


def zero(expression):
    """Whether a rational function, or one with square roots and abstract derivatives, is identically zero."""
    derivatives = sorted(expression.atoms(sp.Derivative), key=str)
    expression = expression.xreplace({d: sp.Symbol(f"D{i}", real=True) for i, d in enumerate(derivatives)})
    return sp.simplify(expression) == 0


def random_polynomial(rng, symbols, degree=4):
    return sp.Add(
        *(int(rng.integers(-4, 5)) * monomial for monomial in sorted(sp.itermonomials(symbols, degree), key=str))
    )


def perturbed_norm_gradient(loss, epsilon):
    """The derivative of ||grad E||_{1,eps} = sum_i sqrt((d_i E)^2 + eps)."""
    return [sp.diff(sum(sp.sqrt(g**2 + epsilon) for g in loss.gradient_expressions), s) for s in loss.symbols]
