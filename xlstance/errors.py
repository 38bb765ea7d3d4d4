"""The errors a user can mend: one tree, one line each, exit code 2 on the command line."""


class UserError(Exception):
    """Something the user gave is wrong; the message says what, where and how to mend it."""


class SettingsError(UserError):
    """A setting is unknown, of the wrong type or out of range."""


class DataError(UserError):
    """A file or a row is not what its format says."""


class StorageError(UserError):
    """A folder is missing, incomplete, or holds the result of other settings."""
