"""A report of realistic size, with made-up numbers: what the tests of the page look at."""

import numpy as np

from skinfluence.inspection.displays import (
    DiagnosticsDisplay,
    InfluenceDisplay,
    LeaveOneOutDisplay,
)
from skinfluence.inspection.report.contents import Contents, Picture, Section, Table
from skinfluence.inspection.report.findings import Finding

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(2)</script>",
    "</style></title><!-- <script>",
    "{{ 7*7 }} {% raw %} ${7*7}",
    "' \" & &amp; \\ \\u003c `",
    "🦋 naïve 👩🏽‍🔬",
    "שלום עולם \u202e",
    "javascript:alert(3)//\u2028\x00\x07",
    "half a character \ud83d",
]


def bars(rng, n=10):
    """Return the rows that move a test row most, with columns of their own."""
    scores = np.sort(rng.normal(scale=0.2, size=n) ** 3 * 10)[::-1]
    return {
        "effect": ["helps" if each > 0 else "harms" for each in scores],
        "rank": [*range(1, n + 1)],
        "row": rng.choice(569, n, replace=False).tolist(),
        "score": scores.tolist(),
        "target": rng.choice(["malignant", "benign"], n).tolist(),
        "mean radius": rng.normal(14, 3, n).round(2).tolist(),
        "mean texture": rng.normal(19, 4, n).round(2).tolist(),
        "worst concavity": np.abs(rng.normal(0.3, 0.2, n)).tolist(),
        "worst area": rng.normal(880, 500, n).round(1).tolist(),
    }


def check(rng):
    predicted = rng.normal(scale=0.1, size=(3, 30)) * np.array([[1.0], [2.0], [4.0]])
    actual = predicted * (1.0 + rng.normal(scale=0.004, size=predicted.shape))
    picture = LeaveOneOutDisplay(
        predicted, actual, "loss", "newton", noise_floor=1e-5, fit_for="values"
    )
    return Section(
        "Can the scores be trusted?",
        "check",
        lead="Fit for values: relative error 0.0049 (noise 0.00001), slope 1.00.",
        text=(
            "The 30 training rows with the largest scores were removed one at a time, and "
            "LogisticRegression was fitted again without each. What the scores had predicted "
            "is held against what the refits did.",
        ),
        facts={
            "Pearson": "1.0000",
            "Spearman": "0.9999, median over test rows 0.9996",
            "slope": "0.9998, actual on predicted; 1 is right",
            "relative error": "0.0049; of the median test row 0.005, largest 0.0076",
            "noise floor": "1e-05 of a typical change",
            "judge": "LogisticRegression, newton-cholesky, tol=1e-12",
        },
        pictures=(
            Picture(picture, "Predicted against actual changes of loss; the points lie on y = x."),
        ),
    )


FINDINGS = (
    Finding(
        "SKI002",
        "The model is not at its minimum",
        "not found",
        text="The gradient is 3e-07 of its scale.",
    ),
    Finding(
        "SKI004",
        "Suspect labels",
        "found",
        "medium",
        "7 labels are likely wrong, and 11 (6 to 18) are expected to be, by an audit in two "
        "passes.",
        "Look at these rows first; model.label_audit() ranks all of them.",
        (297, 213, 40, 73, 541, 413, 68),
    ),
    Finding(
        "SKI001",
        "Rows of high leverage",
        "found",
        "high",
        "3 rows have a leverage above 0.8: each decides its own prediction.",
        "Compare the model with and without them: model.without([213, 152, 461]).",
        (213, 152, 461),
    ),
    Finding("SKI003", "The slope of the check is off", "not found", text="The slope is 0.9998."),
    Finding(
        "SKI005",
        "Duplicated rows",
        "found",
        "low",
        "34 rows stand more than once in the training data.",
        "Drop them, or keep equal rows on one side of the split.",
        tuple(range(100, 134)),
    ),
    Finding(
        "SKI006",
        "Groups that harm",
        "not looked for",
        text="No groups were given; groups= takes a column.",
    ),
    Finding("SKI007", "Rows that change what is selected", "ignored", text="By ignore=."),
)


