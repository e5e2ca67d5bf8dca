import pytest
from grpc import StatusCode

from serving import errors
from serving.errors import OK, STATUS, RequestError


def test_every_refusal_has_a_status_and_a_reason_of_its_own():
    assert set(STATUS) == set(RequestError.__subclasses__())
    assert len({status.reason for status in STATUS.values()}) == len(STATUS)


def test_the_tree_in_the_docstring_is_the_tree():
    tree = {name for name in vars(errors) if name.endswith("Error")}
    drawn = {word for word in errors.__doc__.split() if word.endswith("Error")}
    assert drawn == tree


@pytest.mark.parametrize(("protocol", "code"), [("rest", "200"), ("grpc", "OK")])
def test_a_status_is_written_as_its_protocol_does(protocol, code):
    assert OK.code(protocol) == code


def test_a_client_fault_is_never_a_server_error():
    ours = {
        errors.InternalError,
        errors.UnsupportedError,
        errors.OverloadedError,
        errors.ExpiredError,
        errors.NotReadyError,
    }
    for error, status in STATUS.items():
        assert (status.http >= 500) == (error in ours), error
    assert STATUS[errors.InvalidInputError][:2] == (400, StatusCode.INVALID_ARGUMENT)
    assert STATUS[errors.UnknownModelError][:2] == (404, StatusCode.NOT_FOUND)
    assert STATUS[errors.TooLargeError][:2] == (413, StatusCode.RESOURCE_EXHAUSTED)
