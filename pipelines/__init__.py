"""The order of the steps, their resources, and the command line."""
