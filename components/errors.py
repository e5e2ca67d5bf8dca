"""Every error of the training side that a user can mend; each message names the value, the rule and the way out.

SlipwayError
├── ConfigError       the configuration breaks a rule
├── DataError         the data can't be used
├── TrainingError     training can't start, or did not give a usable model
├── ParityError       the exported graph is not the trained model
├── OptimizeError     a package can't be optimised
├── StoreError        the object store refused or can't be reached
├── TrackingError     MLflow refused or can't be reached
└── GateRefusedError  the model is not good enough to be published
"""


class SlipwayError(Exception):
    """A step can't go on; the message is what the user sees."""


class ConfigError(SlipwayError):
    """The configuration breaks a rule."""


class DataError(SlipwayError):
    """The data can't be used."""


class TrainingError(SlipwayError):
    """Training can't start, or did not give a usable model."""


class ParityError(SlipwayError):
    """The exported graph does not answer as the trained model does."""


class OptimizeError(SlipwayError):
    """A package can't be optimised."""


class StoreError(SlipwayError):
    """The object store refused or can't be reached."""


class TrackingError(SlipwayError):
    """MLflow refused or can't be reached."""


class GateRefusedError(SlipwayError):
    """The model is not good enough to be published."""


class Stopped(BaseException):
    """Training was told to end by SIGTERM, and left a checkpoint where it could."""

    code = 143
