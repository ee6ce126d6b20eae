"""Backpropagation by hand: layers as forward/backward pairs, a gradient checker, and ways to watch them fail.

Start with `minigrad.layers` (the pairs) and `minigrad.gradcheck` (how to know that a pair is right).
"""
