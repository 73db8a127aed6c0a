"""
Which training rows made the model predict that?
================================================

A logistic regression tells malignant from benign breast tumours. For the test patients it gets
most wrong, we ask which training patients led it there, and then check the answer by refitting the
model without them.
"""

# %%
# Fit
# ---
#
# ``InfluenceClassifier`` takes the pipeline as it is. It fits a clone, predicts as the pipeline
# does, and keeps the training rows that its scores are about.

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
y = y.map({0: "malignant", 1: "benign"})
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

model = InfluenceClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
model.fit(X_train, y_train)

accuracy = model.score(X_test, y_test)
print(f"{len(X_train)} training patients, {len(X_test)} test patients, accuracy {accuracy:.3f}")

# %%
# The test patients it gets most wrong
# ------------------------------------
#
# The loss of a patient is minus the logarithm of the probability given to the true diagnosis.

given = model.predict_proba(X_test)[np.arange(len(y_test)), model.classes_.searchsorted(y_test)]
worst = np.argsort(given)[:3]
X_worst, y_worst = X_test.iloc[worst], y_test.iloc[worst]

print("The worst predictions:")
for patient, diagnosis, p in zip(y_worst.index, y_worst, given[worst], strict=True):
    print(f"  patient {patient}: {diagnosis}, predicted with p = {p:.2f}, loss {-np.log(p):.2f}")

# %%
# Who helped, who harmed
# ----------------------
#
# A score is the predicted change of a test patient's loss if one training patient were removed and
# the model fitted again. Positive: the loss would rise, so the row helps. Negative: the loss would
# fall, so it harms. Rows are named by the labels of the training frame, tests by those of the test
# frame.

influence = model.influence(X_worst, y_worst)
table = influence.to_frame(k=3)
table["diagnosis"] = y_train.loc[table["row"]].to_numpy()

print("Training patients that helped and harmed most; score: change of the test loss if removed")
print(table.set_index(["test", "effect", "rank"]).round({"score": 3}))

# %%
# Is it true?
# -----------
#
# The check removes the 30 training rows with the largest scores, one at a time, refits
# scikit-learn's own estimator, and compares the change of each test loss with its score. A
# correlation does not notice a prediction that is half as large as the truth; the slope and the
# relative error do.

check = model.leave_one_out_check(X_worst, y_worst, rows=30)
print(check.summary())

# %%
# The scores are those of one Newton step, in which a row's own curvature leaves with the row. The
# plain influence function (first order) does without, and predicts too little:

plain = model.leave_one_out_check(X_worst, y_worst, rows=30, method="first_order")
print(f"method='first_order': slope {plain.slope:.2f}, relative error {plain.relative_error:.2f}")

# %%
# One picture: predicted against actual change. On the line they agree.

display = check.plot()

# sphinx_gallery_start_ignore
import sys

if "sphinx_gallery" not in sys.modules:  # run as a script
    display.figure_.savefig("quickstart.png", dpi=150)
    print("Saved quickstart.png: predicted against actual change.")
# sphinx_gallery_end_ignore
