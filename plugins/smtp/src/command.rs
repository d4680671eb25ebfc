//! Commands (RFC 5321 section 4.1.1) and their parameters (RFC 1870, RFC 6152).

use crate::address::{Address, is_address_literal, is_domain};
use crate::reply::Reply;

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Data,
    Hello(Client),
    Mail(Mail),
    Noop,
    Quit,
    Rcpt(Address),
    Rset,
    StartTls,
    Vrfy,
}

/// Who the client says it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// A domain or an address literal.
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
}

/// With or without extensions: EHLO or HELO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Esmtp,
    Smtp,
}

/// The beginning of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) sender: Address,
    /// How large the message will be, if the client says it, in bytes.
    pub(crate) size: Option<u64>,
    /// Whether there are parameters, which only an extension allows.
    pub(crate) is_extended: bool,
}

impl Command {
    /// Reads a line, without its end. An error is the reply to it.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, Reply> {
        let Some(line) = str::from_utf8(line).ok().filter(|line| is_printable(line)) else {
            return Err(Reply::new(500, "Commands are printable ASCII"));
        };
        // RFC 5321 section 4.1.1: trailing spaces are tolerated.
        let line = line.trim_end_matches(' ');
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "DATA" => alone(Self::Data, argument),
            "EHLO" => client(argument, Protocol::Esmtp),
            "HELO" => client(argument, Protocol::Smtp),
            "MAIL" => mail(argument),
            "NOOP" => Ok(Self::Noop),
            "QUIT" => alone(Self::Quit, argument),
            "RCPT" => recipient(argument),
            "RSET" => alone(Self::Rset, argument),
            "STARTTLS" => alone(Self::StartTls, argument),
            "VRFY" if argument.is_empty() => Err(Reply::new(501, "VRFY whom?")),
            "VRFY" => Ok(Self::Vrfy),
            "ATRN" | "AUTH" | "BDAT" | "ETRN" | "EXPN" | "HELP" | "SAML" | "SEND" | "SOML"
            | "TURN" => Err(Reply::new(502, "This command is not implemented")),
            _ => Err(Reply::new(500, "There is no such command")),
        }
    }
}

fn is_printable(line: &str) -> bool {
    line.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn alone(command: Command, argument: &str) -> Result<Command, Reply> {
    if argument.is_empty() {
        Ok(command)
    } else {
        Err(Reply::new(501, "This command has no argument"))
    }
}

fn client(name: &str, protocol: Protocol) -> Result<Command, Reply> {
    if !is_domain(name) && !is_address_literal(name) {
        return Err(Reply::new(501, "Say your domain, or your address in [brackets]"));
    }
    Ok(Command::Hello(Client { name: name.into(), protocol }))
}

fn mail(argument: &str) -> Result<Command, Reply> {
    let path = strip_keyword(argument, "FROM:")
        .ok_or_else(|| Reply::new(501, "The form is MAIL FROM:<address>"))?;
    let (sender, parameters) =
        Address::of_sender(path).map_err(|reason| Reply::new(501, reason))?;
    let mut size = None;
    let mut body = None;
    for parameter in split_parameters(parameters)? {
        let (keyword, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_again = match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => size.replace(parse_size(value)?).is_some(),
            "BODY" => body.replace(check_body(value)?).is_some(),
            _ => return Err(Reply::new(555, "There is no such parameter of MAIL")),
        };
        if is_again {
            return Err(Reply::new(501, "A parameter is given once"));
        }
    }
    Ok(Command::Mail(Mail { sender, size, is_extended: !parameters.is_empty() }))
}

fn recipient(argument: &str) -> Result<Command, Reply> {
    let path = strip_keyword(argument, "TO:")
        .ok_or_else(|| Reply::new(501, "The form is RCPT TO:<address>"))?;
    let (recipient, parameters) =
        Address::of_recipient(path).map_err(|reason| Reply::new(501, reason))?;
    match split_parameters(parameters)?.next() {
        None => Ok(Command::Rcpt(recipient)),
        Some(_) => Err(Reply::new(555, "There are no parameters of RCPT")),
    }
}

fn strip_keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = argument.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then_some(rest)
}

/// Each parameter has one space before it.
fn split_parameters(text: &str) -> Result<impl Iterator<Item = &str>, Reply> {
    let mut parameters = text.split(' ');
    let is_behind_a_space = parameters.next() == Some("");
    if is_behind_a_space && parameters.clone().all(|parameter| !parameter.is_empty()) {
        Ok(parameters)
    } else {
        Err(Reply::new(501, "Behind the address come parameters, each after one space"))
    }
}

/// Up to 20 digits; what is more than any message is that.
fn parse_size(value: &str) -> Result<u64, Reply> {
    if !(1..=20).contains(&value.len()) || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Reply::new(501, "SIZE is a number of bytes"));
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

