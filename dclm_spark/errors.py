"""What users see: each error names the setting or file, its value, and what is allowed."""

import re
from importlib.metadata import requires


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


def missing_package(error: ModuleNotFoundError) -> str:
    """Say which extra of this package installs what could not be imported; "" for none of them."""
    wanted = (error.name or "").partition(".")[0]
    for requirement in requires("dclm-spark") or ():
        found = re.match(r"([\w-]+).*; extra == \W(\w+)", requirement)
        name, extra = found.groups() if found else ("", "")
        if extra != "dev" and wanted and f"{name}-".replace("-", "_").startswith(f"{wanted}_"):
            return f"{wanted} is not installed: pip install 'dclm-spark[{extra}]' brings it"
    return ""
