//! One `portcell dev`: rounds of building and serving, until it is asked to end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use portcell::telemetry::Format;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Signals;
use super::build::Build;
use super::project::{Job, Project};
use super::report::{Report, seconds};
use super::service::{InService, Service};
use super::sources::{Changes, MOST, Snapshot, Sources};
use crate::cli::Failure;

/// After so many builds in a row during which sources have changed, the builds themselves are
/// likely to change them. From then on they are not ended, and wait for each other: without that
/// they would go on for ever, and none would be done.
const IN_A_ROW: u32 = 5;
const PAUSE: Duration = Duration::from_secs(5);

/// How a shell ends that has not found a command. (POSIX, Shell Command Language, 2.8.2.)
const NO_COMMAND: i32 = 127;

/// What became of a job.
struct Outcome {
    job: Job,
    /// `None` if it is built.
    failure: Option<String>,
    took: Duration,
}

/// What is developed, and how far that has come.
pub(super) struct Session {
    path: PathBuf,
    /// Builds the only handler, whatever the configuration says.
    command: Option<String>,
    report: Report,
    /// What is in service, or is to be.
    project: Project,
    /// What is to take its place when its builds are good.
    next: Option<Project>,
    sources: Sources,
    /// What there was when the builds began, and what they are not made again for.
    built: Snapshot,
    /// How many builds in a row have had changes meanwhile.
    in_a_row: u32,
    /// The one that is under way.
    build: Option<Build>,
    service: Option<Service>,
    /// The server has ended.
    over: CancellationToken,
}

impl Session {
    pub(super) fn new(
        path: &Path,
        command: Option<&str>,
        project: Project,
        format: Format,
    ) -> Result<Self, Failure> {
        let sources = watch(path, &project)?;
        Ok(Self {
            path: path.to_path_buf(),
            command: command.map(str::to_owned),
            report: Report::new(format),
            project,
            next: None,
            sources,
            built: Snapshot::default(),
            in_a_row: 0,
            build: None,
            service: None,
            over: CancellationToken::new(),
        })
    }

    /// Builds and serves until there is a signal, the server has ended, or it cannot be started.
    pub(super) async fn run(mut self, signals: &mut Signals) -> Result<(), Failure> {
        let over = self.over.clone();
        let failed = tokio::select! {
            failure = self.go_on() => Err(failure),
            () = over.cancelled() => Ok(()),
            () = signals.asked_to_end() => Ok(()),
        };
        let ended = self.end(signals).await;
        failed.and(ended)
    }

    /// Round after round; gives why there can be no other.
    async fn go_on(&mut self) -> Failure {
        let jobs = self.project.jobs.clone();
        let snapshot = self.sources.look().await;
        if snapshot.is_cut {
            let folder = self.sources.folder().display();
            self.report.say(format_args!(
                "{folder} has more than {MOST} files, and the rest is not watched; name what is \
                 no source in .gitignore"
            ));
        }
        self.built = snapshot;
        if let Err(failure) = self.round(jobs).await {
            return failure;
        }
        loop {
            let jobs = self.wait().await;
            if let Err(failure) = self.round(jobs).await {
                return failure;
            }
        }
    }

    /// Waits until something has to be built or applied; gives what is to be built for it.
    async fn wait(&mut self) -> Vec<Job> {
        loop {
            let changes = self.sources.change(&self.built, Changes::are_any).await;
            if changes.config {
                // Before it is read: what is saved later counts again.
                let now = self.sources.look().await;
                self.built.adopt_config(&now);
                if self.read_again() {
                    // What is watched may be something else now.
                    let now = self.sources.look().await;
                    self.built.keep_to(&now);
                } else if !changes.are_of_sources() {
                    continue;
                }
            }
            let wanted = self.wanted();
            if self.service.is_none() || changes.are_of_sources() {
                if changes.are_of_sources() {
                    self.report.say(format_args!("{changes}"));
                }
                let jobs = wanted.jobs.clone();
                if self.in_a_row >= IN_A_ROW {
                    self.report.say(format_args!(
                        "one build after the other finds something changed meanwhile; if they \
                         make it themselves, name it in .gitignore (waiting for {} s)",
                        PAUSE.as_secs()
                    ));
                    sleep(PAUSE).await;
                }
                return jobs;
            }
            let is_new = |job: &&Job| !self.project.jobs.contains(job);
            return wanted.jobs.iter().filter(is_new).cloned().collect();
        }
    }

