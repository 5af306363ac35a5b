#!/usr/bin/env python3
"""Holds models against scikit-learn and onnxruntime.

    models.py BINARY

Run it with the Python that tests/readers/setup.sh makes. Models are trained by the binary on a lake that it wrote, and what they score is
computed again here from their files; models of scikit-learn are imported as ONNX, and score what onnxruntime says. SEED repeats a run.
"""

import argparse
import csv
import hashlib
import io
import json
import math
import os
import pathlib
import subprocess
import tempfile
import time
import warnings

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from pipeline import DATAFLOWS, Pipeline

warnings.filterwarnings("ignore")
ROWS = 1_000
FEATURES = ["a", "b", "c", "d"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    options = parser.parse_args()
    seed = int(os.environ.get("SEED", time.time()))
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        lake = make_lake(options.binary, root)
        models = Models(options.binary, lake)
        trained = train_all(models)
        refuse_all(models)
        models.proves(root)
        imported = import_all(models, root, numpy.random.default_rng(seed))
    print(f"ok: {trained} trained models, {imported} imported ones")


class Models:
    """The commands that make and ask models, on one lake."""

    def __init__(self, binary, lake):
        self.binary, self.lake = binary, lake

    def run(self, *arguments, text=None):
        done = subprocess.run([self.binary, *arguments, "--lake", str(self.lake)], input=text, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def json(self, *arguments):
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def train(self, name, query, *arguments):
        return self.json("train", name, "--from", query, *arguments)

    def body(self, name, id):
        """The model's file, whose name must be the hash of its content."""
        content = (self.lake / "_tidelake" / "models" / name / f"{id}.json").read_bytes()
        assert hashlib.sha256(content).hexdigest() == id, "a model is not what it is named by"
        return json.loads(content)

    def scores(self, name, features, rows):
        lines = [",".join(features)]
        for row in rows:
            lines.append(",".join("" if math.isnan(it) else repr(float(it)) for it in row))
        code, out, err = self.run("model", "score", name, text="\n".join(lines) + "\n")
        assert code == 0, err
        found = out.split("\n")[1:-1]
        assert len(found) == len(rows), f"{len(found)} scores of {len(rows)} rows"
        return numpy.array([float(it) if it else math.nan for it in found])

    def sql(self, query):
        code, out, err = self.run("sql", query, "-o", "csv")
        assert code == 0, err
        return list(csv.DictReader(io.StringIO(out)))

    def files(self):
        return sorted(str(it) for it in (self.lake / "_tidelake" / "models").rglob("*") if it.is_file())

    def proves(self, root):
        """Models are no part of a dataflow: the proof has nothing against them."""
        command = [self.binary, "verify", str(DATAFLOWS / "web_logs"), "--input", str(root / "input"), "--lake", str(self.lake)]
        assert subprocess.run(command, capture_output=True).returncode == 0, "the proof failed"


def make_lake(binary, root):
    files = root / "input"
    generate = [binary, "gen", "--count", "10000", "--out", str(files)]
    subprocess.run([*generate, "--seed", "3", "--start", "2026-01-31T12:00:00Z"], check=True)
    with Pipeline(binary, DATAFLOWS / "web_logs", root, files) as pipeline:
        pipeline.start()
        pipeline.wait_value("SELECT count(*) FROM lake.logs", 10_000)
        # While a server runs; what it learned from is there again when more has come.
        models = Models(binary, root / "lake")
        query = "SELECT response_time, bytes_sent FROM lake.logs"
        early = models.train("early", query)
        subprocess.run([*generate, "--seed", "4", "--start", "2026-01-31T13:00:00Z"], check=True)
        pipeline.wait_value("SELECT count(*) FROM lake.logs", 20_000)
        again = models.train("early", query, "--as-of", str(early["trained"]["epoch"]))
        later = models.train("early", query)
        bodies = [models.body("early", it["id"])["body"] for it in (early, again, later)]
        assert bodies[0] == bodies[1] != bodies[2], "an earlier epoch is not what it was"
        assert early["trained"]["tables"] == again["trained"]["tables"] != later["trained"]["tables"]
        pipeline.stop()
    return root / "lake"


QUERY = "SELECT response_time, status_code, bytes_sent FROM lake.logs"
LABELLED = (
    "SELECT bytes_sent, response_time, CASE WHEN method = 'GET' THEN 1 ELSE 0 END AS get,"
    " CASE WHEN response_time + bytes_sent / 200.0 > 400 THEN 1 ELSE 0 END AS slow FROM lake.logs"
)


def train_all(models):
    forest = models.train("forest", QUERY)
    again = models.train("forest", QUERY)
    assert (again["id"], again["version"]) == (forest["id"], forest["version"]), "the same rows gave another model"
    turned = models.train("forest", QUERY + " ORDER BY bytes_sent DESC")
    assert turned["version"] == 2 and turned["id"] != forest["id"], "the query is part of a model"
    same = [models.body("forest", it["id"])["body"] for it in (forest, turned)]
    assert same[0] == same[1], "the order of rows changed what was learned"
    epoch = forest["trained"]["epoch"]
    past = models.train("past", QUERY, "--as-of", str(epoch))
    assert past["trained"]["tables"] == forest["trained"]["tables"]
    rows = numpy.array([[float(it) for it in row.values()] for row in models.sql(QUERY + " LIMIT 3000")])
    check_forest(models.body("forest", turned["id"])["body"]["forest"], rows, models.scores("forest", forest["features"], rows))
    for seed in (1, 2):
        for kind in ("isolation-forest", "k-means"):
            model = models.train(f"seed{seed}", QUERY, "--kind", kind, "--seed", str(seed))
            stability = model["evaluation"]["stability"]
            assert 0.985 < stability["agreement_least"], f"{kind}: {stability}"
            assert 0.5 < stability["jaccard_mean"], f"{kind}: {stability}"
    boosted = models.train("slow", LABELLED, "--kind", "gradient-boosting", "--label", "slow")
    check_boosting(models, boosted)
    number = models.train(
        "size", "SELECT response_time, status_code, bytes_sent + response_time * 100.0 AS size FROM lake.logs",
        "--kind", "gradient-boosting", "--label", "size",
    )
    numbers = number["evaluation"]["numbers"]
    assert numbers["rmse"] < 0.95 * numbers["baseline_rmse"], numbers
    listed = {it["name"]: it["version"] for it in models.json("model", "list")}
    assert listed["forest"] == 2 and listed["early"] == 3, listed
    return len(listed)


def check_forest(forest, rows, scores):
    """Computes the formula of scikit-learn over the trees of a file: paths, and c(n) of what a leaf holds."""
    trees, sample = forest["trees"], forest["sample"]

    def further(n):
        if n < 3:
            return float(n == 2)
        return 2 * (math.log(n - 1) + numpy.euler_gamma) - 2 * (n - 1) / n

    table = numpy.array([further(n) for n in range(sample + 1)])
    single = rows.astype(numpy.float32).astype(numpy.float64)

    def leaves(child, depth):
        """All leaves of a tree: their path, which must be a depth and a c(n), and n."""
        found, waiting = {}, [(child, depth)]
        while waiting:
            at, depth = waiting.pop()
            if at >= 0:
                waiting += [(trees["yes"][at], depth + 1), (trees["no"][at], depth + 1)]
                continue
            weight = trees["weights"][-1 - at]
            n = int(numpy.argmin(abs(table[1:] - (weight - depth)))) + 1
            assert abs(table[n] - (weight - depth)) < 1e-9, f"a leaf at depth {depth} has path {weight}"
            found[at] = depth + table[n], n
        return found

    paths = numpy.zeros(len(rows))
    for root in trees["roots"]:
        found = leaves(root, 0)
        assert sum(n for _, n in found.values()) == sample, "a tree was not grown from the sample"
        at = numpy.full(len(rows), root)
        for _ in range(64):
            inside = at >= 0
            if not inside.any():
                break
            here = at[inside]
            values = single[inside][numpy.arange(len(here)), numpy.array(trees["features"])[here]]
            yes = values <= numpy.array(trees["thresholds"])[here]
            at[inside] = numpy.where(yes, numpy.array(trees["yes"])[here], numpy.array(trees["no"])[here])
        paths += numpy.array([found[it][0] for it in at])
    expected = 2.0 ** (-paths / len(trees["roots"]) / table[sample])
    worst = abs(expected - scores).max()
    assert worst < 1e-9, f"scores differ from the formula by {worst}"


def check_boosting(models, model):
    rows = models.sql(LABELLED)
    points = numpy.array([[float(row[it]) for it in model["features"]] for row in rows])
    labels = numpy.array([int(row["slow"]) for row in rows])
    scores = models.scores("slow", model["features"], points)
    assert ((0 <= scores) & (scores <= 1)).all()
    area = roc_auc_score(labels, scores)
    told = model["evaluation"]["classes"]
    assert abs(area - told["roc_auc"]) < 0.05, f"over all rows {area}, held out {told}"
    assert abs(average_precision_score(labels, scores) - told["average_precision"]) < 0.05, told
    missing = points.copy()
    missing[::3, 0] = math.nan
    assert numpy.isfinite(models.scores("slow", model["features"], missing)).all(), "boosting can do without a value"


def refuse_all(models):
    before = models.files()
    wrong = [
        ("few", "SELECT response_time, bytes_sent FROM lake.logs LIMIT 20", [], "20 rows"),
        ("constant", "SELECT response_time, 7 AS seven FROM lake.logs", [], '"seven" is 7 in every row'),
        ("text", "SELECT response_time, method FROM lake.logs", [], "CASE WHEN"),
        ("nan", "SELECT response_time, CASE WHEN response_time > 250 THEN CAST('NaN' AS DOUBLE) ELSE 1.0 END AS it FROM lake.logs", [], "NaN"),
        ("leak", "SELECT response_time, bytes_sent, response_time > 250 AS slow FROM lake.logs",
         ["--kind", "gradient-boosting", "--label", "slow"], 'feature "response_time" alone'),
        ("same", "SELECT response_time, bytes_sent, bytes_sent AS b FROM lake.logs",
         ["--kind", "gradient-boosting", "--label", "b"], 'feature "bytes_sent" is the label itself'),
        ("class", "SELECT response_time, bytes_sent, false AS bad FROM lake.logs",
         ["--kind", "gradient-boosting", "--label", "bad"], "is 1 in 0 of"),
        ("none", "SELECT response_time, bytes_sent FROM lake.logs", ["--label", "nothing"], "no column"),
        ("past", QUERY, ["--as-of", "2001-01-01T00:00:00Z"], "as of 2001"),
        ("table", "SELECT a FROM lake.nothing", [], "no view or table"),
        ("Name", QUERY, [], "lower-case"),
    ]
    for name, query, arguments, text in wrong:
        code, out, err = models.run("train", name, "--from", query, *arguments)
        assert code != 0 and text in err and not out, f"{name}: exit {code}, {err}"
    code, _, err = models.run("model", "score", "nothing", text="a\n1\n")
    assert code != 0 and "no model" in err, err
    assert models.files() == before, "what was refused changed the lake"


def import_all(models, root, random):
    """Imports models of scikit-learn and compares each with onnxruntime."""
    points = random.normal(size=(800, len(FEATURES))).astype(numpy.float32)
    value = points[:, 0] * 2 + points[:, 1] ** 2 - points[:, 2] * points[:, 3]
    two = (value > 1).astype(int)
    three = numpy.array(["low", "mid", "top"])[(value > 0).astype(int) + (value > 2)]
    gaps = points.copy()
    gaps[random.random(gaps.shape) < 0.1] = numpy.nan
    state = int(random.integers(1 << 31))
    kept = {"random_state": state}
    cases = [
        # Name, model, points and labels, whether rows may have gaps, arguments of the import.
        ("rf", RandomForestClassifier(40, max_depth=8, **kept).fit(points, two), True, {}),
        ("rf_nan", RandomForestClassifier(20, **kept).fit(gaps, two), True, {}),
        ("rf_words", RandomForestClassifier(30, **kept).fit(points, three), True, {"class": "top"}),
        ("rf_number", RandomForestRegressor(30, **kept).fit(points, value), True, {}),
        ("extra", ExtraTreesClassifier(20, **kept).fit(points, two), True, {}),
        ("gb", GradientBoostingClassifier(n_estimators=60, **kept).fit(points, two), True, {}),
        ("gb_words", GradientBoostingClassifier(n_estimators=20, **kept).fit(points, three), True, {"class": "mid"}),
        ("gb_number", GradientBoostingRegressor(n_estimators=60, **kept).fit(points, value), True, {}),
        ("tree", DecisionTreeClassifier(**kept).fit(points, two), True, {}),
        ("tree_number", DecisionTreeRegressor(**kept).fit(gaps, value), True, {}),
        ("isolation", IsolationForest(n_estimators=25, **kept).fit(points), False, {}),
        ("logistic", make_pipeline(StandardScaler(), LogisticRegression()).fit(points, two), False, {}),
        ("logistic_words", make_pipeline(MinMaxScaler(), LogisticRegression()).fit(points, three), False, {"class": "low"}),
        ("robust", make_pipeline(RobustScaler(), LogisticRegression()).fit(points, two), False, {}),
        ("normal", make_pipeline(Normalizer(), LogisticRegression()).fit(points, two), False, {}),
        ("linear", make_pipeline(StandardScaler(), LinearRegression()).fit(points, value), False, {}),
        ("sgd", SGDClassifier(loss="log_loss", **kept).fit(points, two), False, {}),
        ("centres", KMeans(n_clusters=1, n_init=1, **kept).fit(points), False, {}),
    ]
    for name, model, may_miss, arguments in cases:
        has_classes = hasattr(model, "predict_proba") or hasattr(model, "decision_function") and hasattr(model, "classes_")
        options = {"zipmap": False} if has_classes and name != "gb" else None
        opset = {"": 18, "ai.onnx.ml": 3}
        file = to_onnx(model, points[:1], options=options, target_opset=opset)
        check_import(models, root, name, file, rows_of(random, may_miss), arguments)
        if name == "isolation":
            rows = rows_of(random, False)
            ours = models.scores(name, FEATURES, rows)
            assert abs(ours - (model.score_samples(rows) - model.offset_)).max() < 1e-4, "scikit-learn itself says otherwise"
    newest = trees_of_five(random)
    check_import(models, root, "five", newest, rows_of(random, True), {})
    for name, transform in (("mixed", "NONE"), ("mixed_odds", "LOGISTIC")):
        check_import(models, root, name, negative_trees(random, transform), rows_of(random, True), {})
    refuse_imports(models, root, cases, points)
    return len(cases) + 3


def rows_of(random, may_miss):
    rows = (random.normal(size=(ROWS, len(FEATURES))) * 1.5).astype(numpy.float32)
    if may_miss:
        rows[random.random(rows.shape) < 0.05] = numpy.nan
    return rows


def check_import(models, root, name, file, rows, arguments):
    path = root / f"{name}.onnx"
    path.write_bytes(file.SerializeToString())
    flags = [it for key, value in arguments.items() for it in (f"--{key}", value)]
    info = models.json("model", "import", str(path), name, "--features", ",".join(FEATURES), *flags)
    assert info["trained"]["imported"] == hashlib.sha256(path.read_bytes()).hexdigest()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.SerializeToString(), settings)
    outputs = session.run(None, {session.get_inputs()[0].name: rows})
    output = outputs[-1]
    if isinstance(output, list):
        output = numpy.array([list(it.values()) for it in output])
    output = numpy.asarray(output, dtype=numpy.float64).reshape(len(rows), -1)
    column = 1 if output.shape[1] == 2 else 0
    if "class" in arguments:
        labels = ["low", "mid", "top"]
        column = labels.index(arguments["class"])
    expected = output[:, column]
    found = models.scores(name, FEATURES, rows)
    single = found.astype(numpy.float32)
    same = (single == expected.astype(numpy.float32)).mean()
    scale = numpy.maximum(1.0, abs(expected))
    worst = (abs(found - expected) / scale).max()
    print(f"{name}: {same:.1%} of scores are the same bits, the others differ by at most {worst:.1e}")
    assert worst < 2e-6, f"{name} differs from onnxruntime by {worst}"
    if name in ("rf", "rf_nan", "rf_words", "rf_number", "extra", "gb_number", "tree", "tree_number", "five", "mixed"):
        assert same == 1.0, f"{name}: sums of float32 in the same order are not the same"


def trees_of_five(random):
    """TreeEnsemble of ai.onnx.ml 5: full trees of depth 3 and a leaf alone, with every way to compare."""
    modes, features, splits, missing, yes, no, yes_leaf, no_leaf, weights, roots = ([] for _ in range(10))
    for _ in range(20):
        first, first_leaf = len(modes), len(weights)
        roots.append(first)
        for at in range(7):
            modes.append(int(random.integers(0, 6)))
            features.append(int(random.integers(0, len(FEATURES))))
            splits.append(float(random.normal()))
            missing.append(int(random.integers(0, 2)))
            leaf = at >= 3
            yes.append(first_leaf + 2 * (at - 3) if leaf else first + 2 * at + 1)
            no.append(first_leaf + 2 * (at - 3) + 1 if leaf else first + 2 * at + 2)
            yes_leaf.append(int(leaf))
            no_leaf.append(int(leaf))
        weights += [float(it) for it in random.normal(size=8)]
    node = helper.make_node(
        "TreeEnsemble", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=1, aggregate_function=1, post_transform=0,
        nodes_modes=numpy_helper.from_array(numpy.array(modes, dtype=numpy.uint8)), nodes_featureids=features,
        nodes_splits=numpy_helper.from_array(numpy.array(splits, dtype=numpy.float32)), nodes_missing_value_tracks_true=missing,
        nodes_truenodeids=yes, nodes_falsenodeids=no, nodes_trueleafs=yes_leaf, nodes_falseleafs=no_leaf,
        leaf_targetids=[0] * len(weights), leaf_weights=numpy_helper.from_array(numpy.array(weights, dtype=numpy.float32)),
        tree_roots=roots,
    )
    return model_of([node], 5)


def negative_trees(random, transform):
    """A classifier of two classes whose trees only speak of one, with weights of both signs."""
    count = 9
    node = helper.make_node(
        "TreeEnsembleClassifier", ["X"], ["label", "Y"], domain="ai.onnx.ml", post_transform=transform, classlabels_int64s=[0, 1],
        nodes_treeids=[it for it in range(count) for _ in range(3)], nodes_nodeids=[0, 1, 2] * count,
        nodes_featureids=[it for at in range(count) for it in (at % len(FEATURES), 0, 0)],
        nodes_modes=["BRANCH_LT", "LEAF", "LEAF"] * count, nodes_values=[float(it) for it in random.normal(size=3 * count)],
        nodes_truenodeids=[1, 0, 0] * count, nodes_falsenodeids=[2, 0, 0] * count, nodes_missing_value_tracks_true=[1, 0, 0] * count,
        class_treeids=[it for it in range(count) for _ in range(2)], class_nodeids=[1, 2] * count, class_ids=[0] * (2 * count),
        class_weights=[float(it) for it in random.normal(size=2 * count)],
    )
    return model_of([node], 3)


def model_of(nodes, opset):
    rows = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, len(FEATURES)])
    scores = helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None, None])
    graph = helper.make_graph(nodes, "trees", [rows], [scores])
    sets = [helper.make_opsetid("ai.onnx.ml", opset), helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=sets, ir_version=9)


def refuse_imports(models, root, cases, points):
    before = models.files()
    file = root / "wrong.onnx"

    def refused(content, text, *flags, features=FEATURES):
        file.write_bytes(content)
        code, _, err = models.run("model", "import", str(file), "wrong", "--features", ",".join(features), *flags)
        assert code != 0 and text in err, f"exit {code}, {err}"

    good = (root / "rf_words.onnx").read_bytes()
    refused(b"no model", "no ONNX file")
    refused(good, "say with --class")
    refused(good, "no class", "--class", "none")
    refused(good, "no output", "--output", "none")
    refused(good, "4 features, and --features names 3", "--class", "top", features=FEATURES[:3])
    refused(good[: len(good) // 2], "ONNX")
    model = onnx.load_model_from_string((root / "tree.onnx").read_bytes())
    model.graph.node[0].op_type = "SVMClassifier"
    refused(model.SerializeToString(), "SVMClassifier: it is not known here")
    model = onnx.load_model_from_string((root / "tree.onnx").read_bytes())
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "nodes_truenodeids":
            attribute.ints[0] = 0
    refused(model.SerializeToString(), "not a tree")
    assert models.files() == before, "what was refused changed the lake"


if __name__ == "__main__":
    main()