def contents(n_rows=426, seed=0):
    """Return the report; the audit has n_rows lines."""
    rng = np.random.default_rng(seed)
    overall = bars(rng, 20)
    patients = {135: "benign", 263: "benign", 13: "benign", 77: "malignant", 401: "benign"}
    parts = tuple(
        Section(
            f"Test row {patient}: predicted {word}",
            f"test-{patient}",
            lead=f"Row {patient + 5} helps most, row {patient + 9} harms most.",
            facts={"loss": "2.41", "probability of the given class": "0.09"},
            tables=(
                Table("Rows that move it most, the helpful first", bars(rng), "score"),
                Table("What the test row is", {"mean radius": [13.2], "target": ["malignant"]}),
            ),
        )
        for patient, word in patients.items()
    )
    quality = np.sort(rng.random(n_rows))
    leverages = rng.beta(1, 12, 426)
    residuals = rng.normal(size=426)
    return Contents(
        "Breast cancer: what the training rows did",
        "LogisticRegression behind a StandardScaler, fitted on 426 rows and 30 columns, "
        "asked about 143 test rows.",
        (
            check(rng),
            Section(
                "Findings",
                "findings",
                lead="3 of 7 things were found, one of them of high severity.",
                findings=FINDINGS,
            ),
            Section(
                "Rows that help and harm overall",
                "overall",
                text=("Scores are changes of the mean loss of all test rows if a row is removed.",),
                pictures=(
                    Picture(
                        InfluenceDisplay(
                            np.array(overall["score"]),
                            np.array(overall["row"]),
                            "loss",
                            "All test rows",
                        ),
                        "Bars of the 20 rows that move the mean loss most.",
                    ),
                    Picture(
                        DiagnosticsDisplay(
                            leverages, residuals, leverages * residuals**2, np.arange(426)
                        ),
                        "Studentised residuals against leverages.",
                    ),
                ),
                tables=(Table("The 20 rows that move the mean loss most", overall, "score"),),
            ),
            Section(
                "Test rows",
                "test-rows",
                text=("The five test rows with the largest losses.",),
                parts=parts,
            ),
            Section(
                "Groups",
                "groups",
                tables=(
                    Table(
                        "Quarters of mean radius",
                        {
                            "group": ["0", "1", "2", "3"],
                            "rows": [107, 106, 107, 106],
                            "score": [0.021, 0.013, -0.004, 0.11],
                        },
                        "score",
                    ),
                ),
            ),
            Section(
                "Labels",
                "labels",
                lead="About 11 of 426 labels are expected to be wrong.",
                tables=(
                    Table(
                        "Labels, the most suspect first",
                        {
                            "row": rng.permutation(n_rows).tolist(),
                            "label quality": quality.tolist(),
                            "given": rng.choice(["malignant", "benign"], n_rows).tolist(),
                            "suggested": rng.choice(["malignant", "benign"], n_rows).tolist(),
                            "patient": [f"patient {each}" for each in rng.permutation(n_rows)],
                            "mean radius": rng.normal(14, 3, n_rows).tolist(),
                            "mean texture": [
                                None if each > 23 else each for each in rng.normal(19, 4, n_rows)
                            ],
                            "mean area": rng.normal(880, 200, n_rows).tolist(),
                            "smoothness": rng.normal(0.1, 0.02, n_rows).tolist(),
                            "symmetry": rng.normal(0.2, 0.02, n_rows).tolist(),
                        },
                    ),
                ),
            ),
            Section(
                "Model and data",
                "model",
                facts={
                    "estimator": "InfluenceClassifier(estimator=Pipeline(steps=[('standardscaler', "
                    "StandardScaler()), ('logisticregression', LogisticRegression())]))",
                    "data": "5d41402abc4b2a76b9719d911017c592aa6c3c8f2d8a4b6c9a6f1d2e3b4a5c6d",
                    "method": "newton",
                    "created": "2026-01-01T12:00:00+00:00",
                    "skinfluence": "0.1.0",
                    "scikit-learn": "1.9.1",
                },
            ),
        ),
    )


def hostile_contents():
    """Return a report in which everything that a user may name tries to be more than text."""
    bad = HOSTILE
    whole = np.array(bad[:-1], dtype=object)  # matplotlib refuses half a character
    display = InfluenceDisplay(np.linspace(1, -1, len(whole)), whole, bad[0], bad[1])
    sections = [
        Section(
            each,
            f"section-{at}",
            lead=each,
            text=(each,),
            findings=(
                Finding("SKI001", each, "found", "high", each, each, tuple(bad)),
                Finding("SKI002", each, "not found", "", each, each, tuple(bad)),
            ),
            facts={each: each},
            tables=(
                Table(each, {name: bad for name in bad}),
                Table(each, {each: bad * 30, "other": bad * 30}),
            ),
            parts=(Section(each, f"part-{at}", text=(each,)),),
        )
        for at, each in enumerate(bad)
    ]
    pictured = Section("Picture", "picture", pictures=(Picture(display, bad[1]),))
    return Contents(bad[0], bad[1], (*sections, pictured))
