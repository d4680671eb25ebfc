//! docs/config.md, made from the table of keys.

use std::fmt::Write as _;

use super::keys::{Change, DEFAULT_LISTEN, Home, KEYS, Key};

/// The reference of the configuration as Markdown: every key with what it takes, its default, its
/// flag, and what goes wrong without it.
pub fn reference() -> String {
    let mut page = START.replace("DEFAULT_LISTEN", DEFAULT_LISTEN);
    let homes = [
        Home::Server,
        Home::Listener,
        Home::Tls,
        Home::TlsName,
        Home::Handler,
        Home::Pool,
        Home::Tenant,
    ];
    for home in homes {
        let (title, about) = match home {
            Home::Server => {
                ("[server]", "What bounds the whole server. The table may be left out.")
            }
            Home::Listener => (
                "[[listener]]",
                "Where connections come in, and what bounds the peer. At least one, each with a \
                 name of its own. A key that none of a listener's addresses has a use for is \
                 refused.",
            ),
            Home::Tls => (
                "[listener.tls]",
                "TLS for the listener above it. Files are PEM or DER, at most 1MiB, lists of \
                 revoked certificates at most 64MiB. All of them are read and checked at start, \
                 and read again when the configuration is; guests never see a key.",
            ),
            Home::TlsName => (
                "[[listener.tls.name]]",
                "A name that clients ask for, with a certificate or a handler of its own, or \
                 both. Names are compared without regard to case; a name as a whole comes before \
                 one with `*.`.",
            ),
            Home::Handler => (
                "[handler.NAME]",
                "A plugin under a name, with what bounds and what is granted to the guest. Each \
                 is used by a listener. `NAME` is 1 to 64 letters, digits, `-`, `_` and `.`; one \
                 with a dot is written in quotes.",
            ),
            Home::Pool => (
                "[pool.NAME]",
                "A number of places that listeners share: those with \
                 `spawn = { pool = \"NAME\" }`. Each is used by a listener. `NAME` is like a handler's.",
            ),
            Home::Tenant => (
                "[tenant.NAME]",
                "What bounds all handlers of one owner together: those with `tenant = \"NAME\"`. \
                 Each is used by a handler; a tenant without bounds needs no table. `NAME` is like \
                 a handler's.",
            ),
        };
        push(&mut page, format_args!("\n## `{title}`\n\n{about}\n"));
        for key in KEYS.iter().filter(|key| key.home == home) {
            entry(&mut page, key);
        }
    }
    page
}

fn entry(page: &mut String, key: &Key) {
    push(page, format_args!("\n### `{}`\n\n{}\n\n", key.name, key.doc));
    push(page, format_args!("- Takes {}.\n", code(&key.kind.in_file())));
    match key.default.in_words(|toml| format!("`{toml}`")) {
        Some(default) => push(page, format_args!("- Default: {default}.\n")),
        None => push(page, format_args!("- Must be there.\n")),
    }
    if let Some(flag) = key.flag {
        let again = if flag.repeat { ", once or more" } else { "" };
        let words: Vec<_> = std::iter::once(flag.name).chain(flag.values()).collect();
        push(page, format_args!("- Flag of `run`: `--{}`{again}.\n", words.join(" ")));
    }
    if key.change == Change::Restart {
        push(page, format_args!("- Fixed at start: a change needs a restart or an upgrade.\n"));
    }
    push(page, format_args!("- Without it: {}\n", lower(key.without)));
}

/// Puts the TOML in a phrase into code marks: strings, and whatever is in brackets, of which a
/// phrase has one pair.
fn code(phrase: &str) -> String {
    let end = |from: usize| match phrase[from..].chars().next() {
        Some('"') => phrase[from + 1..].find('"').map(|length| from + 1 + length),
        _ => phrase.rfind(['}', ']']),
    };
    let mut out = String::new();
    let mut at = 0;
    while let Some(from) = phrase[at..].find(['"', '{', '[']).map(|skipped| at + skipped) {
        let Some(to) = end(from) else { break };
        push(&mut out, format_args!("{}`{}`", &phrase[at..from], &phrase[from..=to]));
        at = to + 1;
    }
    out + &phrase[at..]
}

