//! What spans cost and do where nothing is traced.

use super::*;

#[tokio::test]
async fn without_a_collector_spans_are_empty_and_work_goes_on() {
    let span = Span::here("query");
    assert!(!span.is_recorded() && span.0.is_none());
    let named = || unreachable!("nobody asks for the name of what is not traced");
    assert!(!Span::of_request(named, &reqwest::header::HeaderMap::new()).is_recorded());
    span.fail("code", || unreachable!("nor for its words"));
    span.note("retry", || unreachable!("nor for those"));
    let child = span.child("plan");
    assert!(child.0.is_none());
    let done = child.around(async { Span::current().0.is_none() }).await;
    assert!(done);
}
