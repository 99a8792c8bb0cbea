"""The error that users see: setting, value, what is allowed, what to do."""


class SubmissionError(ValueError):
    """A job, cluster or argument that a platform would refuse, found before anything is sent."""
