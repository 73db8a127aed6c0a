"""
Pictures of influence
=====================

Displays work as those of scikit-learn: ``from_estimator`` asks a fitted model and draws the answer,
``plot`` of a result draws what was asked already, and ``frame()`` has the numbers behind a picture.
"""

# %%
# A model
# -------
#
# A ridge regression of the diabetes data, on a frame with names of its own.

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor, LabelAudit, leave_one_out_curve
from skinfluence.inspection import (
    DeletionDisplay,
    DiagnosticsDisplay,
    InfluenceDisplay,
    LabelQualityDisplay,
    LeaveOneOutCurveDisplay,
    LeaveOneOutDisplay,
    RowsDisplay,
)

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X_train, y_train, X_test, y_test = X[:400], y[:400], X[400:], y[400:]
model = InfluenceRegressor(make_pipeline(StandardScaler(), Ridge())).fit(X_train, y_train)

# %%
# The check comes first
# ---------------------
#
# Predicted against actual changes of the test losses: points on the line are right.

display = LeaveOneOutDisplay.from_estimator(model, X_test, y_test, rows=30)

# %%
# Which rows move a test row, and what are they?
# ----------------------------------------------
#
# The rows' own columns stand beside their bars.

display = InfluenceDisplay.from_estimator(
    model, X_test, y_test, test=405, k=6, columns=["age", "bmi", "bp", "target"]
)

# %%
# The numbers behind it:

display.frame()

# %%
# Groups of rows
# --------------
#
# What would the mean loss of all test rows be without everybody of one decade of age?

decades = (X_train["age"] // 10 * 10).astype(int)
display = InfluenceDisplay.from_estimator(model, X_test, y_test, groups=decades, aggregate="mean")

# %%
# Every row under the model that never saw it
# -------------------------------------------

display = RowsDisplay.from_estimator(model, k=6)

# %%
# Cook's distance
# ---------------
#
# Leverage and residual of every row, with contours of the distance that both make, as in R.

least_squares = InfluenceRegressor(LinearRegression()).fit(X_train, y_train)
display = DiagnosticsDisplay.from_estimator(least_squares, k=6)

# %%
# A curve of left-out losses
# --------------------------

curve = leave_one_out_curve(
    make_pipeline(StandardScaler(), Ridge()),
    X_train,
    y_train,
    "ridge__alpha",
    np.geomspace(0.1, 1000, 9),
)
display = LeaveOneOutCurveDisplay.from_result(curve).plot()

# %%
# Labels that look wrong
# ----------------------
#
# Twenty labels of the breast cancer data are flipped.

X, y = load_breast_cancer(return_X_y=True)
y[::28] = 1 - y[::28]
pipeline = make_pipeline(StandardScaler(), LogisticRegression())
audit = LabelAudit(pipeline).fit(X, y)
display = LabelQualityDisplay.from_estimator(audit)

# %%
# A classifier's rows left out: those predicted wrong have a mark of their own.

display = RowsDisplay.from_estimator(InfluenceClassifier(pipeline).fit(X, y), k=4)

# %%
# A deletion
# ----------
#
# How near the model is to one that was fitted without ten rows.

display = DeletionDisplay.from_estimator(model.without(list(range(10))))
