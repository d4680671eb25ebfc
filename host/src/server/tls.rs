//! How listeners come to TLS: profiles are loaded, put into service, and replaced when their files
//! change.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::apply::PREPARES;
use super::error::StartError;
use super::listener::Listener;
use super::serve::Tls;
use super::watch::Watched;
use super::{Profiles, Server};
use crate::config::{Config, ListenerConfig, TlsStart};
use crate::listener::{Handshaking, Life};
use crate::tls::{LoadErrors, Profile};

/// How often is said again which certificates expire, and what else should be looked at: servers
/// run for longer than certificates are good.
pub(super) const REMIND: Duration = Duration::from_hours(24);

/// Reads and checks the certificates of all listeners, as a start does. It reads files and computes:
/// not for a thread that serves connections.
pub fn check_certificates(config: &Config) -> Result<(), StartError> {
    load(&config.listeners, &Profiles::new()).map(drop)
}

/// The profiles of listeners that have TLS, or all that is wrong with them. What `old` has and has
/// not changed stays as it is.
fn load(listeners: &[Arc<ListenerConfig>], old: &Profiles) -> Result<Profiles, StartError> {
    let mut profiles = Profiles::new();
    let mut wrong = Vec::new();
    for listener in listeners {
        let Some(tls) = &listener.tls else { continue };
        let name = &listener.name;
        let before = old.get(name);
        match Profile::load(tls, before.map(|profile| &**profile)) {
            // Nothing to say again.
            Ok(profile) if before.is_some_and(|before| before.is_like(&profile)) => {
                profiles.insert(name.clone(), Arc::new(profile));
            }
            Ok(profile) => {
                for warning in profile.warnings() {
                    tracing::warn!("{name}: {warning}");
                }
                profiles.insert(name.clone(), Arc::new(profile));
            }
            Err(errors) => wrong.push(errors),
        }
    }
    if wrong.is_empty() { Ok(profiles) } else { Err(StartError::Tls(wrong)) }
}

/// What has changed of the profiles, and what is wrong: which stays as it was. Certificate and key
/// are written one after the other, so that it need not last.
fn renew(old: Profiles) -> Vec<(String, Option<Profile>, Option<LoadErrors>)> {
    let renew = |(name, old): (String, Arc<Profile>)| {
        let (profile, errors) = old.renew();
        (name, profile.filter(|profile| !old.is_like(profile)), errors)
    };
    old.into_iter().map(renew).collect()
}

/// What should be looked at, by now, of what is in the files. What has changed there is told when
/// it is put into service.
fn doubts(profiles: Profiles) -> Vec<String> {
    let doubts = |(name, profile): (String, Arc<Profile>)| {
        let now = profile.renew().0.filter(|now| profile.is_like(now));
        let said =
            |now: Profile| now.warnings().iter().map(|doubt| format!("{name}: {doubt}")).collect();
        now.map_or_else(Vec::new, said)
    };
    profiles.into_iter().flat_map(doubts).collect()
}

impl Server {
    /// The profiles of `config`, in place of those that are in service.
    pub(super) async fn load_profiles(&self, config: &Config) -> Result<Profiles, StartError> {
        let (listeners, old) = (config.listeners.clone(), self.profiles.clone());
        let loading = spawn_blocking(move || load(&listeners, &old));
        let profiles = loading.await.map_err(StartError::Loading)??;
        for (name, profile) in &profiles {
            let made = profile.self_signed();
            if let Some(made) = &made
                && self.profiles.get(name).is_none_or(|old| old.self_signed() != Some(made.clone()))
            {
                tracing::info!(
                    "{name}: made a certificate for development, whose SHA-256 fingerprint is {made}"
                );
            }
        }
        Ok(profiles)
    }

    /// How the streams of a listener come to TLS; `None` if they are to, and nothing was loaded.
    pub(super) fn tls(&self, config: &ListenerConfig, life: &Arc<Life>) -> Option<Tls> {
        let Some(tls) = &config.tls else { return Some(Tls::Never) };
        let profile = Arc::clone(self.profiles.get(&config.name)?);
        let handshaking = Arc::new(Handshaking::new(config, tls, profile, Arc::clone(life)));
        Some(match tls.start {
            TlsStart::Connect => Tls::First(handshaking),
            TlsStart::Request => Tls::OnRequest(handshaking),
        })
    }

