"""The book's own search, asked under Node.js over the built book: what comes first, and where it leads."""

import json
import shutil
import subprocess
from collections import Counter

import pytest
from browsing import ROOT, SITE

NODE = shutil.which("node") or ROOT / ".venv" / "bin" / "node"
ASK = """
const [search, mini, places, queries] = process.argv.slice(1);
const book = require(search), MiniSearch = require(mini);
const list = new Function(require("fs").readFileSync(places, "utf8") + "; return bookSections")();
const state = book.make(MiniSearch, list);
const short = (found) => found.slice(0, 3).map(({ page, anchor }) => page.replace("chapters/", "") + (anchor && "#" + anchor));
console.log(JSON.stringify(JSON.parse(queries).map((query) => short(book.find(state, query)))));
"""
# The first places; a name without # is a page's top.  Each must be among the first three, in this order.
FIRST = {
    "Adam theorem": ["10_adam", "10_adam#thm-adam"],
    "momentum": ["06_momentum", "07_momentum_flow", "glossary#term-momentum"],
    "RMSProp": ["09_rmsprop"],
    "bias correction": ["glossary#term-bias-correction"],
    "modified equation": ["glossary#term-modified-equation"],
    "imbalance": ["glossary#term-imbalance"],
    "edge of stability": ["glossary#term-edge-of-stability"],
    "sign descent": ["glossary#term-sign-descent"],
    "one-norm": ["glossary#term-one-norm", "glossary#term-perturbed-one-norm"],
    "mini-batch noise": ["13_mini_batch_adam", "glossary#term-proportional-noise"],
    "generalization": ["15_generalization"],
    "random reshuffling": ["glossary#term-reshuffling"],
    "steps sizes": ["17_beyond#every-step-size"],
    "full batch": ["15_generalization#is-full-batch-required"],
    "PyTorch defaults": ["11_regimes#where-pytorch-s-defaults-lie"],
    "Lion": ["08_geometry#the-table"],
    "backward error analysis": ["02_backward_error_analysis"],
    "formula sheet": ["formulas"],
    "asymptotic series": ["glossary#term-asymptotic-series"],
    "ε": ["14_experiments#change-varepsilon-change-h"],
    "weight decay": ["12_kept_memory#ex-kept-decay", "16_atlas#wrappers"],
    "decoupled weight decay": ["16_atlas#wrappers", "library#bea.optimizers.adamw"],
    "AdamW": ["16_atlas#wrappers", "library#bea.optimizers.adamw"],
    "SAM": ["16_atlas#wrappers"],
    "Nesterov": ["glossary#term-momentum", "08_geometry#the-table"],
    "signSGD": ["glossary#term-sign-descent"],
    "momentum theorem": ["06_momentum#thm-mem-imbalance", "06_momentum#thm-mem-correction"],
    "Theorem 10.1": ["10_adam#thm-adam"],
    "error bound": ["proof", "proof#thm-proof"],
    "warmup": ["16_atlas#schedules-and-noise", "09_rmsprop#ex-rms-warm-up"],
    "learning rate": ["notation#the-same-constants-elsewhere"],
    "lamda": ["03_implicit_gradient_regularization#limits-when-h-is-not-small"],
    "epsilom": ["14_experiments#change-varepsilon-change-h"],
    "order_study": ["library#bea.orders.order_study"],
}
# Spelled otherwise, the same is found.
SAME = [
    ("ε", "epsilon"),
    ("κ", "kapa"),
    ("β2", "beta2"),
    ("β2", "beta_2"),
    ("β2", "β₂"),
    ("λ", "lambda"),
    ("imbalance", "Imbalances"),
]


def ask(*queries):
    """The first three places for each query."""
    static = SITE / "_static"
    files = [ROOT / "chapters" / "assets" / "search.js", static / "minisearch.js", static / "sections.js"]
    done = subprocess.run([NODE, "-e", ASK, *files, json.dumps(queries)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found():
    return dict(zip(FIRST, ask(*FIRST)))


@pytest.mark.parametrize("query", FIRST)
def test_first_places(query, found):
    places = FIRST[query]
    assert found[query][0] == places[0]
    assert [place for place in found[query] if place in places] == places


def test_spellings():
    for one, other in SAME:
        first, second = ask(one, other)
        assert first and first == second, (one, other)


def test_nothing_is_found_of_nothing():
    assert ask("", "the", "xylophone") == [[], [], []]


def test_every_place_is_there():
    """Each page and anchor that the list names exists."""
    text = (SITE / "_static" / "sections.js").read_text(encoding="utf-8")
    places = json.loads(text.removeprefix("var bookSections = ").rstrip().rstrip(";"))
    kinds = Counter(place[3] for place in places)
    assert (
        len(places) > 500
        and min(kinds[kind] for kind in ("page", "section", "theorem", "exercise", "term", "code")) > 10
    )
    pages = {page: (SITE / f"{page}.html").read_text(encoding="utf-8") for page in {place[0] for place in places}}
    assert [place[:2] for place in places if place[1] and f'id="{place[1]}"' not in pages[place[0]]] == []
