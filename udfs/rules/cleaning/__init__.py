"""Line cleaning of the RefinedWeb family: lines and URLs taken out of a text."""