    /// What is built: what is to be served.
    fn wanted(&self) -> &Project {
        self.next.as_ref().unwrap_or(&self.project)
    }

    /// Takes the configuration's file as what is wanted next. Whether it can be.
    fn read_again(&mut self) -> bool {
        let name = self.path.display().to_string();
        let read = Project::read(&self.path, self.command.as_deref());
        match read.and_then(|project| Ok((watch(&self.path, &project)?, project))) {
            Ok((sources, project)) => {
                self.report.say(format_args!("{name} has changed"));
                self.sources = sources;
                self.next = Some(project);
                true
            }
            Err(Failure::Usage(error) | Failure::Failed(error)) => {
                self.report.lines("", &error);
                if self.service.is_some() {
                    self.report.say(format_args!("the old configuration stays"));
                }
                false
            }
        }
    }

    /// Builds, and puts what is built into service. Fails where no other round could do better.
    async fn round(&mut self, jobs: Vec<Job>) -> Result<(), Failure> {
        let Some(outcomes) = self.build(&jobs).await else { return Ok(()) };
        let are_good = outcomes.iter().all(|outcome| outcome.failure.is_none());
        for outcome in &outcomes {
            self.tell_failure(outcome);
        }
        if self.service.is_none() {
            return self.start(are_good, &outcomes).await;
        }
        if let Some(next) = self.next.take() {
            if !are_good {
                self.report.say(format_args!("the old configuration stays until that is built"));
                self.next = Some(next);
            } else if self.apply(next).await {
                return Ok(());
            }
        }
        for outcome in outcomes.iter().filter(|outcome| outcome.failure.is_none()) {
            for handler in &outcome.job.handlers {
                if self.project.has(handler) {
                    self.reload(handler, outcome.took).await;
                }
            }
        }
        Ok(())
    }

    /// Builds `jobs`, anew when a source is saved meanwhile. `None` if the configuration is, which
    /// may have others.
    async fn build(&mut self, jobs: &[Job]) -> Option<Vec<Outcome>> {
        loop {
            let mut before = self.sources.look().await;
            // That was read earlier.
            before.adopt_config(&self.built);
            let outcomes = match self.try_build(jobs, &before).await {
                Ok(outcomes) => outcomes,
                Err(changes) if changes.config => return None,
                Err(_) => {
                    self.in_a_row += 1;
                    continue;
                }
            };
            let after = self.sources.look().await;
            if jobs.len() == self.wanted().jobs.len() {
                self.built = before;
            }
            if outcomes.iter().all(|outcome| outcome.failure.is_none()) {
                // They were not needed, or the builds have made them.
                self.built.adopt_new(&after);
            }
            let meanwhile = after.since(&self.built);
            self.in_a_row = if meanwhile.are_of_sources() { self.in_a_row + 1 } else { 0 };
            return Some(outcomes);
        }
    }

    /// Fails when it was ended for what was saved since `before`.
    async fn try_build(
        &mut self,
        jobs: &[Job],
        before: &Snapshot,
    ) -> Result<Vec<Outcome>, Changes> {
        let folder = Project::folder(&self.path);
        let mut outcomes = Vec::new();
        for job in jobs {
            self.report.say(format_args!("building {}: {}", job.names(), job.shown()));
            let began = Instant::now();
            let build = match Build::start(&job.command, &folder) {
                Ok(build) => self.build.insert(build),
                Err(error) => {
                    let failure = Some(format!("sh cannot be started: {error}"));
                    outcomes.push(Outcome { job: job.clone(), failure, took: began.elapsed() });
                    continue;
                }
            };
            let are_heard = self.in_a_row < IN_A_ROW;
            let saved = self.sources.change(before, |changes| {
                changes.config || (are_heard && !changes.saved.is_empty())
            });
            let status = tokio::select! {
                status = build.wait() => status,
                changes = saved => {
                    if changes.config {
                        self.report.say(format_args!("the build is ended for another configuration"));
                    } else {
                        self.report.say(format_args!("{changes}; the build is ended"));
                    }
                    if let Some(build) = self.build.take() {
                        build.end().await;
                    }
                    return Err(changes);
                }
            };
            self.build = None;
            let failure = match status {
                Ok(status) if status.success() => None,
                Ok(status) if status.code() == Some(NO_COMMAND) => Some(format!(
                    "the build failed ({status}): a command in it is not installed, or not in PATH"
                )),
                Ok(status) => Some(format!("the build failed ({status})")),
                Err(error) => Some(format!("the build cannot be waited for: {error}")),
            };
            outcomes.push(Outcome { job: job.clone(), failure, took: began.elapsed() });
        }
        Ok(outcomes)
    }

