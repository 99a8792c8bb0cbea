"""What users see: each error names the setting or file, its value, and what is allowed."""


class SettingError(ValueError):
    """A setting, argument or recipe key has a value that cannot be used."""


class InputError(ValueError):
    """An input file or listing is missing, unreadable or of an unsupported kind."""


class BalanceError(RuntimeError):
    """The books of a stage do not balance: records in differ from kept + dropped + quarantined."""


class LimitError(RuntimeError):
    """A run lost more than its declared limits allow."""


class StageError(RuntimeError):
    """A stage ended without committing all of its units; running the job again resumes it."""
