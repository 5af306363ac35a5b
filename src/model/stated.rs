//! Options of statements: what each is called, takes and means.
//!
//! A parser knows an option by its line in such a list, and the reference of the documentation is printed from the same lines, so
//! that there is no option without a description and no description without an option.

/// An option of a `WITH (…)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatedOption {
    pub name: &'static str,
    /// What it takes.
    pub values: &'static str,
    /// What holds if it is not stated; empty if it must be.
    pub default: &'static str,
    pub about: &'static str,
}

/// A line of such a list.
pub const fn option(
    name: &'static str,
    values: &'static str,
    default: &'static str,
    about: &'static str,
) -> StatedOption {
    StatedOption {
        name,
        values,
        default,
        about,
    }
}

/// Whether there is an option of this name.
pub fn is_option(options: &[StatedOption], name: &str) -> bool {
    options.iter().any(|it| it.name == name)
}

/// Their names as a sentence lists them.
pub fn names_listed(options: &[StatedOption]) -> String {
    let names: Vec<&str> = options.iter().map(|it| it.name).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