/// Bytes are stored as they come, so both are the same here.
fn check_body(value: &str) -> Result<(), Reply> {
    if value.eq_ignore_ascii_case("7BIT") || value.eq_ignore_ascii_case("8BITMIME") {
        Ok(())
    } else {
        Err(Reply::new(501, "BODY is 7BIT or 8BITMIME"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.as_bytes()).map_err(|reply| reply.to_string())
    }

    /// Whether the reply to `line` has this code.
    fn is_refused(line: &str, code: &str) -> bool {
        parse(line).is_err_and(|reply| reply.starts_with(code))
    }

    fn sender(address: &str) -> Address {
        Address::of_sender(&format!("<{address}>")).unwrap().0
    }

    #[test]
    fn commands_are_read_in_any_case_and_with_spaces_behind_them() {
        for (line, command) in [
            ("DATA", Command::Data),
            ("data  ", Command::Data),
            ("NOOP", Command::Noop),
            ("NOOP anything at all", Command::Noop),
            ("Quit", Command::Quit),
            ("RSET", Command::Rset),
            ("StartTLS", Command::StartTls),
            ("VRFY ada", Command::Vrfy),
        ] {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn a_client_says_its_name() {
        for (line, name, protocol) in [
            ("EHLO client.example", "client.example", Protocol::Esmtp),
            ("helo localhost", "localhost", Protocol::Smtp),
            ("EHLO [127.0.0.1]", "[127.0.0.1]", Protocol::Esmtp),
        ] {
            let client = Client { name: name.into(), protocol };
            assert_eq!(parse(line), Ok(Command::Hello(client)), "{line}");
        }
        for line in ["EHLO", "HELO ", "EHLO a b", "EHLO  a", "EHLO a_b", "EHLO (a)", "EHLO [a]"] {
            assert!(is_refused(line, "501"), "{line}");
        }
    }

    #[test]
    fn mail_has_a_sender_and_parameters() {
        let mail = |address, size, is_extended| {
            Ok(Command::Mail(Mail { sender: sender(address), size, is_extended }))
        };
        assert_eq!(parse("MAIL FROM:<a@b>"), mail("a@b", None, false));
        assert_eq!(parse("mail from:<>"), mail("", None, false));
        assert_eq!(parse("MAIL FROM:<a@b> SIZE=5"), mail("a@b", Some(5), true));
        assert_eq!(parse("MAIL FROM:<a@b> body=8bitmime size=0"), mail("a@b", Some(0), true));
        let huge = "MAIL FROM:<a@b> SIZE=99999999999999999999";
        assert_eq!(parse(huge), mail("a@b", Some(u64::MAX), true));
    }

    #[test]
    fn rcpt_has_a_recipient() {
        let (ada, _) = Address::of_recipient("<ada@b>").unwrap();
        assert_eq!(parse("RCPT TO:<ada@b>"), Ok(Command::Rcpt(ada.clone())));
        assert_eq!(parse("rcpt to:<ada@b> "), Ok(Command::Rcpt(ada)));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_code_of_the_rfc() {
        for (code, lines) in [
            (
                "500",
                &[
                    "",
                    " ",
                    " QUIT",
                    "QUIT\tnow",
                    "GET / HTTP/1.1",
                    "DAT",
                    "MAILX FROM:<a@b>",
                    "N\u{e9}",
                ][..],
            ),
            (
                "501",
                &[
                    "DATA now",
                    "QUIT now",
                    "RSET it",
                    "STARTTLS now",
                    "VRFY",
                    "MAIL",
                    "MAIL FROM",
                    "MAIL FROM <a@b>",
                    "MAIL <a@b>",
                    "MAIL FROM: <a@b>",
                    "MAIL  FROM:<a@b>",
                    "MAIL FROM:a@b",
                    "MAIL FROM:<a@b>SIZE=1",
                    "MAIL FROM:<a@b>  SIZE=1",
                    "MAIL FROM:<a@b> SIZE",
                    "MAIL FROM:<a@b> SIZE=",
                    "MAIL FROM:<a@b> SIZE=-1",
                    "MAIL FROM:<a@b> SIZE=+1",
                    "MAIL FROM:<a@b> SIZE=100000000000000000000",
                    "MAIL FROM:<a@b> SIZE=1 SIZE=1",
                    "MAIL FROM:<a@b> BODY=7BIT BODY=7BIT",
                    "MAIL FROM:<a@b> BODY=BINARYMIME",
                    "RCPT",
                    "RCPT TO",
                    "RCPT TO:<>",
                    "RCPT TO: <a@b>",
                ],
            ),
            ("502", &["HELP", "EXPN staff", "AUTH PLAIN", "TURN", "BDAT 10 LAST"]),
            (
                "555",
                &[
                    "MAIL FROM:<a@b> SMTPUTF8",
                    "MAIL FROM:<a@b> AUTH=<>",
                    "RCPT TO:<a@b> NOTIFY=NEVER",
                ],
            ),
        ] {
            for line in lines {
                assert!(is_refused(line, code), "{line:?} is {:?}", parse(line));
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let reply = Command::parse(b"NOOP \xff").unwrap_err();
        assert!(reply.to_string().starts_with("500"));
    }
}
