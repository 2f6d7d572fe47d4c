//! The search for one match, row by row: threads in the order in which SQL prefers them; the first that reaches the end ends those behind it.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::error::Result;
use framesql_udfs::interrupt;

use super::program::Instruction;
use crate::error::Error;

/// Threads of one search: as many ways to read the same rows.
const MOST_THREADS: usize = 10_000;
/// From so many on, threads that cannot differ any more are looked for.
const MANY_THREADS: usize = 8;

/// The variables of the rows of a thread, the last first; shared by the threads that came out of it.
#[derive(Debug)]
struct Step {
    variable: usize,
    before: Option<Arc<Step>>,
}

impl Drop for Step {
    /// One after the other: a path may be longer than the stack is deep.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(mut step) = next.and_then(Arc::into_inner) {
            next = step.before.take();
        }
    }
}

#[derive(Debug)]
struct Thread {
    /// The `Row` that takes the next row.
    at: usize,
    path: Option<Arc<Step>>,
}

fn labels(path: Option<&Arc<Step>>) -> Vec<usize> {
    let mut labels = Vec::new();
    let mut next = path;
    while let Some(step) = next {
        labels.push(step.variable);
        next = step.before.as_ref();
    }
    labels.reverse();
    labels
}

/// What a search asks about its rows.
pub(super) trait Conditions {
    /// Whether the condition of a variable holds for the row, if that is known without the rows before it.
    fn of_row(&self, variable: usize) -> Option<bool>;
    /// Whether it holds with the variables of the rows so far, the row's own the last.
    fn of_rows(&self, labels: &[usize]) -> Result<bool>;
    /// Whether any condition looks at the rows before.
    fn remembers(&self) -> bool;
    /// What conditions may still read of the rows so far: threads at one place with the same of it end alike.
    fn memory(&self, labels: &[usize]) -> Vec<usize>;
}

/// A search that began at some row.
#[derive(Debug)]
pub(super) struct Attempt {
    threads: Vec<Thread>,
    best: Option<Arc<Step>>,
    /// Rows taken.
    pub(super) n_rows: usize,
}

impl Attempt {
    /// A search before its first row. A pattern matches at least one.
    pub(super) fn new(program: &[Instruction]) -> Attempt {
        let mut threads = Vec::new();
        let mut seen = HashSet::new();
        reach(program, 0, None, &mut threads, &mut seen);
        Attempt { threads, best: None, n_rows: 0 }
    }

    /// Takes the next row.
    pub(super) fn step(&mut self, program: &[Instruction], conditions: &dyn Conditions) -> Result<()> {
        interrupt::check()?;
        self.n_rows += 1;
        let mut next = Vec::new();
        let remembers = conditions.remembers();
        let merge = !remembers || self.threads.len() >= MANY_THREADS;
        let mut known = HashSet::new();
        for thread in std::mem::take(&mut self.threads) {
            let Some(Instruction::Row(variable)) = program.get(thread.at).copied() else { continue };
            let verdict = conditions.of_row(variable);
            if verdict == Some(false) {
                continue;
            }
            let path = Some(Arc::new(Step { variable, before: thread.path }));
            if verdict.is_none() && !conditions.of_rows(&labels(path.as_ref()))? {
                continue;
            }
            // The better of two threads that end alike is the one before.
            let memory = || if remembers { conditions.memory(&labels(path.as_ref())) } else { Vec::new() };
            if merge && !known.insert((thread.at, memory())) {
                continue;
            }
            let mut seen = HashSet::new();
            if reach(program, thread.at + 1, path.as_ref(), &mut next, &mut seen) {
                // What comes behind is preferred less than this match.
                self.best = path;
                break;
            }
        }
        if next.len() > MOST_THREADS {
            return Err(Error::unsupported(
                format!("a PATTERN with more than {MOST_THREADS} ways to read the same rows"),
                "Make its conditions exclude each other, or its quantifiers smaller.",
            )
            .into());
        }
        self.threads = next;
        Ok(())
    }

