"""Questions: functions over a fitted record, which wrappers, audits and reports call.

`Fitted` is what they are asked of: a fitted estimator, the rows its final step was fitted on, and
the options that say how to answer. A question checks what it was given, finds the mechanism of the
model, and returns arrays or a result of `skinfluence.inspection`. It knows no wrapper.
"""
