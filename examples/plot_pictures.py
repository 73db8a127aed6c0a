"""
Seeing what rows do
===================

Images that helped and harmed, rows in the plane of two features, coefficients that hang on few
rows, and whether the scores find the rows that matter.
"""

# %%
# Which images made the model see that?
# -------------------------------------
#
# Each line is a test image that the model gets wrong, beside the three training images that help
# and the three that harm it most. What stands above each is by how much the loss would change
# without it, and its label.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor, removal_curve
from skinfluence.inspection import FeaturesDisplay, ImagesDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=600, random_state=0)
pipeline = make_pipeline(MinMaxScaler(), LogisticRegression())
model = InfluenceClassifier(pipeline).fit(X_train, y_train)

wrong = np.flatnonzero(model.predict(X_test) != y_test)[:3]
images = ImagesDisplay.from_estimator(model, X_test[wrong], y_test[wrong])
print(images.frame().to_string(index=False))

# %%
# Every picture has a ``frame()``: the numbers that it shows.
#
# Which rows lie where?
# ---------------------
#
# Two measurements of tumours. The star is a tumour near the boundary; rows that harm are red.

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X, y = X[["mean radius", "mean texture"]], y.map({0: "malignant", 1: "benign"})
X_train, X_new, y_train, y_new = train_test_split(X, y, train_size=400, random_state=0)
cancer = InfluenceClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
cancer.fit(X_train, y_train)
near = int(np.argmin(np.abs(cancer.decision_function(X_new))))
display = FeaturesDisplay.from_estimator(cancer, X_new, y_new, position=near)

# %%
# Of a regressor one feature is drawn against the target, with the line of predictions; the other
# features are what they are of the test row.

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
diabetes = InfluenceRegressor(LinearRegression()).fit(X[:400], y[:400])
display = FeaturesDisplay.from_estimator(diabetes, X[400:], y[400:], features=["bmi"])

# %%
# Which coefficients hang on few rows?
# ------------------------------------
#
# A strip for every coefficient, a dot for every training row. All are in standard errors of their
# coefficient, so that those of different units can be compared.

strips = diabetes.parameter_influence().plot()
print(strips.frame().groupby("coefficient", sort=False).head(1).to_string(index=False))

# %%
# Do the scores find the rows that matter?
# ----------------------------------------
#
# Sixty of the 600 training labels become wrong. Rows are ranked on one half of the test rows, the
# model is fitted again without the first of them, and its loss measured on the other half.

rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=600, random_state=0)
flipped = rng.choice(600, 60, replace=False)
y_given = y_train.copy()
y_given[flipped] = (y_given[flipped] + rng.integers(1, 10, 60)) % 10
model = InfluenceClassifier(pipeline).fit(X_train, y_given)

curve = removal_curve(
    model, X_test[:600], y_test[:600], measured_on=(X_test[600:], y_test[600:]), n_repetitions=3
)
print(curve)
display = curve.plot()
plt.show()

# %%
# Without the rows that harm most the loss falls, and stays lower than without as many rows of the
# largest training loss; without those that help it rises. Random rows are what any removal costs.
