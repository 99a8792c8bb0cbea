"""Command lines of jobs, before anything is known of what they ask for."""
