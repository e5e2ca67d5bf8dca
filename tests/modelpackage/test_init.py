"""The public names of the contract are exactly those that it lists."""

import types

import modelpackage


def test_the_public_list_equals_what_is_importable():
    found = {
        name
        for name, value in vars(modelpackage).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    # The functions of these names stand in the way of their modules, which is how they are called.
    assert found == set(modelpackage.__all__)
    assert len(set(modelpackage.__all__)) == len(modelpackage.__all__)


def test_everything_public_says_what_it_is():
    for name in modelpackage.__all__:
        value = getattr(modelpackage, name)
        assert not callable(value) or value.__doc__, name


def test_verbs_and_not_modules_are_public():
    assert callable(modelpackage.seal)
    assert callable(modelpackage.load)
