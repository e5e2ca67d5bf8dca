from serving.memory import Memory


def test_as_much_fits_as_there_is_and_what_is_given_back_fits_again():
    memory = Memory(10)
    memory.take(7)
    assert memory.fits(3)
    assert not memory.fits(4)
    memory.take(-7)
    assert memory.fits(10)
    assert memory.used == 0
