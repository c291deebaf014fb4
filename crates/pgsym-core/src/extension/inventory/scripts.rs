//! Reads the scripts of the extensions, each file once and all processors at work.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::run::{Run, Runs};
use super::{Reading, ScriptRecord};
use crate::error::FileError;
use crate::extension::control::Control;
use crate::extension::name::{ScriptName, script_name};
use crate::extension::script::{Script, parse_script, read_script, substitutions};
use crate::extension::sql::{Declaration, Dialect, StandardConformingStrings};
use crate::extension::tree::{Extension, Plan, required_schemas};
use crate::extension::update_graph::Step;
use crate::fs::{FileId, Fs};

/// A script to read: the extension's index, the step and whether the chain has it.
pub(super) struct Job<'a> {
    extension: usize,
    step: Step,
    run: Run,
    of: &'a Extension,
}

pub(super) fn jobs_of(index: usize, extension: &Extension, reading: Reading) -> Vec<Job<'_>> {
    let chain: &[Step] = match &extension.plan {
        Plan::Chain(chain) => chain,
        _ => &[],
    };
    let mut jobs = jobs_of_chain(index, extension, chain.to_vec());
    if reading == Reading::All {
        let files = extension.files.as_deref().unwrap_or_default();
        let others = files.iter().filter_map(|file| match script_name(&extension.name, file)? {
            ScriptName::Install(version) => Some(Step::Install(version.to_vec())),
            ScriptName::Update(from, to) => Some(Step::Update(from.to_vec(), to.to_vec())),
            ScriptName::Ignored => None,
        });
        let runs = Runs::new(extension);
        jobs.extend(others.filter(|step| !chain.contains(step)).map(|step| {
            let run = runs.of(&step);
            Job { extension: index, step, run, of: extension }
        }));
    }
    jobs
}

/// The scripts that the command which was asked about runs.
pub(super) fn jobs_of_chain(index: usize, extension: &Extension, chain: Vec<Step>) -> Vec<Job<'_>> {
    let job = |step| Job { extension: index, step, run: Run::Asked, of: extension };
    chain.into_iter().map(job).collect()
}

/// Reads the scripts in parallel, each file once: the same file under another name, with the same replacements,
/// says the same. `major` is the version that is taken, `known` the one that the question tells.
pub(super) fn read_scripts(
    fs: &dyn Fs,
    extensions: &[Extension],
    jobs: Vec<Job<'_>>,
    major: u32,
    known: Option<u32>,
) -> Vec<(usize, ScriptRecord)> {
    type Key = (FileId, Control, Vec<(Vec<u8>, Vec<u8>)>);
    let prepared: Vec<_> = jobs
        .into_par_iter()
        .map(|job| {
            let path = job.of.script_path(&job.step);
            let control = job.of.control_for(fs, &job.step, major);
            let metadata = fs.metadata(&path).ok();
            let key: Option<Key> = control.as_ref().ok().and_then(|control| {
                let schemas = required_schemas(control, extensions, job.of.site, major);
                Some((metadata.as_ref()?.id, without_places(control), schemas))
            });
            let length = metadata.map_or(0, |metadata| metadata.len);
            (job, path, control, key, length)
        })
        .collect();
    let mut first: HashMap<&Key, usize> = HashMap::new();
    let source: Vec<usize> = prepared
        .iter()
        .enumerate()
        .map(|(index, (.., key, _))| key.as_ref().map_or(index, |key| *first.entry(key).or_insert(index)))
        .collect();
    // The largest first: one of them at the end would leave the other threads with nothing to do.
    let mut order: Vec<_> =
        prepared.iter().enumerate().filter(|(index, _)| source.get(*index) == Some(index)).collect();
    order.sort_by_key(|(_, (.., length))| Reverse(*length));
    let read: HashMap<usize, Result<Arc<Script>, FileError>> = order
        .into_par_iter()
        .with_max_len(1)
        .map(|(index, (job, path, control, key, _))| {
            // The scripts of an extension whose control file is broken are read all the same: for a version's own file
            // as if it were not there, for the primary one as if it were empty.
            let default = Control::default();
            let primary = job.of.control.as_ref().unwrap_or(&default);
            let control = control.as_ref().unwrap_or(primary);
            let schemas = key.as_ref().map(|(.., schemas)| schemas.as_slice()).unwrap_or_default();
            let script = read_script(fs, path).and_then(|bytes| {
                let values = substitutions(control, schemas);
                let dialect = Dialect { major: known, ..Dialect::default() };
                parse_script(&bytes, &values, control.encoding.as_deref(), dialect).map(Arc::new)
            });
            (index, script)
        })
        .collect();
    prepared
        .into_iter()
        .zip(source)
        .filter_map(|((job, path, control, ..), source)| {
            let script = read.get(&source)?.clone();
            let record = ScriptRecord { step: job.step, path, run: job.run, control, script };
            Some((job.extension, record))
        })
        .collect()
}

/// Reads again what an earlier script of the chain makes the server read differently: `SET
/// standard_conforming_strings` outlives the script that says it.
pub(super) fn reread_with_other_strings(
    fs: &dyn Fs,
    scripts: &mut [ScriptRecord],
    extensions: &[Extension],
    site: usize,
    major: u32,
    known: Option<u32>,
) {
    let mut strings = StandardConformingStrings::On;
    for record in scripts.iter_mut().filter(|record| record.is_reachable()) {
        if strings == StandardConformingStrings::Off
            && let Ok(control) = &record.control
        {
            let schemas = required_schemas(control, extensions, site, major);
            record.script = read_script(fs, &record.path).and_then(|bytes| {
                let values = substitutions(control, &schemas);
                let dialect = Dialect { strings, major: known };
                parse_script(&bytes, &values, control.encoding.as_deref(), dialect).map(Arc::new)
            });
        }
        let declarations = record.script.iter().flat_map(|script| &script.declarations);
        for (_, declaration) in declarations {
            if let Declaration::SetStandardConformingStrings(setting) = declaration {
                strings = *setting;
            }
        }
    }
}

/// The parameters without the places where they were said, which do not change what a script says.
fn without_places(control: &Control) -> Control {
    Control {
        requires_place: None,
        default_version_place: None,
        module_pathname_place: None,
        comment: None,
        ..control.clone()
    }
}
