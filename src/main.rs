//! The program: everything it does is in cli.

fn main() {}
