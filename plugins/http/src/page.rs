//! `/`: a page that shows a person what portcell is, with the facts of this very connection.
//!
//! The text is in `page.html`, where `{{name}}` stands for a value. Every value is escaped.

use crate::facts::Fact;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// What the page needs beside the facts.
pub(crate) struct Visit<'request> {
    /// How many requests this connection has had, with this one.
    pub(crate) count: u64,
    /// What the client calls this server.
    pub(crate) host: Option<&'request str>,
}

pub(crate) fn page(facts: &[Fact], visit: &Visit<'_>) -> String {
    let fact = |name: &str| facts.iter().find(|fact| fact.name == name).map(Fact::readable);
    let unknown = || String::from("unknown");
    let mut page = String::with_capacity(TEMPLATE.len() + STYLE.len() + 2048);
    let mut rest = TEMPLATE;
    while let Some((before, name, after)) = next_value(rest) {
        page.push_str(before);
        rest = after;
        match name {
            "style" => page.push_str(STYLE),
            "facts" => rows(facts, &mut page),
            "url" => escape(&url(facts, visit.host), &mut page),
            "count" => escape(&visit.count.to_string(), &mut page),
            "requests" => page.push_str(if visit.count == 1 { "request" } else { "requests" }),
            name => escape(&fact(name).unwrap_or_else(unknown), &mut page),
        }
    }
    page.push_str(rest);
    page
}

/// What is before the next value, its name, and what is after it.
fn next_value(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    Some((before, name, after))
}

fn rows(facts: &[Fact], page: &mut String) {
    for fact in facts {
        page.push_str("<div><dt>");
        escape(fact.label, page);
        page.push_str("</dt><dd>");
        escape(&fact.readable(), page);
        page.push_str("</dd></div>\n");
    }
}

/// Where the client finds this server, safe to be pasted into a shell.
fn url(facts: &[Fact], host: Option<&str>) -> String {
    let fact = |name: &str| facts.iter().find(|fact| fact.name == name);
    let plain = |host: &&str| {
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    };
    let local = fact("local.address").map(|fact| fact.value.as_str());
    let host = host.filter(plain).or(local.filter(plain)).unwrap_or("localhost");
    let scheme = match fact("transport") {
        Some(fact) if fact.value == "tls" => "https",
        _ => "http",
    };
    format!("{scheme}://{host}")
}

fn escape(text: &str, html: &mut String) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(name: &'static str, value: &str) -> Fact {
        Fact { name, label: "Label", value: value.into() }
    }

    fn visit(host: Option<&str>) -> Visit<'_> {
        Visit { count: 1, host }
    }

    #[test]
    fn every_value_of_the_template_is_filled_in() {
        let facts = [fact("connection.id", "4711")];
        let page = page(&facts, &visit(Some("a.example")));
        assert!(page.contains("<title>portcell: connection 4711</title>"));
        assert!(page.contains("<dt>Label</dt><dd>4711</dd>"));
        assert!(page.contains("curl http://a.example/facts"));
        assert!(page.contains(">1 request<"));
        assert!(!page.contains("{{"), "a value without a name");
        assert!(!page.contains("unknown"), "a value that nothing fills");
    }

    #[test]
    fn a_page_without_facts_is_whole() {
        assert!(page(&[], &visit(None)).ends_with("</html>\n"));
    }

    #[test]
    fn values_are_escaped() {
        let facts = [fact("tls.peer.subject", "<script>\"&'</script>")];
        let page = page(&facts, &visit(None));
        assert!(page.contains("<dd>&lt;script&gt;&quot;&amp;&#39;&lt;/script&gt;</dd>"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for needle in ["<script", "src=", "url(http", "@import", "//cdn"] {
            assert!(!TEMPLATE.contains(needle) && !STYLE.contains(needle), "{needle}");
        }
    }

    #[test]
    fn commands_name_the_host_that_the_client_used() {
        let facts = [fact("transport", "tls"), fact("local.address", "[::1]:8443")];
        assert_eq!(url(&facts, Some("a.example:8443")), "https://a.example:8443");
        assert_eq!(url(&facts, None), "https://[::1]:8443");
        assert_eq!(url(&facts, Some("")), "https://[::1]:8443");
        assert_eq!(url(&[], None), "http://localhost");
    }

    #[test]
    fn what_a_shell_would_run_does_not_get_into_the_commands() {
        for host in ["a;reboot", "$(reboot)", "a&b", "'a'", "a|b"] {
            assert_eq!(url(&[], Some(host)), "http://localhost", "{host}");
        }
    }
}
