//! Which nodes of one query are one.

use super::*;

fn ids(plan: &Plan) -> Vec<&str> {
    let mut all: Vec<&str> = plan.id().into_iter().collect();
    plan.inputs().into_iter().for_each(|it| all.extend(ids(it)));
    all
}

/// The sides next to each other, as a query that has computed both.
fn beside(one: Plan, other: Plan) -> Plan {
    Plan::Union {
        schema: one.schema(),
        inputs: vec![one, other],
    }
}

#[test]
fn equal_aggregations_are_one_in_whatever_order_their_keys_are() {
    let s = relation("s");
    let by = |columns: [usize; 2]| mapped(s.clone(), None, columns.map(|it| column(&s, it)).into());
    let first = counted(by([1, 2]), "v.0", vec![0, 1], Window::None);
    let second = counted(by([2, 1]), "v.1", vec![0, 1], Window::None);
    let shared = with_repeats_shared(beside(first.clone(), second.clone()));
    assert_eq!(ids(&shared), ["v.0", "v.0"]);
    let Plan::Union { inputs, .. } = &shared else {
        panic!("{shared}");
    };
    assert_eq!(inputs[1].schema(), second.schema());
    let Plan::Map { columns, .. } = &inputs[1] else {
        panic!("{shared}");
    };
    let places = columns
        .iter()
        .map(|it| it.downcast_ref::<Column>().unwrap().index());
    assert_eq!(places.collect::<Vec<_>>(), [1, 0, 2]);
}

#[test]
fn what_differs_stays_apart() {
    let (s, o) = (relation("s"), relation("o"));
    let of =
        |plan: &Plan, id: &str, keys: Vec<usize>, window| counted(plan.clone(), id, keys, window);
    let filtered = mapped(
        s.clone(),
        Some(is_large(&s, 2)),
        vec![column(&s, 0), column(&s, 1)],
    );
    let computed = mapped(s.clone(), None, vec![next(&s, 2), column(&s, 1)]);
    let all = [
        of(&s, "v.0", vec![1], Window::None),
        of(&o, "v.1", vec![1], Window::None),
        of(&s, "v.2", vec![2], Window::None),
        of(&s, "v.3", vec![1, 2], Window::None),
        of(&s, "v.4", vec![0], Window::None),
        of(&s, "v.5", vec![0], tumbling(0)),
        of(&filtered, "v.6", vec![1], Window::None),
        of(&computed, "v.7", vec![1, 0], Window::None),
    ];
    let schema = all[0].schema();
    let inputs = all.to_vec();
    let union = with_repeats_shared(Plan::Union { inputs, schema });
    let apart: Vec<&str> = all.iter().flat_map(ids).collect();
    assert_eq!(ids(&union), apart);
}
