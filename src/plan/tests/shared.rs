//! Which aggregations share a pass, and what it yields.

use super::*;
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::ScalarFunctionExpr;

/// The function that the planner puts in for the bounds of a window.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundOf(&'static str, Signature);

impl ScalarUDFImpl for BoundOf {
    fn name(&self) -> &str {
        self.0
    }
    fn signature(&self) -> &Signature {
        &self.1
    }
    fn return_type(&self, _: &[DataType]) -> datafusion::common::Result<DataType> {
        Ok(time())
    }
    fn invoke_with_args(
        &self,
        args: ScalarFunctionArgs,
    ) -> datafusion::common::Result<ColumnarValue> {
        Ok(args.args[0].clone())
    }
}

fn bound(of: &Plan, name: &'static str, size_us: i64) -> Arc<dyn PhysicalExpr> {
    let function = BoundOf(name, Signature::any(2, Volatility::Immutable));
    let function = ScalarFunctionExpr::try_new(
        Arc::new(ScalarUDF::from(function)),
        vec![column(of, 0), lit(size_us)],
        &of.schema(),
        Arc::new(ConfigOptions::default()),
    );
    Arc::new(function.expect("a call"))
}

fn ids(passes: &[Pass]) -> Vec<Vec<&str>> {
    let ids = |it: &'_ Pass| it.aggregations.len();
    let mut all: Vec<Vec<&str>> = passes
        .iter()
        .inspect(|it| assert_ne!(ids(it), 0))
        .map(|it| it.aggregations.iter().map(|it| it.id.as_str()).collect())
        .collect();
    all.sort();
    all
}

#[test]
fn aggregations_that_take_columns_as_they_are_share_a_pass() {
    let (s, o) = (relation("s"), relation("o"));
    let by_k = || mapped(s.clone(), None, vec![column(&s, 2), column(&s, 1)]);
    let large = mapped(s.clone(), Some(is_large(&s, 2)), vec![column(&s, 1)]);
    let computed = mapped(s.clone(), None, vec![next(&s, 2)]);
    let views = [
        view("a", counted(by_k(), "a.0", vec![1], Window::None)),
        view("b", counted(s.clone(), "b.0", vec![2, 1], Window::None)),
        view("c", counted(large, "c.0", vec![0], Window::None)),
        view("d", counted(computed, "d.0", vec![0], Window::None)),
        view("e", counted(o, "e.0", vec![0], Window::None)),
    ];
    let passes = passes(&views);
    assert_eq!(
        ids(&passes),
        [vec!["a.0", "b.0"], vec!["c.0"], vec!["d.0"], vec!["e.0"]]
    );
    // Each column once, and the keys where they are then.
    let shared = passes
        .iter()
        .find(|it| it.aggregations.len() == 2)
        .expect("one is shared");
    assert_eq!(shared.input.schema().fields().len(), 2);
    let name = |pass: &Pass, key: usize| pass.input.schema().field(key).name().clone();
    let keys = shared
        .aggregations
        .iter()
        .map(|it| it.keys.iter().map(|key| name(shared, *key)).collect());
    assert_eq!(
        keys.collect::<Vec<Vec<String>>>(),
        [vec!["k"], vec!["n", "k"]]
    );
}

#[test]
fn bounds_of_windows_share_a_pass_and_keep_their_sizes() {
    let s = relation("s");
    let windowed = |name, size_us| mapped(s.clone(), None, vec![bound(&s, name, size_us)]);
    let views = [
        view(
            "a",
            counted(
                windowed(TUMBLE_START, MINUTE_US),
                "a.0",
                vec![0],
                tumbling(0),
            ),
        ),
        view(
            "b",
            counted(windowed(TUMBLE_END, MINUTE_US), "b.0", vec![0], tumbling(0)),
        ),
        view(
            "c",
            counted(
                windowed(TUMBLE_START, 2 * MINUTE_US),
                "c.0",
                vec![0],
                tumbling(0),
            ),
        ),
        view(
            "d",
            counted(
                windowed(TUMBLE_START, MINUTE_US),
                "d.0",
                vec![0],
                tumbling(0),
            ),
        ),
        // A window of no size is not one: it fails, and in its own view.
        view(
            "e",
            counted(windowed(TUMBLE_START, 0), "e.0", vec![0], tumbling(0)),
        ),
    ];
    let passes = passes(&views);
    assert_eq!(
        ids(&passes),
        [vec!["a.0", "b.0", "c.0", "d.0"], vec!["e.0"]]
    );
    let shared = passes
        .iter()
        .find(|it| 1 < it.aggregations.len())
        .expect("one is shared");
    let bound = |size_us, add_us| {
        Some(Bound {
            time: 0,
            size_us,
            add_us,
            offset_us: 0,
        })
    };
    assert_eq!(
        shared.bounds,
        [
            bound(MINUTE_US, 0),
            bound(MINUTE_US, MINUTE_US),
            bound(2 * MINUTE_US, 0)
        ]
    );
    let keys = shared.aggregations.iter().map(|it| it.keys[0]);
    assert_eq!(keys.collect::<Vec<_>>(), [0, 1, 2, 0]);
}
