"""The 53 tasks of DCLM: prompts, scoring, aggregates and small-model signal (spec section 8)."""