    /// Whether no further row changes the result.
    pub(super) fn decided(&self) -> bool {
        self.threads.is_empty()
    }

    /// The variables of the rows of the match as far as the rows go; None if there is none.
    pub(super) fn result(&self) -> Option<Vec<usize>> {
        self.best.as_ref().map(|best| labels(Some(best)))
    }
}

/// Goes on from `at` to every `Row` that can be reached without one; true if the match's end is reached, where what is preferred less stops.
fn reach(program: &[Instruction], at: usize, path: Option<&Arc<Step>>, threads: &mut Vec<Thread>, seen: &mut HashSet<usize>) -> bool {
    let mut next = vec![at];
    while let Some(at) = next.pop() {
        // To be here again without a row between is to go in a circle.
        if !seen.insert(at) {
            continue;
        }
        match program.get(at) {
            Some(Instruction::Row(_)) => threads.push(Thread { at, path: path.cloned() }),
            Some(Instruction::Split(first, second)) => next.extend([*second, *first]),
            Some(Instruction::Jump(to)) => next.push(*to),
            Some(Instruction::Match) => return true,
            None => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::pattern::Part;
    use crate::run::pattern::program::program;

    /// Variable 0 is true for 'a' and 'x', 1 for 'b' and 'x'.
    struct Letter(char);

    impl Conditions for Letter {
        fn of_row(&self, variable: usize) -> Option<bool> {
            Some(self.0 == 'x' || self.0 == if variable == 0 { 'a' } else { 'b' })
        }

        fn of_rows(&self, _: &[usize]) -> Result<bool> {
            Ok(true)
        }

        fn remembers(&self) -> bool {
            false
        }

        fn memory(&self, _: &[usize]) -> Vec<usize> {
            Vec::new()
        }
    }

    fn search(part: &Part, rows: &str) -> (Option<Vec<usize>>, bool) {
        let program = program(part).unwrap();
        let mut attempt = Attempt::new(&program);
        for letter in rows.chars() {
            if attempt.decided() {
                break;
            }
            attempt.step(&program, &Letter(letter)).unwrap();
        }
        (attempt.result(), attempt.decided())
    }

    fn repeat(variable: usize, least: u32, most: Option<u32>, greedy: bool) -> Part {
        Part::Repeat { part: Box::new(Part::Variable(variable)), least, most, greedy }
    }

    #[test]
    fn greedy_takes_all_it_can_and_reluctant_as_little() {
        let greedy = Part::Sequence(vec![repeat(0, 1, None, true), Part::Variable(1)]);
        let reluctant = Part::Sequence(vec![repeat(0, 1, None, false), Part::Variable(1)]);
        assert_eq!(search(&greedy, "axxb"), (Some(vec![0, 0, 0, 1]), true));
        // The last x may be either; as A it goes on, and the match with it as B stays the best so far.
        assert_eq!(search(&greedy, "axx"), (Some(vec![0, 0, 1]), false));
        assert_eq!(search(&reluctant, "axxb"), (Some(vec![0, 1]), true));
    }

    #[test]
    fn the_first_of_a_choice_is_preferred() {
        let one = Part::Choice(vec![Part::Sequence(vec![Part::Variable(0), Part::Variable(1)]), Part::Variable(0)]);
        assert_eq!(search(&one, "ab"), (Some(vec![0, 1]), true));
        assert_eq!(search(&one, "aa"), (Some(vec![0]), true));
        assert_eq!(search(&one, "b"), (None, true));
    }

    #[test]
    fn a_group_that_may_be_empty_is_no_circle() {
        let inner = Part::Repeat { part: Box::new(repeat(0, 0, None, true)), least: 0, most: None, greedy: true };
        assert_eq!(search(&Part::Sequence(vec![inner, Part::Variable(1)]), "aaab"), (Some(vec![0, 0, 0, 1]), true));
    }

    #[test]
    fn a_long_path_is_dropped_without_the_stack() {
        let rows = "a".repeat(300_000);
        assert_eq!(search(&repeat(0, 1, None, true), &rows).0.map(|labels| labels.len()), Some(300_000));
    }
}