    /// Begins to serve, if that can be.
    async fn start(&mut self, are_good: bool, outcomes: &[Outcome]) -> Result<(), Failure> {
        if let Some(next) = self.next.take() {
            self.project = next;
        }
        if are_good {
            let (config, began) = (self.project.config.clone(), Instant::now());
            match Service::start(config, &self.path, &self.over, self.report.format()).await {
                Ok(service) => {
                    let service = self.service.insert(service);
                    let news = service.news().await;
                    let built: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
                    let took = built + began.elapsed();
                    for (handler, version) in news {
                        self.report.in_service(&handler, version, took);
                    }
                    let (folder, count) = (self.sources.folder().display(), self.built.count());
                    let files = if count == 1 { "file" } else { "files" };
                    self.report.say(format_args!("watching {folder} ({count} {files})"));
                    return Ok(());
                }
                Err(Failure::Usage(error)) => self.report.lines("", &error),
                Err(failure) => return Err(failure),
            }
        }
        self.report.say(format_args!("nothing is served yet; waiting for the next save"));
        Ok(())
    }

    /// Whether it was applied.
    async fn apply(&mut self, next: Project) -> bool {
        let Some(service) = &mut self.service else { return false };
        match service.apply(next.config.clone()).await {
            Ok(()) => {
                self.project = next;
                let news = service.news().await;
                self.report.say(format_args!("{} is in service", self.path.display()));
                for (handler, version) in news {
                    self.report.say(format_args!("{handler} version {version} is in service"));
                }
                true
            }
            Err(error) => {
                // What is built next may be what it needs.
                self.next = Some(next);
                self.report.lines("", &error.into());
                self.report.say(format_args!("the old configuration stays"));
                false
            }
        }
    }

    async fn reload(&mut self, handler: &str, took: Duration) {
        let Some(service) = &mut self.service else { return };
        let began = Instant::now();
        match service.reload(handler).await {
            Ok(InService::New(version)) => {
                self.report.in_service(handler, version, took + began.elapsed());
            }
            Ok(InService::Same(version)) => self.report.say(format_args!(
                "{handler}: the module is the same; version {version} stays in service ({})",
                seconds(took)
            )),
            Err(error) => {
                let stays = service.version(handler);
                self.report.lines(&format!("{handler}: "), &error.into());
                self.report.stays(handler, stays);
            }
        }
    }

    fn tell_failure(&self, outcome: &Outcome) {
        let Some(failure) = &outcome.failure else { return };
        let (names, took) = (outcome.job.names(), seconds(outcome.took));
        self.report.say(format_args!("{names}: {failure}, {took}"));
        for handler in &outcome.job.handlers {
            let version = self.service.as_ref().and_then(|service| service.version(handler));
            self.report.stays(handler, version);
        }
    }

    /// Ends what there is, in a few seconds; at another signal at once, as far as that can be.
    async fn end(mut self, signals: &mut Signals) -> Result<(), Failure> {
        let control = self.service.as_ref().map(Service::control);
        let (build, service) = (self.build.take(), self.service.take());
        let build = async {
            if let Some(build) = build {
                build.end().await;
            }
        };
        let service = async {
            match service {
                Some(service) => service.end().await,
                None => Ok(()),
            }
        };
        let both = async { tokio::join!(build, service).1 };
        tokio::pin!(both);
        tokio::select! {
            ended = &mut both => return ended,
            () = signals.asked_to_end() => {}
        }
        if let Some(control) = control {
            control.stop();
        }
        both.await
    }
}

fn watch(path: &Path, project: &Project) -> Result<Sources, Failure> {
    let sources = Sources::of(path, &project.config);
    sources.context("cannot look at the configuration's folder").map_err(Failure::Failed)
}
