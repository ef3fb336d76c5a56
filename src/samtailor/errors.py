"""Errors whose text is meant for the user."""


class SamTailorError(Exception):
    """Something the user can mend: bad data, a bad setting, a missing file.

    The text names what is wrong, what was expected, what was found and how to mend it. The command line
    prints it without a traceback and ends with exit code 2.
    """


class DataError(SamTailorError):
    """A data file or folder is not as expected."""


class ConfigError(SamTailorError):
    """A setting is not as expected."""


class WeightsError(SamTailorError):
    """Weights are missing, damaged, or belong to another network."""


class SharedError(SamTailorError):
    """An error that all processes of a job raise together; one of them need say it."""


class ProcessLostError(SamTailorError):
    """Another process of the job ended before its time."""
