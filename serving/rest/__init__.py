"""HTTP: our own connection over llhttp, a table of routes, and the handlers of v2, v1 and what people look at.

Not a web framework: deadlines, caps and the order of refusals are what this server is for, and none of them can be put
around one from outside (``docs/decisions.md``).
"""
