//! What the programs of all targets share. The targets themselves are in `src/fuzz`.

/// Holds the law of a target against some bytes.
///
/// # Panics
/// If it is broken, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = tidelake::fuzz::TARGETS.iter().find(|it| it.name == name);
    let target = target.unwrap_or_else(|| panic!("there is no target {name}"));
    (target.run)(data);
}
