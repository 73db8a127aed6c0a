"""Minimisers: how far a fit is from its minimum, and how to get there.

`distance` measures, in Newton decrements; `newton` refines convex objectives, `trust_region` takes
many smooth functions to a minimum nearby, `active_set` goes along an l1 penalty.
"""
