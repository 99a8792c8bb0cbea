"""The switch between the reference's surprising behaviour and the intended one (spec 12)."""

REFERENCE = "dclm-2024"
QUIRKS = (REFERENCE, "none")


def follows_reference(quirks: str) -> bool:
    """Return whether `quirks` asks for the reference's behaviour; ValueError if it is unknown."""
    if quirks not in QUIRKS:
        raise ValueError(
            f"quirks: {quirks!r} is not known; write one of {', '.join(map(repr, QUIRKS))}"
        )
    return quirks == REFERENCE
