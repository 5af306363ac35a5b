//! `page.toml` beside a `dataflow.sql`: how a page shows this dataflow, where its own choice does not please.

use serde::Deserialize;

/// What the file says. All of it may be left out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PageSettings {
    /// In place of the name of the dataflow.
    pub title: Option<String>,
    /// Panels in their order; views that are not named come after them.
    #[serde(default, rename = "panel")]
    pub panels: Vec<PanelSettings>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PanelSettings {
    pub view: String,
    pub title: Option<String>,
    /// Whether the view has no panel.
    #[serde(default)]
    pub hidden: bool,
}

impl PageSettings {
    /// # Errors
    /// Says with its line what is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|it| it.to_string())
    }

    pub fn panel(&self, view: &str) -> Option<&PanelSettings> {
        self.panels.iter().find(|it| it.view == view)
    }
}
