"""The predictor: a sealed model package in, KServe v2 answers over REST and gRPC out.

Reads packages through :mod:`modelpackage`, knows no training code and never imports torch, sklearn, mlflow or kfp.
``docs/predictor.md`` is the API as a client sees it.
"""

#: The version in the server's metadata; that of the project.
VERSION = "0.1.0"
