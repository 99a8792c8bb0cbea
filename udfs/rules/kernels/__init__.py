"""The compiled counts behind rules."""
