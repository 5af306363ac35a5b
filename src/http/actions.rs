//! `POST /api/v1/incidents/{incident}/actions`: what people do about incidents. Each is a record of the source `incident_actions`, so it is in the
//! lake when the answer comes, and every process, view and notification sees it in its place among all other records.

use super::App;
use super::incidents::incident_named;
use super::problem::Problem;
use super::push;
use crate::auth::Caller;
use crate::model::{iso_of_micros, ms_to_us, wall_ms};
use crate::sql::duration_us;
use crate::sql::incidents::ACTIONS;
use axum::Json as JsonBody;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

const NOTE_CHARACTERS_MAX: usize = 2_000;
const BY_CHARACTERS_MAX: usize = 200;
const FORM: &str = "send {\"action\": \"acknowledge\", \"by\": \"your name\", \"note\": \"…\"}; actions are acknowledge, mute (with \"for\": \"2 hours\"), dismiss, and their undoing: unacknowledge, unmute, reinstate";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Somebody sees to it.
    Acknowledge,
    Unacknowledge,
    /// Nobody is told of this metric of this key for a while.
    Mute,
    Unmute,
    /// It was no anomaly.
    Dismiss,
    Reinstate,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionBody {
    pub action: Action,
    /// Who does it: needed where the server has no users, and left out where it has some, who are known.
    #[serde(default)]
    pub by: Option<String>,
    #[serde(default)]
    pub note: String,
    /// How long it is muted, such as `2 hours`.
    #[serde(default)]
    pub r#for: Option<String>,
}

impl Action {
    /// The action that is stored, and whether it is taken back.
    fn stored(self) -> (&'static str, bool) {
        match self {
            Action::Acknowledge => ("acknowledge", false),
            Action::Unacknowledge => ("acknowledge", true),
            Action::Mute => ("mute", false),
            Action::Unmute => ("mute", true),
            Action::Dismiss => ("dismiss", false),
            Action::Reinstate => ("dismiss", true),
        }
    }
}

pub async fn act(
    State(app): State<Arc<App>>,
    Path(incident): Path<String>,
    caller: Option<Extension<Caller>>,
    body: Bytes,
) -> Result<JsonBody<push::PushedRecords>, Problem> {
    let body: ActionBody = serde_json::from_slice(&body).map_err(|it| {
        Problem::bad_request(
            "bad_body",
            format!("the request body could not be read: {it}"),
        )
        .hint(FORM)
    })?;
    let wrong = |text: String| Problem::bad_request("bad_body", text).hint(FORM);
    let named = body.by.as_deref().map(str::trim);
    let by = match (&caller, named) {
        (Some(Extension(caller)), None) => caller.name.as_str(),
        (Some(Extension(caller)), Some(by)) if by == caller.name => by,
        (Some(Extension(caller)), Some(_)) => {
            let text = format!(
                "`by` is not the user who asks, who is `{}`; leave it out",
                caller.name
            );
            return Err(wrong(text));
        }
        (None, by) => by.unwrap_or_default(),
    };
    if by.is_empty() || BY_CHARACTERS_MAX < by.chars().count() {
        let text = format!("`by` must name the person, in at most {BY_CHARACTERS_MAX} characters");
        return Err(wrong(text));
    }
    if NOTE_CHARACTERS_MAX < body.note.chars().count() {
        let text = format!("`note` has more than {NOTE_CHARACTERS_MAX} characters");
        return Err(wrong(text));
    }
    let now_us = ms_to_us(wall_ms());
    let until = match (body.action, &body.r#for) {
        (Action::Mute, Some(text)) => {
            let length = duration_us(text).filter(|it| 0 < *it);
            let length = length
                .ok_or_else(|| wrong(format!("`for` '{text}' must be a time such as '2 hours'")))?;
            Some(iso_of_micros(now_us.saturating_add(length)))
        }
        (Action::Mute, None) => {
            return Err(wrong("`for` must say how long it is muted".to_owned()));
        }
        (_, None) => None,
        (_, Some(_)) => return Err(wrong("`for` belongs to the action mute only".to_owned())),
    };
    let found = incident_named(&app, &incident)?;
    let inbox = app.inboxes.get(ACTIONS).cloned().ok_or_else(|| {
        let text = format!("source `{ACTIONS}` is read from elsewhere");
        Problem::not_found("unknown_source", text)
    })?;
    let (action, undone) = body.action.stored();
    let about = match action {
        "mute" => found.series,
        _ => found.incident,
    };
    let record = json!({
        "about": about,
        "action": action,
        "by": by,
        "at": iso_of_micros(now_us),
        "until": until,
        "note": body.note,
        "undone": undone,
    });
    let records = vec![record.to_string().into_bytes()];
    push::push(&inbox, ACTIONS, records).await.map(JsonBody)
}