fn lower(sentence: &str) -> String {
    let mut chars = sentence.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    // A `String` takes everything.
    let _ = page.write_fmt(text);
}

const START: &str = r#"<!-- Made from the table of keys in host/src/config by its tests: UPDATE_EXPECT=1 rewrites it. -->
# Configuration

`portcell serve` reads a TOML file, `portcell.toml` by default; `portcell check` does everything
that `serve` does before it listens. A key that does not exist, a wrong type or a value out of
bounds is an error that names the file and the line, and all errors of a file are shown at once.

```toml
[server]
drain_timeout = "10s"

[[listener]]
name = "echo"
bind = ["tcp://127.0.0.1:7000", "unix:echo.sock"]
handler = "echo"
idle_timeout = "5m"

[handler.echo]
module = "echo.wasm"
memory = "16MiB"
env = { GREETING = "hello" }
```

`portcell run PLUGIN.wasm` takes the same keys as flags: `--idle-timeout 5m`, `--memory 16MiB`,
`--env GREETING=hello`, `--dir www::/www` (read-only; `www::/www::rw` is not),
`--accept-backoff 10ms..1s`, `--when-full queue:100:2s`, `--keepalive 60s:10s:3`,
`--min-rate 1KiB:10s`, `--guest-log 20:64KiB:1KiB`, `--tls cert.pem key.pem`. It makes one handler and one listener, both called after the plugin's
file; without `--listen` they are at `DEFAULT_LISTEN`. `--max-connections` and `--max-flows` are the server's.

Relative paths in a file are taken from the file's folder, those of flags from the current one.

## Values

**Durations** are numbers with a unit, `ms`, `s`, `m`, `h` or `d`: `"10ms"`, `"1.5s"`, `"1h30m"`.
A limit takes a duration or `"none"`, never 0.

**Sizes** are bytes, or numbers with a unit: `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `KB`,
`MB`, `GB`, `TB` (powers of 1000): `"64KiB"`, `"16MiB"`, `65536`.

**Addresses** say where to listen:

| address | means |
| --- | --- |
| `tcp://127.0.0.1:7000`, `127.0.0.1:7000` | one IPv4 address |
| `tcp://[::1]:7000`, `[::1]:7000` | one IPv6 address; the brackets must be there |
| `tcp://localhost:7000`, `localhost:7000` | a name, looked up at start |
| `tcp://:7000`, `:7000`, `7000` | every interface, IPv4 and IPv6 |
| `tcp://127.0.0.1:0` | a free port; the line printed at start says which |
| `tcp://:http`, `:http` | a port by the name of its service (services(5)), looked up when the file is read |
| `udp://127.0.0.1:5353`, `udp://:domain` | UDP; everything that `tcp://` can be, but the scheme must be there |
| `unix:/run/echo.sock`, `unix:echo.sock` | a Unix socket, at most 107 bytes with its folder |
| `unix:@echo` | a Unix socket with a name that is no file (Linux) |
| `fd://web` | a socket that the server is started with, by its name (`LISTEN_FDNAMES`, systemd's `FileDescriptorName=`) |
| `fd://3` | the same by its number, 3 or more |

**Folders** in `dirs` have `host`, a folder that is there when the server starts; `guest`, the
absolute path under which the guest opens it; and `write`, which is false if it is left out.
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_in_phrases_is_code() {
        for (phrase, marked) in [
            ("true or false", "true or false"),
            (r#"a "b" or "c""#, r#"a `"b"` or `"c"`"#),
            (r#""none" or { a = "b" }"#, r#"`"none"` or `{ a = "b" }`"#),
            (r#"[{ a = "b" }], or 1"#, r#"`[{ a = "b" }]`, or 1"#),
        ] {
            assert_eq!(code(phrase), marked);
        }
    }

    #[test]
    fn every_key_has_its_entry() {
        let page = reference();
        for key in KEYS {
            assert!(page.contains(&format!("\n### `{}`\n\n{}\n", key.name, key.doc)));
        }
        assert!(page.contains("- Takes a duration like `\"30s\"`, or `\"none\"`.\n"));
    }
}
