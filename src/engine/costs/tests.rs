//! Whose operators are whose, what their time adds up to, and what is told of state.

use super::*;

struct Kept(Held);

impl Keeps for Kept {
    fn held(&mut self) -> Held {
        self.0
    }
}

fn names(all: &[&str]) -> Sharers {
    all.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn operators_belong_to_the_relation_that_is_rendered() {
    let mut owners = Owners::default();
    let view = owners.turn_to(&names(&["a"]), None, 2);
    let shared = owners.turn_to(&names(&["a", "b"]), None, 4);
    owners.turn_back(shared, 7);
    owners.turn_back(view, 9);
    owners.turn_to(&names(&["b"]), None, 10);
    let told: Vec<Option<&str>> = owners
        .by_operator(12)
        .into_iter()
        .map(|it| it.map(|it| owners.all[it].relations.last().map_or("", String::as_str)))
        .collect();
    let (a, b) = (Some("a"), Some("b"));
    assert_eq!(told, [None, None, a, a, b, b, b, a, a, None, b, b]);
}

#[test]
fn a_worker_tells_what_all_operators_of_a_relation_keep() {
    let mut owners = Owners::default();
    let before = owners.turn_to(&names(&["a"]), None, 0);
    let first = owners.keep(Kept(Held { rows: 1, bytes: 10 }));
    owners.turn_back(before, 1);
    let before = owners.turn_to(&names(&["b"]), None, 1);
    owners.keep(Kept(Held {
        rows: 2,
        bytes: 200,
    }));
    owners.keep(Kept(Held {
        rows: 3,
        bytes: 300,
    }));
    owners.turn_back(before, 2);
    let costs = Costs::default();
    let mut meter = Meter::new(owners, 3, 2, &costs, &busy::Busy::default());
    meter.tell();
    let told = |costs: &Costs| -> Vec<(usize, String, u64, u64)> {
        let all = costs.now().into_iter();
        all.map(|it| (it.worker, it.relations.join("+"), it.rows, it.bytes))
            .collect()
    };
    let expected = [(3, "a".to_owned(), 1, 10), (3, "b".to_owned(), 5, 500)];
    assert_eq!(told(&costs), expected);
    // Not before a second has passed.
    first.borrow_mut().0.bytes = 11;
    meter.tell();
    assert_eq!(told(&costs), expected);
    meter.asked = None;
    meter.tell();
    assert_eq!(told(&costs)[0].3, 11);
}
