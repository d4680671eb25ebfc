//! `[listener.tls]`.

use crate::address::{Address, Host};
use crate::config::reader::{Checked, Reader, Reported, Section};
use crate::config::{
    CIPHERS, CertificateConfig, CertificateFiles, Cipher, ClientAuth, ClientTrust, ConfigError,
    CrlScope, NameConfig, Origin, TlsConfig, TlsStart, Truncation, Version, Versions, cipher,
};

/// What `[listener.tls]` of a listener says, if it has one; `bind` are its addresses, as far as
/// they could be read.
pub(super) fn tls(
    read: &mut Reader<'_>,
    bind: Result<&[Address], &Reported>,
) -> Checked<Option<TlsConfig>> {
    let Some(section) = read.section.parts.first() else { return Ok(None) };
    let read = &mut read.part(section);
    let suited = bind.map_or(Ok(()), |bind| streams(read, bind));
    let start = read.choice("start", [TlsStart::Connect, TlsStart::Request]);
    let names: Vec<_> =
        section.parts.iter().map(|section| name(&mut read.part(section), start)).collect();
    let names = names.into_iter().collect::<Checked<Vec<_>>>();
    let once = once(read);
    let own = own_certificate(read, bind.unwrap_or_default());
    let client_auth = client_auth(read);
    let versions = read.versions("versions");
    let ciphers = ciphers(read, versions);
    let alpn = read.protocols("alpn");
    let truncation = read.choice("truncation", [Truncation::Error, Truncation::Eof]);
    let certificates = match (own, names) {
        (Ok(own), Ok(names)) => certificates(read, own, names),
        _ => Err(Reported),
    };
    let (certificate, names) = suited.and(once).and(certificates)?;
    Ok(Some(TlsConfig {
        certificate,
        names,
        client_auth: client_auth?,
        versions: versions?,
        ciphers: ciphers?,
        alpn: alpn?,
        start: start?,
        truncation: truncation?,
        origin: section.origin.clone(),
    }))
}

/// There is no TLS for datagrams, and what looks protected has to be.
fn streams(read: &mut Reader<'_>, bind: &[Address]) -> Checked<()> {
    let mut checked = Ok(());
    for address in bind.iter().filter(|address| matches!(address, Address::Udp { .. })) {
        let why = format!(
            "{address} would be served without TLS, which is for streams; give it a listener of \
             its own"
        );
        checked = whole(read, &why);
    }
    checked
}

/// A name of `[[listener.tls.name]]`, with its certificate if it has one of its own.
struct Named {
    name: String,
    certificate: Option<CertificateFiles>,
    handler: Option<String>,
    origin: Origin,
}

fn name(read: &mut Reader<'_>, start: Checked<TlsStart>) -> Checked<Named> {
    let name = read.server_name("name");
    let certificate = files(read);
    let mut handler = read.written("handler", Reader::name);
    if matches!((start, &handler), (Ok(TlsStart::Request), Ok(Some(_)))) {
        let why = "with `start = \"request\"` the listener's handler runs before the client says \
                   a name; leave this out";
        handler = read.refuse("handler", why);
    }
    Ok(Named {
        name: name?,
        certificate: certificate?,
        handler: handler?,
        origin: read.section.origin.clone(),
    })
}

/// Every name is there once.
fn once(read: &mut Reader<'_>) -> Checked<()> {
    let mut seen: Vec<(String, &Origin)> = Vec::new();
    let mut checked = Ok(());
    for (text, origin) in read.section.parts.iter().filter_map(|section| section.text("name")) {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        match seen.iter().find(|(other, _)| *other == name) {
            None => seen.push((name, origin)),
            Some((_, other)) => {
                let message = format!("the name `{name}` is there already, at {other}");
                read.errors.push(ConfigError::new(origin.clone(), message));
                checked = Err(Reported);
            }
        }
    }
    checked
}

/// The files of a certificate, in `[listener.tls]` or for a name.
fn files(read: &mut Reader<'_>) -> Checked<Option<CertificateFiles>> {
    let certificate = read.file("certificate");
    let mut key = read.file("key");
    let mut ocsp = read.file("ocsp");
    let Some(certificate) = certificate? else {
        let why = "there is no `certificate` here that it is for";
        if matches!(key, Ok(Some(_))) {
            key = read.refuse("key", why);
        }
        if matches!(ocsp, Ok(Some(_))) {
            ocsp = read.refuse("ocsp", why);
        }
        return key.and(ocsp).and(Ok(None));
    };
    Ok(Some(CertificateFiles {
        key: key?.unwrap_or_else(|| certificate.clone()),
        certificate,
        ocsp: ocsp?,
    }))
}

/// The certificate of `[listener.tls]` itself.
fn own_certificate(read: &mut Reader<'_>, bind: &[Address]) -> Checked<Option<CertificateConfig>> {
    let files = files(read);
    let self_signed = read.boolean("self_signed");
    match (files?, self_signed?) {
        (Some(_), true) => {
            let why = "there is a `certificate`, so none is made; leave one of the two out";
            read.refuse("self_signed", why)
        }
        (Some(files), false) => Ok(Some(CertificateConfig::Files(files))),
        (None, true) => Ok(Some(CertificateConfig::SelfSigned(own_names(bind)))),
        (None, false) => Ok(None),
    }
}

