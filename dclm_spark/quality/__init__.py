"""The quality classifier: training it, scoring with it, turning a fraction into a threshold."""