    /// Handshakes of a listener that runs go by its profile as it is now.
    pub(super) fn renew(&self, listener: &Listener, tls: &Tls) {
        let (Tls::First(handshaking) | Tls::OnRequest(handshaking)) = tls else { return };
        if let Some(profile) = self.profiles.get(&listener.config.name) {
            handshaking.replace(Arc::clone(profile));
        }
    }

    /// Says again what should be looked at. Nobody waits for that.
    pub(super) fn remind(&mut self) {
        self.reminder = Instant::now() + REMIND;
        let profiles = self.profiles.clone();
        tokio::spawn(async move {
            let Ok(doubts) = spawn_blocking(move || doubts(profiles)).await else { return };
            for doubt in doubts {
                tracing::warn!("{doubt}");
            }
        });
    }

    /// Waits until files of the profiles have changed. Safe to cancel.
    pub(super) async fn files_change(watched: &mut Watched, profiles: &Profiles) {
        let files = profiles.values().flat_map(|profile| profile.files()).cloned().collect();
        watched.change(files).await;
    }

    /// Takes what is in the files now; what cannot be used stays as it is, and keeps nothing else
    /// from being renewed.
    pub(super) async fn read_again(&mut self) {
        let old = self.profiles.clone();
        let _doing = self.about.begins("reads certificates");
        let renewed = match timeout(PREPARES, spawn_blocking(move || renew(old))).await {
            Ok(Ok(renewed)) => renewed,
            Ok(Err(panicked)) => return tracing::error!("certificates cannot be read: {panicked}"),
            Err(_) => {
                // It is tried again.
                if self.watched.is_bad() {
                    tracing::error!(
                        "the old certificates stay in force: to read them took longer than {} s",
                        PREPARES.as_secs()
                    );
                }
                return;
            }
        };
        let mut wrong = Vec::new();
        for (name, profile, errors) in renewed {
            wrong.extend(errors);
            let Some(profile) = profile else { continue };
            for warning in profile.warnings() {
                tracing::warn!("{name}: {warning}");
            }
            self.profiles.insert(name.clone(), Arc::new(profile));
            let Some(listener) = self.listeners.get(&name) else { continue };
            if let Some(running) = listener.running() {
                self.renew(listener, &running.services.streams.tls);
            }
            tracing::info!("{name}: new certificates are in force");
        }
        if wrong.is_empty() {
            self.watched.is_good();
        } else if self.watched.is_bad() {
            for line in wrong.iter().flat_map(|errors| errors.iter()) {
                tracing::error!("the old certificates stay in force: {line}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, Write};
    use std::sync::{Mutex, PoisonError};
    use std::time::SystemTime;

    use rcgen::{CertificateParams, KeyPair};
    use tokio::time::{advance, sleep};

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn count(&self, text: &str) -> usize {
            let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&said).matches(text).count()
        }
    }

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_serves_for_long_is_told_once_a_day_what_expires() {
        let folder = tempfile::tempdir().unwrap();
        let module =
            wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"handle\")))");
        fs::write(folder.path().join("m.wasm"), module.unwrap()).unwrap();
        let mut params = CertificateParams::new(["a.example".into()]).unwrap();
        params.not_after = (SystemTime::now() + 3 * REMIND).into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        fs::write(folder.path().join("a.pem"), certificate + &key.serialize_pem()).unwrap();
        let path = folder.path().join("portcell.toml");
        let text = "server = { cache = \"off\" }\n\
                    [[listener]]\nname = \"l\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"m\"\n\
                    [listener.tls]\ncertificate = \"a.pem\"\nkey = \"a.pem\"\n\
                    [handler.m]\nmodule = \"m.wasm\"\n";
        fs::write(&path, text).unwrap();

        let log = Log::default();
        let writer = log.clone();
        let logs = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let _logs = tracing::subscriber::set_default(logs);
        let server = Server::load(Config::read(&path).unwrap()).await.unwrap();
        let control = server.control();
        let running = tokio::spawn(server.run());
        control.status().await.unwrap();
        for told in 1..4 {
            advance(REMIND).await;
            let expires = || log.count(" expires on ");
            let said = async {
                while expires() < told {
                    sleep(Duration::from_secs(1)).await;
                }
            };
            timeout(REMIND / 2, said).await.expect("it is told");
            sleep(Duration::from_secs(5)).await;
            assert_eq!(expires(), told, "once a day");
        }
        control.stop();
        running.await.unwrap().unwrap();
    }
}
