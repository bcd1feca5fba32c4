"""A pytest plugin: with several processes the longest files come first.

pytest-xdist gives a process that is free the next file; so no processor core waits long for another at the end.
"""

# The longest first; the others follow in the order of their names.
LONGEST = """
    test_course 10_adam 14_experiments test_experiments 12_kept_memory test_sweep 17_beyond test_ledger 11_regimes
    15_generalization test_ch12_claims 16_atlas 13_mini_batch_adam test_ch14_claims 09_rmsprop test_notebooks
    02_backward_error_analysis 03_implicit_gradient_regularization 04_one_epoch 06_momentum 08_geometry 05_many_epochs
    01_gradient_descent test_ch17_claims test_modified test_live test_ch13_claims 07_momentum_flow
""".split()


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):  # a process of pytest-xdist
        place = {name: k for k, name in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(item.path.stem, len(place)))
