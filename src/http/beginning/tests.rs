//! What is answered before the first epoch.

use crate::http::testing::{Server, app_before_its_first_epoch};
use crate::model::Epoch;
use crate::view::Part;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn before_the_first_epoch_probes_are_answered_and_others_wait() {
    let app = app_before_its_first_epoch();
    let server = Arc::new(Server::start(Arc::clone(&app)).await);
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 503);
    let asked = Arc::clone(&server);
    let mut views = tokio::spawn(async move { asked.get("/api/v1/views").await });
    let soon = tokio::time::timeout(Duration::from_millis(100), &mut views);
    assert!(soon.await.is_err(), "it waits");
    app.hub.publish(Part {
        through: Epoch(100),
        ..Part::default()
    });
    assert_eq!(views.await.expect("it is answered").status, 200);
}

#[tokio::test]
async fn who_waits_for_the_first_epoch_is_told_of_a_stop() {
    let server = Server::start(app_before_its_first_epoch()).await;
    let (address, asked) = (server.address, Server::at(server.address));
    let views = tokio::spawn(async move { asked.get("/api/v1/views").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(server);
    let reply = views.await.expect("it is answered");
    assert_eq!(reply.status, 503, "{address}");
    assert!(reply.text().contains("stopping"), "{}", reply.text());
}
