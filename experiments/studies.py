"""The studies, declared before their results: what is measured, what is predicted, and what would refute it.

A prediction is never fitted: its numbers come from a theorem of the book, or are bounds fixed here.  `known`
says what its author had seen before.  Sizes are small so that all studies together take less than four hours
on two processor cores; a study that wants more seeds gets another name, never another declaration.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Study:
    """A question: a function of `measure`, arguments common to all cells, cases, and seeds.

    Seed k trains on the k-th of disjoint subsets of the data, from its own random initialization.
    """

    name: str
    question: str
    function: str
    common: dict[str, Any]
    cases: dict[str, dict[str, Any]]
    seeds: int
    why_so_many: str
    predictions: tuple[str, ...]
    refuted: tuple[str, ...]
    known: str
    levels: tuple[float, ...] = ()
    wants: tuple[str, ...] = field(default=("numpy", "jax"))

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the declaration; results carry them."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


DEFAULTS = {"optimizer": "adam", "beta": 0.9, "rho": 0.999, "epsilon": 1e-8, "inside": False}
PILOT = "one pilot of 200 steps (tanh, seed 0, h = 0.001; full batch and batches of 15), and the prototype: 64-16-10 tanh on 300 digits"
FOLLOWED = (
    "full batch, h = 0.001: the half-step reading and two terms end within 0.001 of the path's length, one term within 0.01",
    "full batch: while the edge fraction stays below 1/2, the half-step reading stays within 0.01 at every h",
    "mini-batches: one term and the half-step reading end within 0.01 at h = 0.001",
    "the theorem's equations, which forget, end ten times as far away as the half-step reading, or farther (full batch)",
)
AGAINST = (
    "a larger distance in any seed",
    "any moment of any full-batch cell with a fraction below 1/2 and a distance above 0.01",
    "a larger distance in any seed",
    "a smaller factor in any full-batch cell with h <= 0.004",
)


def follow(model: str, cases: dict[str, dict[str, Any]], seeds: int, why: str, known: str) -> Study:
    question = f"Does the equation that keeps its memory follow a whole training of '{model}' at PyTorch's defaults?"
    common = {"model": model, **DEFAULTS}
    return Study(f"follow-{model}", question, "follow", common, cases, seeds, why, FOLLOWED, AGAINST, known)


def size(h: float, steps: int, batch: int = 0) -> dict[str, dict[str, Any]]:
    name = f"h = {h:g}" + (f", batches of {batch}" if batch else "")
    return {name: {"h": h, "steps": steps, "batch": batch}}


SLOW = "one run of this network takes minutes of processor time"
TANH = size(5e-4, 820) | size(1e-3, 420) | size(4e-3, 220) | size(1.6e-2, 220) | size(6.4e-2, 220) | size(0.256, 220)
TANH |= size(1e-3, 420, 15) | size(4e-3, 220, 15)
CONV = size(1e-3, 320) | size(1e-3, 220, 20)
PAIRS = [[0.9, 0.9], [0.0, 0.9], [0.5, 0.9], [0.8, 0.9], [0.5, 0.95], [0.8, 0.95], [0.9, 0.95], [0.9, 0.98]]
BETAS, RHOS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99), (0.9, 0.95, 0.98, 0.99, 0.995, 0.9995)

EVERY = [[b, 0.999] for b in BETAS] + [[0.9, r] for r in RHOS]
SOME = [[b, 0.999] for b in (0.0, 0.5, 0.9, 0.95, 0.99)] + [[0.9, r] for r in (0.9, 0.98, 0.9995)]
JUDGED = (
    "?  A change is established if zero is outside its 95 per cent interval after Holm's correction over all comparisons "
    "of the study (beta 0 to 0.9, 0 to 0.99, 0.9 to 0.99, rho 0.9 to 0.9995; seven quantities; all cases and places), "
    "and null if its 90 per cent interval lies within a bound: 2 per cent, or half a point of accuracy."
)


def decays(name: str, question: str, cases: dict[str, dict[str, Any]], seeds: int, **more: Any) -> Study:
    """Every quantity at equal loss and at equal time, as a function of beta (rho = 0.999) and of rho (beta = 0.9)."""
    common = {**DEFAULTS, **more.pop("common")}
    return Study(f"decays-{name}", question + JUDGED, "norms", common, cases, seeds, **more)


def sizes(batch: int = 0) -> dict[str, dict[str, Any]]:
    end = f", batches of {batch}" if batch else ""
    return {f"h = {h:g}{end}": {"h": h, "batch": batch} for h in (5e-4, 1e-3, 2e-3, 4e-3)}


ALL = (
    follow("tanh", TANH, 2, "two: eight cases of half a minute each", PILOT),
    Study(
        name="integrator",
        question="Are the distances of study follow-tanh those of the equations, or of their integration?",
        function="follow",
        common={"model": "tanh", **DEFAULTS, "parts": 2},
        cases=size(1e-3, 420) | size(1.6e-2, 220),
        seeds=1,
        why_so_many="one: two cells of study follow-tanh again, with two steps of Runge and Kutta's method for one of Adam",
        predictions=(
            "the three equations with memory end at distances that differ by less than a tenth from those with one step",
        ),
        refuted=("a larger difference",),
        known="the distances with one step",
    ),
    follow("conv", CONV, 1, SLOW, "nothing on this network"),
    follow("transformer", size(1e-3, 120), 1, SLOW, "nothing on this network"),
    follow("resnet", size(1e-3, 120), 1, SLOW, "nothing on this network"),
    follow("resnet-relu", size(1e-3, 120), 1, SLOW, "nothing on this network"),
    Study(
        name="response",
        question="Is the response of the one-norm at half of the initial loss the one of the first correction?",
        function="response",
        common={"model": "tanh", "pairs": PAIRS, "epsilon": 1e-6, "level": 0.5},
        cases={f"h = {h:g}": {"h": h} for h in (1e-3, 2e-4, 4e-5)},
        seeds=2,
        why_so_many="two: a seed and a step size take half a minute",
        predictions=(
            "at h = 0.00004 the mean ratio measured/predicted is between 0.9 and 1.1 for every pair (beta, rho)",
            "at h = 0.001 it is not, for the pairs with rho > beta: memory is no small correction there",
        ),
        refuted=("a mean ratio outside for any pair", "ratios between 0.9 and 1.1 for six of the seven pairs"),
        known="ratios of 0.87 to 1.00 for four of the pairs on a 64-16-10 network with overlapping training sets; "
        "one pilot (0.9, 0.98) at h = 0.0002: 0.65",
        levels=(0.5,),
    ),
    Study(
        name="law",
        question="Does each geometry follow its own steepest descent on E + (h/2) C phi(gradient), phi its dual norm?",
        function="law",
        common={"model": "tanh", "epsilon": 1e-4},
        cases={
            f"{name}, beta = {beta:g}, h = {scale * h:g}": {
                "optimizer": name,
                "beta": beta,
                "h": scale * h,
                "time": scale * 0.08,
                "rho": 0.95,
            }
            for name, scale, beta in (
                ("gradient descent", 10.0, 0.0),
                ("gradient descent", 10.0, 0.9),
                ("sign descent", 0.5, 0.9),
                ("muon", 1.0, 0.9),
                ("adam", 0.5, 0.9),
            )
            for h in (1e-3, 2.5e-4)
        },
        seeds=1,
        why_so_many="one: the law has no randomness but the start, and ten cells take ten seconds each",
        predictions=(
            "at the smallest h the displacement from the leading flow is 0.9 to 1.1 of the predicted one, for every geometry",
            "with the term the error falls by at least 8 from one h to the other (order 2 would be 16), for every geometry",
        ),
        refuted=("a ratio outside in the mean over seeds", "a smaller factor"),
        known="one pilot each for muon (h = 0.001: 1.01) and gradient descent (beta = 0.9, h = 0.01: 1.28)",
    ),
    Study(
        name="norms-tanh",
        question="How do the norms, the sharpness and the test measures depend on beta and rho, at equal loss and equal time?",
        function="norms",
        common={"model": "tanh", **DEFAULTS, "h": 1e-3},
        cases={f"beta = {b:g}": {"beta": b} for b in BETAS} | {f"rho = {r:g}": {"rho": r} for r in RHOS},
        seeds=3,
        why_so_many="three: thirteen cases of seven seconds each; ten subsets are there",
        predictions=(
            "the one-norm at equal loss falls from beta = 0 to 0.99 at all three levels",
            "it rises from rho = 0.9 to 0.9995 at all three levels",
        ),
        refuted=("a mean change above zero at any level", "a mean change below zero at any level"),
        known="the same signs with epsilon inside the root, on overlapping training sets (chapter 14)",
        levels=(0.5, 0.2, 0.05),
    ),
    decays(
        "tanh",
        "Full batch: how do norms, sharpness and test measures depend on beta and rho",
        sizes() | {"h = 0.001, epsilon inside": {"h": 1e-3, "inside": True}},
        20,
        common={"model": "tanh-70", "pairs": EVERY},
        why_so_many="twenty: the 1,500 digits to train with give 21 disjoint subsets of 70",
        predictions=(
            "the one-norm at equal loss falls from beta = 0 to 0.99, established at all three levels, for h = 0.0005, 0.001, 0.002",
            "it rises from rho = 0.9 to 0.9995, established at all three levels, for h = 0.0005, 0.001, 0.002",
            "at half of the initial loss the effect of beta from 0 to 0.9 grows at least threefold from h = 0.0005 to 0.004, "
            "that of rho from 0.9 to 0.9995 by less than a factor of two",
            "epsilon inside or outside the root: both effects (beta 0 to 0.99, rho 0.9 to 0.9995) on the one-norm at "
            "h = 0.001 differ by a null within 2 points, at all three levels",
            "not theory but chapter 14's finding: at a fifth of the initial loss, h = 0.001, the accuracy falls from "
            "beta = 0 to 0.99 and rises from rho = 0.9 to 0.9995, established",
            "not theory but chapter 14's finding: at half of the initial loss, h = 0.001, both leave the test loss null",
        ),
        refuted=(
            "a change that is not established, or not a fall",
            "a change that is not established, or not a rise",
            "a smaller or a larger factor of the means",
            "a difference that is not null",
            "a change that is not established, or of the other sign",
            "a change that is not null",
        ),
        known="study norms-tanh, chapter 14, and two pilots on subsets of 75 (seeds 18 and 19, h = 0.001)",
        levels=(0.5, 0.2, 0.05),
    ),
    decays(
        "tanh-batches",
        "Mini-batches: how do norms, sharpness and test measures depend on beta and rho",
        sizes(14),
        20,
        common={"model": "tanh-70", "pairs": EVERY},
        why_so_many="twenty: the seeds of study decays-tanh",
        predictions=(
            "the one-norm of the full gradient at half and at a fifth of the initial loss falls from beta = 0 to 0.99, "
            "established at h = 0.0005 and 0.001",
            "at half of the initial loss and h = 0.001 it rises from rho = 0.9 to 0.9995, established, by less than half "
            "of the rise with full batch",
        ),
        refuted=(
            "a change that is not established, or not a fall",
            "no established rise, or half of the other mean or more",
        ),
        known="chapter 14 (batches of 50 and 10 of 200), and a pilot on a subset of 75 (seed 19, h = 0.004)",
        levels=(0.5, 0.2, 0.05),
    ),
    decays(
        "resnet",
        "A residual network on MNIST: how do norms, sharpness and test measures depend on beta and rho",
        {"h = 0.001": {"h": 1e-3}},
        8,
        common={"model": "resnet", "pairs": SOME, "times": [50, 100]},
        why_so_many="eight of the 50 disjoint subsets of 100: a seed takes a minute",
        predictions=(
            "the one-norm at equal loss falls from beta = 0 to 0.9, established at all three levels",
            "it falls from beta = 0.9 to 0.99, established at all three levels",
            "it rises from rho = 0.9 to 0.9995, established at all three levels",
        ),
        refuted=("a change that is not established, or not a fall",) * 2
        + ("a change that is not established, or not a rise",),
        known="a pilot on subset 49: the first and the third as predicted (the third by less than 1 per cent at half of the "
        "initial loss), the second with the other sign at all levels",
        levels=(0.5, 0.2, 0.05),
    ),
    decays(
        "conv",
        "A convolutional network on MNIST-1D: how do norms, sharpness and test measures depend on beta and rho",
        {"h = 0.001": {"h": 1e-3}},
        12,
        common={"model": "conv", "pairs": SOME, "levels": [0.8, 0.5]},
        why_so_many="twelve of the 20 disjoint subsets of 200",
        predictions=(
            "the one-norm at equal loss falls from beta = 0 to 0.99, established at both levels",
            "it rises from rho = 0.9 to 0.9995, established at both levels",
        ),
        refuted=("a change that is not established, or not a fall", "a change that is not established, or not a rise"),
        known="nothing on this network but study follow-conv",
        levels=(0.8, 0.5),
    ),
    Study(
        name="law-adam",
        question="Why did Adam miss the bounds of study law: is it the next power of h, or the small epsilon?",
        function="law",
        common={"model": "tanh", "optimizer": "adam", "beta": 0.9, "rho": 0.95, "time": 0.04, "epsilon": 1e-4},
        cases={f"h = {h:g}": {"h": h} for h in (5e-4, 1.25e-4, 3.125e-5, 7.8125e-6)}
        | {f"h = {h:g}, epsilon = 0.01": {"h": h, "epsilon": 1e-2} for h in (1.25e-4, 3.125e-5)},
        seeds=6,
        why_so_many="six: half a minute each; the pilot's subset is not among them",
        predictions=(
            "epsilon = 0.0001: the mean ratio is between 0.97 and 1.03 at the smallest h",
            "epsilon = 0.0001: with the term the error falls by at least 12 from the last h but one to the last, on average",
            "epsilon = 0.01, h = 0.000125: the mean ratio is between 0.9 and 1.1, where it is not with epsilon = 0.0001",
        ),
        refuted=(
            "a mean ratio outside: then it is not the next power of h alone",
            "a smaller factor",
            "a ratio outside, or both inside",
        ),
        known="study law, and a pilot on subset 9: 1.36, 1.19, 1.05, 1.01, and 1.05, 1.01",
    ),
    Study(
        name="falls",
        question="How far does memory move each norm of the gradient under each optimizer, at 0.7 of the initial loss?",
        function="law",
        common={"model": "tanh", "epsilon": 1e-4, "level": 0.7},
        cases={
            "gradient descent": {"optimizer": "gradient descent", "beta": 0.9, "h": 2.5e-3, "time": 4.0},
            "sign descent": {"optimizer": "sign descent", "beta": 0.9, "h": 1.25e-4, "time": 0.15},
            "muon": {"optimizer": "muon", "beta": 0.9, "h": 5e-4, "time": 0.5},
            "adam, rho = 0.95": {"optimizer": "adam", "beta": 0.9, "rho": 0.95, "h": 3.125e-5, "time": 0.15},
            "adam, rho = 0.5": {"optimizer": "adam", "beta": 0.9, "rho": 0.5, "h": 6.25e-5, "time": 0.15},
        },
        seeds=6,
        why_so_many="six: a seed takes half a minute; the pilot's subset is not among them",
        predictions=(
            "each optimizer lowers its own norm against its leading flow (gradient descent the two-norm, sign descent the "
            "one-norm, muon the nuclear norm): 95 per cent intervals below zero, after Holm's correction over all fifteen",
            "Adam raises the one-norm with rho = 0.95 and lowers it with rho = 0.5, likewise",
            "for these five the mean ratio of the measured change to that of the corrected flow is between 0.9 and 1.1",
        ),
        refuted=(
            "an interval that holds zero, or lies above it",
            "an interval that holds zero, or the other sign",
            "a mean ratio outside",
        ),
        known="a pilot on subset 9: sign descent at h = 0.001 and half of the initial loss",
        levels=(0.7,),
    ),
    Study(
        name="noise",
        question="Does the gradient noise measured along the leading flow predict the mini-batch effect (chapter 13)?",
        function="response",
        common={
            "model": "tanh",
            "pairs": [[0.0, 0.99], [0.5, 0.99], [0.9, 0.99], [0.9, 0.98], [0.9, 0.995]],
            "epsilon": 1e-6,
            "level": 0.5,
        },
        cases={f"batches of {batch}, h = {h:g}": {"batch": batch, "h": h} for batch in (15, 50) for h in (1e-4, 2e-5)},
        seeds=5,
        why_so_many="five: a seed takes a minute or two; the pilot's subset is not among them",
        predictions=(
            "at h = 0.00002 the mean ratio measured/predicted is between 0.9 and 1.1 for the effect of beta (0 to 0.9 and "
            "0.5 to 0.9, rho = 0.99), for both sizes of batches",
            "at h = 0.00002 it is between 0.85 and 1.15 for the effect of rho (0.98 to 0.99, beta = 0.9), for both sizes",
            "every ratio is closer to one at h = 0.00002 than at h = 0.0001, or within 0.05 of one",
        ),
        refuted=("a mean ratio outside",) * 2 + ("a ratio that is not",),
        known="a pilot on subset 9, batches of 15, h = 0.0001 and 0.00002: single pairs are off by terms without a lag, "
        "the difference of two pairs is not",
        levels=(0.5,),
    ),
)
STUDIES = {study.name: study for study in ALL}
