"""Evaluation at the speed of training: tokens computed once, and scores while a model learns."""
