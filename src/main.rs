//! The `tidelake` command. All of it is in the library, so that what it uses is compiled once.

fn main() -> std::process::ExitCode {
    tidelake::command_line()
}
