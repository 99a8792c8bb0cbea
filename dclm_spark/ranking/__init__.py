"""From recipes to a ranking: corpora that share stages, models trained alike, one leaderboard."""
