"""What people see of a run while it works: times, progress, names of jobs, metrics."""
