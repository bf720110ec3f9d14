"""The examples in the docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import synthetic_data

MODULES = [m.name for m in pkgutil.iter_modules(synthetic_data.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    """Every docstring example of the module holds."""
    module = importlib.import_module(f"synthetic_data.{name}")
    assert doctest.testmod(module).failed == 0


def test_public_names_load_on_demand():
    """Every name the package offers can be had."""
    for name in synthetic_data.__all__:
        assert getattr(synthetic_data, name) is not None
