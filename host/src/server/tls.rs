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
use crate::tls::{LoadErrors, Profile};

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

impl Server {
    /// The profiles of `config`, in place of those that are in service.
    pub(super) async fn load_profiles(&self, config: &Config) -> Result<Profiles, StartError> {
        let (listeners, old) = (config.listeners.clone(), self.profiles.clone());
        let loading = tokio::task::spawn_blocking(move || load(&listeners, &old));
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
        let renewed = match tokio::task::spawn_blocking(move || renew(old)).await {
            Ok(renewed) => renewed,
            Err(panicked) => return tracing::error!("certificates cannot be read: {panicked}"),
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
