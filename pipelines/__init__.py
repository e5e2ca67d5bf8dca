"""The order of the steps, their resources, and the command line."""

#: What ``slipway --version`` says; that of the project. An image has the sources and no distribution.
VERSION = "0.1.0"
