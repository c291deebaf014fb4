//! Where a prediction differs from what happened.

use super::predict::Prediction;
use super::record::{Outcome, Record};

/// The differences, one line each; empty when the two agree in every file, name, order and error text.
pub(super) fn differences(real: &Record, prediction: &Prediction) -> Vec<String> {
    let predicted = &prediction.record;
    let mut lines = Vec::new();
    for (position, step) in real.steps.iter().enumerate() {
        let Some(other) = predicted.steps.get(position) else {
            lines.push(format!("{}: the loader goes on, the prediction ends before", step.what));
            break;
        };
        let (mut happened, mut said) = (normal(&step.outcome), normal(&other.outcome));
        if prediction.without_attempt.contains(&position) {
            happened = without_error_number(happened);
            said = without_error_number(said);
        }
        if happened != said {
            lines.push(format!(
                "{}:\n    loader: {}\n    pgsym:  {}",
                step.what,
                show(&happened),
                show(&said)
            ));
        }
    }
    if predicted.steps.len() > real.steps.len() {
        lines.push("the loader stopped at the start, the prediction goes on".to_owned());
    }
    lines
}

/// The loader's text at start has the program's name and a sentence before it, and knows the texts of few error numbers
/// (elf/dl-minimal.c `__strerror_r`).
fn normal(outcome: &Outcome) -> Outcome {
    const NUMBERS: [(&str, &str); 3] = [
        (": Error 20", ": Not a directory"),
        (": Error 21", ": Is a directory"),
        (": Error 40", ": Too many levels of symbolic links"),
    ];
    match outcome {
        Outcome::Failed(text) => {
            // musl names every missing library of a program, a line each; the first is what ends it.
            let text = text.lines().next().unwrap_or_default().trim_end();
            let text =
                text.rsplit_once("error while loading shared libraries: ").map_or(text, |(_, text)| text);
            let number = NUMBERS
                .iter()
                .find_map(|(number, words)| Some(text.strip_suffix(number)?.to_owned() + words));
            Outcome::Failed(number.unwrap_or_else(|| text.to_owned()))
        }
        Outcome::Loaded(_) => outcome.clone(),
    }
}

fn without_error_number(outcome: Outcome) -> Outcome {
    const SENTENCE: &str = "cannot open shared object file";
    match outcome {
        Outcome::Failed(text) => Outcome::Failed(match text.find(SENTENCE) {
            Some(start) => text[..start + SENTENCE.len()].to_owned(),
            None => text,
        }),
        loaded @ Outcome::Loaded(_) => loaded,
    }
}

fn show(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(text) => format!("fails: {text}"),
        Outcome::Loaded(objects) => {
            let names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
            format!("{names:?}")
        }
    }
}