/// What a certificate for development is for.
fn own_names(bind: &[Address]) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for address in bind {
        let Address::Tcp { host, .. } = address else { continue };
        let name = match host {
            Host::Ip(ip) if !ip.is_unspecified() => ip.to_string(),
            Host::Name(name) => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
            Host::Ip(_) | Host::Any => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Gives each name a certificate: its own, or that of the whole table.
fn certificates(
    read: &mut Reader<'_>,
    mut own: Option<CertificateConfig>,
    names: Vec<Named>,
) -> Checked<(Option<CertificateConfig>, Vec<NameConfig>)> {
    if own.is_none() && names.is_empty() {
        return nothing_to_show(read);
    }
    if let Some(CertificateConfig::SelfSigned(made_for)) = &mut own {
        let without = names.iter().filter(|name| name.certificate.is_none());
        made_for.extend(without.map(|name| name.name.clone()));
    }
    let mut checked = Ok(Vec::new());
    for Named { name, certificate, handler, origin } in names {
        let certificate = certificate.map(CertificateConfig::Files).or_else(|| own.clone());
        match (certificate, &mut checked) {
            (Some(certificate), Ok(names)) => {
                names.push(NameConfig { name, certificate, handler });
            }
            (Some(_), Err(_)) => {}
            (None, _) => {
                let message = "[[listener.tls.name]] has no `certificate`, and [listener.tls] has \
                               none either";
                read.errors.push(ConfigError::new(origin, message));
                checked = Err(Reported);
            }
        }
    }
    checked.map(|names| (own, names))
}

fn nothing_to_show<T>(read: &mut Reader<'_>) -> Checked<T> {
    match read.section.origin {
        Origin::Flag(_) => whole(
            read,
            "there is no certificate; give one with --tls CERT KEY, or --tls-self-signed to try \
             something",
        ),
        _ => whole(
            read,
            "[listener.tls] has no `certificate`, no [[listener.tls.name]] with one, and not \
             `self_signed = true`",
        ),
    }
}

fn client_auth(read: &mut Reader<'_>) -> Checked<ClientAuth> {
    let wanted = read.choice("client_auth", [Asked::No, Asked::Yes, Asked::MustHave]);
    let ca = read.files("client_ca");
    let crl = read.files("client_crl");
    let scope = read.choice("client_crl_scope", [CrlScope::Chain, CrlScope::Leaf]);
    let (wanted, ca, crl, crl_scope) = (wanted?, ca?, crl?, scope?);
    if wanted == Asked::No {
        let why = "`client_auth` is \"none\", so no client shows a certificate; make it \
                   \"optional\" or \"required\", or leave this out";
        let keys = ["client_ca", "client_crl", "client_crl_scope"];
        return refuse_written(read, &keys, why).and(Ok(ClientAuth::None));
    }
    if ca.is_empty() {
        let why = "there is no `client_ca`, so nobody's certificate could be checked";
        return read.refuse("client_auth", why);
    }
    if crl.is_empty() {
        let why = "there is no `client_crl`, so nothing is looked up; leave this out";
        refuse_written(read, &["client_crl_scope"], why)?;
    }
    let trust = ClientTrust { ca, crl, crl_scope };
    Ok(match wanted {
        Asked::MustHave => ClientAuth::Required(trust),
        Asked::No | Asked::Yes => ClientAuth::Optional(trust),
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Asked {
    No,
    Yes,
    MustHave,
}

/// The suites that were written, or all, for these versions.
fn ciphers(read: &mut Reader<'_>, versions: Checked<Versions>) -> Checked<Vec<&'static Cipher>> {
    let written = read.written("ciphers", Reader::ciphers)?;
    let versions = versions?;
    let fits = |cipher: &&'static Cipher| versions.has(cipher.version);
    let Some(written) = written else {
        return Ok(CIPHERS.iter().filter(fits).collect());
    };
    let mut checked = Ok(());
    for (cipher, origin) in written.iter().filter(|(cipher, _)| !fits(cipher)) {
        let version = cipher.version.as_str();
        let why = format!("{} is for TLS {version}, which is not in `versions`", cipher.iana);
        checked = read.refuse_at(origin, "ciphers", &why);
    }
    for version in [Version::Tls12, Version::Tls13] {
        let has_one = written.iter().any(|(cipher, _)| cipher.version == version);
        if versions.has(version) && !has_one {
            let of_version = CIPHERS.iter().filter(|cipher| cipher.version == version);
            let why = format!(
                "none of these is for TLS {0}, which is in `versions`; take {0} out there, or add \
                 one of {1}",
                version.as_str(),
                cipher::list(of_version)
            );
            checked = read.refuse("ciphers", &why);
        }
    }
    checked.map(|()| written.into_iter().map(|(cipher, _)| cipher).collect())
}

fn refuse_written(read: &mut Reader<'_>, keys: &[&str], why: &str) -> Checked<()> {
    let mut checked = Ok(());
    for key in keys {
        if read.section.value(key).is_some() {
            checked = read.refuse(key, why);
        }
    }
    checked
}

/// Says what is wrong with the whole table.
fn whole<T>(read: &mut Reader<'_>, why: &str) -> Checked<T> {
    let Section { origin, .. } = read.section;
    read.errors.push(ConfigError::new(origin.clone(), why));
    Err(Reported)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_certificate_for_development_is_for_the_hosts_that_are_bound() {
        let bind = ["127.0.0.1:1", "My.Host.:2", "[::2]:3", ":4", "0.0.0.0:5", "unix:x", "[::2]:6"]
            .map(|text| text.parse().unwrap());
        assert_eq!(own_names(&bind), ["localhost", "127.0.0.1", "::1", "my.host", "::2"]);
        assert!(own_names(&[]).iter().any(|name| name.parse::<IpAddr>().is_ok()));
    }
}
