"""Which recipe is better: records, intervals and the leaderboard (spec section 9.1)."""
