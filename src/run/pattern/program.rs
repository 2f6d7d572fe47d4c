//! A pattern as a program for threads: take a row, go on in two places, match. What a reader of the pattern would prefer is tried first.

use datafusion::error::Result;

use crate::error::Error;
use crate::plan::pattern::Part;

/// Instructions that a pattern may have: a counted part is there once for each time.
const MOST_INSTRUCTIONS: usize = 10_000;

/// One step of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    /// Take a row as this variable.
    Row(usize),
    /// Go on at both, the first preferred.
    Split(usize, usize),
    /// Go on there.
    Jump(usize),
    /// A match ends here.
    Match,
}

/// The program of a pattern; it starts at 0. Errs if it is too long.
pub(super) fn program(part: &Part) -> Result<Vec<Instruction>> {
    let mut program = Vec::new();
    add(part, &mut program)?;
    program.push(Instruction::Match);
    Ok(program)
}

fn add(part: &Part, program: &mut Vec<Instruction>) -> Result<()> {
    if program.len() > MOST_INSTRUCTIONS {
        return Err(Error::unsupported(
            format!("a PATTERN of more than {MOST_INSTRUCTIONS} steps"),
            "Take smaller numbers in its quantifiers: each time counts as a step.",
        )
        .into());
    }
    match part {
        Part::Variable(variable) => program.push(Instruction::Row(*variable)),
        Part::Sequence(parts) => parts.iter().try_for_each(|part| add(part, program))?,
        Part::Choice(parts) => {
            let mut ends = Vec::new();
            for (at, part) in parts.iter().enumerate() {
                if at + 1 == parts.len() {
                    add(part, program)?;
                    break;
                }
                let split = hole(program);
                add(part, program)?;
                ends.push(hole(program));
                let next = program.len();
                fill(program, split, Instruction::Split(split + 1, next));
            }
            let end = program.len();
            ends.into_iter().for_each(|at| fill(program, at, Instruction::Jump(end)));
        }
        Part::Repeat { part, least, most, greedy } => {
            for _ in 0..*least {
                add(part, program)?;
            }
            match most {
                None => {
                    let split = hole(program);
                    add(part, program)?;
                    program.push(Instruction::Jump(split));
                    let end = program.len();
                    fill(program, split, either(split + 1, end, *greedy));
                }
                Some(most) => {
                    let mut splits = Vec::new();
                    for _ in *least..*most {
                        splits.push(hole(program));
                        add(part, program)?;
                    }
                    let end = program.len();
                    splits.into_iter().for_each(|at| fill(program, at, either(at + 1, end, *greedy)));
                }
            }
        }
    }
    Ok(())
}

fn either(more: usize, fewer: usize, greedy: bool) -> Instruction {
    if greedy { Instruction::Split(more, fewer) } else { Instruction::Split(fewer, more) }
}

/// A place for an instruction whose target is not known yet.
fn hole(program: &mut Vec<Instruction>) -> usize {
    program.push(Instruction::Match);
    program.len() - 1
}

fn fill(program: &mut [Instruction], at: usize, instruction: Instruction) {
    if let Some(slot) = program.get_mut(at) {
        *slot = instruction;
    }
}
