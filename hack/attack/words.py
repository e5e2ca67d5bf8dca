"""Values that a program which trusts its clients stumbles over."""

from typing import Any

#: Stands for a number that JSON can spell and Python can't hold; see :func:`attack.mutate.spelled`.
HUGE, MANY_DIGITS = "\ue000huge\ue000", "\ue000digits\ue000"
LONG = "quetzalcoatl-" * 400
TEXTS: tuple[str, ...] = (
    "", "x", "1", "NaN", "Infinity", "true", "null", "0.5", "1e-1", "1_0", " 0.5 ", "\u0661", "FP32", "INT8", "BYTES",
    "image", "probabilities", "../../etc/passwd", "%00", "a\r\nset-cookie: b=c", "\x1b[31mred\x1b[0m", "\u0000",
    "\ud800", "\U0001f6a2 boat", "e\u0301\u0301\u0301", "{}", "${jndi:ldap://x}", "'; drop table x; --", LONG,
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, -0.0, 1, -1, 2, 127, 128, 255, 256, 65536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1,
    2**64, -(2**63), -(2**63) - 1, 10**40, 0.5, 1.5, 16.0000001, 16.5, 1e-320, 3.5e38, 1e39, 65520.0, 1e308,
    float("nan"), float("inf"), float("-inf"), HUGE, MANY_DIGITS,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"name": 1}, [[[1]]], {"b64": "AAAA"}, {"a": [1]})
DATATYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64",
             "BYTES", "BF16", "fp32", "STRING", "")  # fmt: skip
SHAPES: tuple[Any, ...] = (
    [], [1], [-1], [0], [1, 1], [2**31, 2**31], [2**62, 4], [2**63], [2**64, 1], [1] * 65, [-1, -1], [True], [1.0],
    ["1"], [None], "1", 1, None, {}, [[1]], [1, 0], [10**12] * 9, [1025], [-4, -1],
)  # fmt: skip
MEDIA = ("", "application/json", "Application/JSON; charset=utf-8", "application/octet-stream", "text/plain",
         "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json,text/plain", ";",
         "application/vnd.api+json", "application/cloudevents+json")  # fmt: skip
LENGTHS = ("0", "1", "-1", "-5", "abc", "", "12.5", "0x10", "1e2", "+4", "9" * 12, "9" * 13, "9" * 5000, "1_0", "\xb2")
HEADERS = {
    "user-agent": ("", "\xff\xfe", "a" * 3000, "() { :;}; echo x"),
    "x-request-id": ("a" * 3000, "\x80", "%0d%0aevil: 1"),
    "traceparent": ("00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x", "00-zz"),
    "accept": ("*/*", "text/html", "application/octet-stream"),
    "content-encoding": ("identity", "gzip", "br", "deflate, gzip", ""),
    "range": ("bytes=0-10",), "x-forwarded-for": ("127.0.0.1, ::1",), "authorization": ("Bearer x",),
    "cookie": ("a=b; " * 500,), "host-override": ("x",), "x-http-method-override": ("DELETE",),
}  # fmt: skip
METHODS = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
BYTES = (b"\0", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"[" * 40, b"[" * 5000, b'{"a":' * 2000,
         b"9" * 400, b"9" * 5000, b"1e999", b"-", b"NaN", b'"', b"\\", b"\\ud800", b",", b"]" * 50, b"}", b"/*x*/",
         b"\r\n", b"\x1b[2J", b"\xe2\x80\xa8")  # fmt: skip
