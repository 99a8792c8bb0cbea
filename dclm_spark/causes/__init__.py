"""Why one corpus beat another: what differs between two runs, and what that does to models."""
