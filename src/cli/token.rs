//! `tidelake token`: makes what a user is known by.

use crate::auth::{Role, Token, check_name};
use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::json;

#[derive(Subcommand)]
pub enum What {
    /// Makes a token, shows it once, and prints the lines for the file with users.
    #[command(
        after_help = "Examples:\n  tidelake token new --role admin --name anna\n  tidelake token new --role metrics --name prometheus --json\n\nRoles: metrics reads metrics and the health; read also reads and queries views, log and lake; admin also pushes records, acts on incidents, saves queries and boards, and replays dead letters."
    )]
    New {
        /// What its user may: read, admin or metrics.
        #[arg(long)]
        role: Role,
        /// The user's name: letters, digits, and . _ - @ +
        #[arg(long, default_value = "NAME", value_parser = name)]
        name: String,
        /// Print a JSON object: name, role, token and hash.
        #[arg(long)]
        json: bool,
    },
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

pub fn run(what: &What) -> Result<()> {
    let What::New { role, name, json } = what;
    let token = Token::random().context("the system has no randomness to give")?;
    let hash = token.hash();
    if *json {
        let object =
            json!({"name": name, "role": role, "token": token.as_str(), "hash": hash.to_string()});
        println!("{object}");
        return Ok(());
    }
    println!("{}", token.as_str());
    println!();
    println!("# The token above is shown this once. These lines go into the file of --auth-file:");
    println!("[[users]]\nname = \"{name}\"\nrole = \"{role}\"\ntoken = \"{hash}\"");
    Ok(())
}
