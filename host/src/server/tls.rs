//! How listeners come to TLS: profiles are loaded, put into service, and replaced when their files
//! change.

use std::sync::Arc;

use super::error::StartError;
use super::listener::Listener;
use super::serve::Tls;
use super::watch::Watched;
use super::{Profiles, Server};
use crate::config::{Config, ListenerConfig, TlsStart};
use crate::listener::{Handshaking, Life};
use crate::tls::Profile;

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

impl Server {
    /// The profiles of `config`, in place of those that are in service.
    pub(super) async fn load_profiles(&self, config: &Config) -> Result<Profiles, StartError> {
        let (listeners, old) = (config.listeners.clone(), self.profiles.clone());
        let loading = tokio::task::spawn_blocking(move || load(&listeners, &old));
        loading.await.map_err(StartError::Loading)?
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

    /// Waits until files of the profiles have changed. Safe to cancel.
    pub(super) async fn files_change(watched: &mut Watched, profiles: &Profiles) {
        let files = profiles.values().flat_map(|profile| profile.files()).cloned().collect();
        watched.change(files).await;
    }

    /// Takes what is in the files now; what cannot be used is left alone.
    pub(super) async fn read_again(&mut self) {
        match self.load_profiles(&self.config).await {
            Ok(profiles) => {
                let is_new = |(name, profile): (&String, &Arc<Profile>)| {
                    !self.profiles.get(name).is_some_and(|old| old.is_like(profile))
                };
                let renewed: Vec<_> =
                    profiles.iter().filter(|new| is_new(*new)).map(|new| new.0.clone()).collect();
                self.profiles = profiles;
                for name in renewed {
                    let Some(listener) = self.listeners.get(&name) else { continue };
                    if let Some(running) = listener.running() {
                        self.renew(listener, &running.services.streams.tls);
                    }
                    tracing::info!("{name}: new certificates are in force");
                }
                self.watched.is_good();
            }
            Err(error) if self.watched.is_bad() => {
                for line in error.to_string().lines() {
                    tracing::error!("the old certificates stay in force: {line}");
                }
            }
            // Certificate and key are written one after the other.
            Err(_) => {}
        }
    }
}
