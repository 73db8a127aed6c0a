"""
A report
========

What a reader of a model asks first, on one page: are the scores right, what stands out, which
training rows help and harm, and which decide the test rows that the model gets wrong.
"""

# %%
# A model, and data with two faults
# ---------------------------------
#
# Breast cancer, where twelve test rows are training rows, too, and eight labels are wrong.

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier

data = load_breast_cancer(as_frame=True)
X, y = data.data, data.target.map({0: "malignant", 1: "benign"})
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
X_test = pd.concat([X_test, X_train[:12]])
y_test = pd.concat([y_test, y_train[:12]])
wrong = np.random.default_rng(0).choice(len(y_train), 8, replace=False)
y_train = y_train.copy()
y_train.iloc[wrong] = np.where(y_train.iloc[wrong] == "benign", "malignant", "benign")

pipeline = make_pipeline(StandardScaler(), LogisticRegression())
model = InfluenceClassifier(pipeline).fit(X_train, y_train)

# %%
# The report
# ----------
#
# Printed it says the verdict of the check, what was found, and the rows that count most. Only the
# columns that are named are shown, wherever it goes.

report = model.report(
    X_test, y_test, columns=["mean radius", "mean texture", "target"], top=5, audit=True
)
print(report)

# %%
# In a notebook it is the page:

report

# %%
# ``report.write_html("report.html")`` is the same as a file of its own, ``report.open()`` shows it
# in a browser.
#
# Findings
# --------
#
# Each has a code, a severity, and the rows it is about.

for finding in report.findings:
    print(finding.code, finding.state, finding.severity, finding.rows[:5])

# %%
# All eight wrong labels are among the suspects:

suspects = report.audit.suggest()["row"]
print(f"{y_train.index[wrong].isin(suspects).sum()} of {len(wrong)} found in {len(suspects)} rows")

# %%
# For a pull request there is Markdown:

print(report.markdown()[:1200])
