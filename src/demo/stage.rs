//! What a watcher of the demo sees: numbered steps with their times.

use std::time::Instant;

use indicatif::ProgressBar;

use super::Phase;
use crate::cli::term;

/// The screen, and the clock.
pub(super) struct Stage {
    quiet: bool,
    started: Instant,
    current: Option<(&'static str, Instant, ProgressBar)>,
    pub(super) phases: Vec<Phase>,
}

impl Stage {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, started: Instant::now(), current: None, phases: Vec::new() }
    }

    /// A line of its own.
    pub(super) fn say(&self, text: &str) {
        if self.quiet {
            return;
        }
        match &self.current {
            Some((_, _, bar)) => bar.suspend(|| term::say(text)),
            None => term::say(text),
        }
    }

    /// A step begins; `name` is for machines, `text` for people.
    pub(super) fn begin(&mut self, name: &'static str, text: &str) {
        let bar = if self.quiet { ProgressBar::hidden() } else { term::spinner(format!("   {text}")) };
        self.current = Some((name, Instant::now(), bar));
    }

    /// The step ends with this to show.
    pub(super) fn end(&mut self, text: &str) {
        let Some((name, started, bar)) = self.current.take() else { return };
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        self.phases.push(Phase { name, seconds });
        if !self.quiet {
            term::step(self.phases.len(), text, seconds);
        }
    }

    pub(super) fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}
