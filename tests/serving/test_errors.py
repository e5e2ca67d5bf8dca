import pytest
from grpc import StatusCode

from serving import errors
from serving.errors import OK, STATUS, RequestError


def test_every_refusal_has_a_status_and_no_two_the_same():
    assert set(STATUS) == set(RequestError.__subclasses__())
    assert len({status.http for status in STATUS.values()}) == len(STATUS)
    assert len({status.grpc for status in STATUS.values()}) == len(STATUS)


def test_the_tree_in_the_docstring_is_the_tree():
    tree = {name for name in vars(errors) if name.endswith("Error")}
    drawn = {word for word in errors.__doc__.split() if word.endswith("Error")}
    assert drawn == tree


@pytest.mark.parametrize(("protocol", "code"), [("rest", "200"), ("grpc", "OK")])
def test_a_status_is_written_as_its_protocol_does(protocol, code):
    assert OK.code(protocol) == code


def test_a_client_fault_is_never_a_server_error():
    assert STATUS[errors.InvalidInputError] == (400, StatusCode.INVALID_ARGUMENT)
    assert STATUS[errors.UnknownModelError] == (404, StatusCode.NOT_FOUND)
    assert STATUS[errors.TooLargeError] == (413, StatusCode.RESOURCE_EXHAUSTED)
