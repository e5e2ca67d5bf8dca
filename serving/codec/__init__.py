"""Requests to arrays and arrays to answers, by the model's signature; knows no transport.

A request arrives as the v2 JSON object, whatever brought it: REST parses it, its binary extension and gRPC build the
same object from bytes, v1 is rewritten to it. So all of them get the same verdict.
"""
