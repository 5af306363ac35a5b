//! What the text of a dataflow says of a column or relation: `COMMENT ON COLUMN orders.total IS '[role = money, unit = EUR] What was paid'`.

use super::{Meaning, Role};

/// A text for people, and what it settles for programs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comment {
    pub role: Option<Role>,
    pub unit: Option<String>,
    scale: Option<Scale>,
    /// Without what stands in brackets; nothing if that is all.
    pub text: Option<String>,
}

/// Where step `n` of a scale begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// At `base ^ (n / per)`.
    Exponential { base: f64, per: f64 },
    /// At `step * n`.
    Linear { step: f64 },
}

impl Scale {
    pub fn lower_bound(self, step: i64) -> f64 {
        let n = step as f64;
        match self {
            Scale::Exponential { base, per } => base.powf(n / per),
            Scale::Linear { step } => step * n,
        }
    }

    /// `2^(n/2)` or `25*n`.
    fn parse(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|it| !it.is_whitespace()).collect();
        let positive = |it: &str| {
            it.parse::<f64>()
                .ok()
                .filter(|it| it.is_finite() && 0.0 < *it)
        };
        if let Some(step) = text.strip_suffix("*n") {
            return Some(Scale::Linear {
                step: positive(step)?,
            });
        }
        let (base, exponent) = text.split_once('^')?;
        let base = positive(base).filter(|it| 1.0 < *it)?;
        let per = match exponent {
            "n" => 1.0,
            _ => {
                let per = exponent.strip_prefix("(n/")?.strip_suffix(')')?;
                positive(per)?
            }
        };
        Some(Scale::Exponential { base, per })
    }
}

impl Comment {
    /// # Errors
    /// Says which word in brackets is not understood, and which are.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some(rest) = text.strip_prefix('[') else {
            return Ok(Comment {
                text: (!text.is_empty()).then(|| text.to_owned()),
                ..Comment::default()
            });
        };
        let Some((settings, rest)) = rest.split_once(']') else {
            return Err("the comment has a `[` without its `]`".to_owned());
        };
        let mut comment = Comment {
            text: (!rest.trim().is_empty()).then(|| rest.trim().to_owned()),
            ..Comment::default()
        };
        for setting in settings.split(',') {
            let Some((name, value)) = setting.split_once('=') else {
                return Err(format!(
                    "`{}` says nothing; write [role = duration, unit = ms]",
                    setting.trim()
                ));
            };
            let value = value.trim();
            match name.trim() {
                "role" => {
                    let found = Role::ALL.into_iter().find(|it| it.name() == value);
                    let Some(role) = found else {
                        let all: Vec<&str> = Role::ALL.iter().map(|it| it.name()).collect();
                        return Err(format!(
                            "there is no role `{value}`; there are: {}",
                            all.join(", ")
                        ));
                    };
                    comment.role = Some(role);
                }
                "unit" if !value.is_empty() && value.chars().count() <= 12 => {
                    comment.unit = Some(value.to_owned());
                }
                "unit" => return Err("a unit has 1 to 12 characters".to_owned()),
                "scale" => match Scale::parse(value) {
                    Some(it) => comment.scale = Some(it),
                    None => {
                        return Err(format!(
                            "`{value}` is no scale; write where step n begins, as 2^(n/2) or 25*n"
                        ));
                    }
                },
                other => {
                    return Err(format!(
                        "a comment settles role, unit and scale, not `{other}`"
                    ));
                }
            }
        }
        if comment.scale.is_some() != (comment.role == Some(Role::Bin)) {
            return Err(
                "a scale belongs to role = bin, and a bin needs one: [role = bin, unit = ms, scale = 2^(n/2)]"
                    .to_owned(),
            );
        }
        Ok(comment)
    }

    /// Whether it settles something of a column.
    pub fn is_of_columns(&self) -> bool {
        self.role.is_some() || self.unit.is_some() || self.scale.is_some()
    }

    /// What a column means of which this is said.
    pub fn over(&self, meaning: Meaning) -> Meaning {
        let role = self.role.unwrap_or(meaning.role);
        let unit = match (&self.unit, self.role) {
            (Some(it), _) => Some(it.clone()),
            (None, Some(_)) => None,
            (None, None) => meaning.unit,
        };
        Meaning {
            role,
            unit,
            statistic: meaning.statistic,
            scale: self.scale.or(meaning.scale),
            // One that only settles a role leaves what was said of it where it comes from.
            comment: self.text.clone().or(meaning.comment),
            counts_records: meaning.counts_records,
            is_certain: true,
        }
    }
}
