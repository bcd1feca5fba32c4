"""The page on sweeps runs as it stands, with a small network and random images instead of CIFAR-10."""

import re
from pathlib import Path

import numpy as np
import pytest

import bea
import bea_book

PAGE = (Path(__file__).parent.parent / "chapters" / "scale.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^(% not run[^\n]*\n\n)?```python\n(.*?)^```$", PAGE, re.M | re.S)


def block(word):
    """The one block of the page that holds these words."""
    [code] = [code for _, code in BLOCKS if word in code]
    return code


def script(folder, code, names):
    """Run code that is in a file, as a user's is: a stored sweep looks for a function's text."""
    path = folder / "script.py"
    path.write_text(code)
    exec(compile(code, path, "exec"), names)


@pytest.fixture(scope="module")
def names():
    """What the page's blocks on PyTorch define."""
    pytest.importorskip("torch", reason="PyTorch is not installed (make peers)")
    defined = {"__name__": "__main__"}  # as in a script: Dask sends the functions themselves
    exec(block("def torch_loss"), defined)
    exec(block("def measure"), defined)
    return defined


def test_every_block_is_python_and_two_need_other_machines():
    for _, code in BLOCKS:
        compile(code, "page", "exec")
    left_out = [code for note, code in BLOCKS if note]
    assert left_out == [block("def cifar"), block("SLURMCluster(")]


def test_the_first_sweep(monkeypatch, tmp_path):
    pytest.importorskip("xarray", reason="xarray is not installed (make scale)")
    monkeypatch.chdir(tmp_path)
    defined = {"__name__": "page"}
    script(tmp_path, block("def final_distance"), defined)
    exec(block("typical ="), defined)
    assert defined["typical"].dims == ("h",) and dict(defined["found"].sizes) == {
        "beta": 3,
        "h": 3,
        "repeat": 5,
    }
    first = defined["found"]
    exec(block('folder="final_distance"'), defined)
    assert first.identical(defined["found"]) and 1 <= len(list(Path("final_distance").iterdir())) < 45


def test_a_pytorch_model_agrees_with_our_network(names):
    """The same weights in both orders: PyTorch keeps a layer's matrix the other way round."""
    torch = names["torch"]
    rng = np.random.default_rng(3)
    features, labels = rng.normal(size=(11, 3)), rng.integers(2, size=11)
    network = bea_book.Network((3, 4, 2))
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    theirs = names["torch_loss"](model, torch.tensor(features), torch.tensor(labels), chunk=4)
    ours = network.loss(features, labels)
    first, second = np.arange(12).reshape(3, 4).T.ravel(), 16 + np.arange(8).reshape(4, 2).T.ravel()
    order = np.concatenate([first, np.arange(12, 16), second, np.arange(24, 26)])
    points = rng.normal(size=(3, network.dimension))
    for point in (points, points[0]):
        np.testing.assert_allclose(theirs.value(point[..., order]), ours.value(point), rtol=1e-12)
        np.testing.assert_allclose(
            theirs.gradient(point[..., order]),
            ours.gradient(point)[..., order],
            rtol=1e-10,
            atol=1e-14,
        )
    descent = bea.gradient_descent()
    terms = bea.modified_equation(descent, theirs, 2).coefficients(points[0, order])
    wanted = bea.modified_equation(descent, ours, 2).coefficients(points[0])
    np.testing.assert_allclose(terms, wanted[:, order], rtol=1e-6, atol=1e-8)
    adam = bea.adam(0.9, 0.99, 1e-6)
    path = bea.run(adam, theirs, points[0, order], 0.01, 20)
    np.testing.assert_allclose(path, bea.run(adam, ours, points[0], 0.01, 20)[:, order], rtol=1e-9)


def tiny(seed, torch):
    """Twelve images of 6 x 6 in three colours and two kinds; a convolution and a group norm."""
    images = torch.randn(12, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    kinds = torch.arange(12) % 2
    torch.manual_seed(seed)
    layers = (
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.GroupNorm(2, 4),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 2),
    )
    layers[1].weight.data.fill_(8)  # soon learnt
    return torch.nn.Sequential(*layers), (images[:8], kinds[:8]), (images[8:], kinds[8:])


def test_the_call_for_a_cluster_with_a_tiny_network(names, monkeypatch, tmp_path):
    pytest.importorskip("xarray", reason="xarray is not installed (make scale)")
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (make scale)")
    monkeypatch.chdir(tmp_path)
    torch = names["torch"]

    def problem(seed):
        import torch

        return tiny(seed, torch)

    call = block("task = partial(measure")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        defined = names | {"problem": problem, "cluster": cluster}
        try:
            exec(call, defined)
        finally:
            defined["client"].close()
    found = defined["found"]
    assert dict(found.sizes) == {"beta": 5, "rho": 3, "repeat": 3}
    assert Path("cifar.nc").exists() and list(Path("cifar").glob("*.npz"))
    assert (
        np.isfinite(found.norm).all() and (found.step > 5).all() and found.accuracy.isin([0, 0.25, 0.5, 0.75, 1]).all()
    )
    # one setting again, here, by another road: PyTorch's own Adam, which has epsilon outside the root
    rng = np.random.default_rng(np.random.SeedSequence(0).spawn(3)[1])
    model, (images, labels), _ = tiny(int(rng.integers(2**31)), torch)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    for _ in range(int(found.step.sel(beta=0.9, rho=0.999, repeat=1)) + 1):
        adam.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        norm = sum(w.grad.abs().sum().item() for w in model.parameters())
        adam.step()
    assert loss.item() < 0.3
    assert found.norm.sel(beta=0.9, rho=0.999, repeat=1) == pytest.approx(norm, rel=0.2)
