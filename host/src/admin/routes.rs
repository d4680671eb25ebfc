//! What is asked for, by method and path.

use hyper::{Method, StatusCode};

use super::body::Refusal;
use crate::config::nearest;

/// What a client asks for. Names are those that were written, whether there is such a thing or not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Status,
    /// With the query.
    Connections(String),
    Connection(u64),
    Kill(u64),
    Listener(String, Action),
    Drain,
    Reload,
    ReloadHandler(String),
    RollBack(String),
    Upgrade,
    Diff,
    /// With the query.
    DiffWith(String),
    Limits,
    Limit(String),
    Receipts,
    Metrics,
}

/// What a listener is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Suspend,
    Resume,
    Start,
    Stop,
    Drain,
}

const ACTIONS: [(&str, Action); 5] = [
    ("suspend", Action::Suspend),
    ("resume", Action::Resume),
    ("start", Action::Start),
    ("stop", Action::Stop),
    ("drain", Action::Drain),
];

/// Every path, for whoever has mistyped one.
const PATHS: [&str; 15] = [
    "/metrics",
    "/v1/connections",
    "/v1/connections/ID",
    "/v1/diff",
    "/v1/drain",
    "/v1/handlers/NAME/reload",
    "/v1/handlers/NAME/rollback",
    "/v1/limits",
    "/v1/limits/NAME",
    "/v1/listeners/NAME/drain",
    "/v1/listeners/NAME/suspend",
    "/v1/receipts",
    "/v1/reload",
    "/v1/status",
    "/v1/upgrade",
];

/// The route of a request, or why there is none, with the methods that there are.
pub(super) fn find(method: &Method, path: &str, query: &str) -> Result<Route, (Refusal, String)> {
    let mut of_path = of_path(path, query).map_err(|refusal| (refusal, String::new()))?;
    // The answer to HEAD is that to GET, without its body.
    let asked = if method == Method::HEAD { &Method::GET } else { method };
    if let Some(place) = of_path.iter().position(|(method, _)| method == asked) {
        return Ok(of_path.swap_remove(place).1);
    }
    let mut allowed: Vec<_> = of_path.iter().map(|(method, _)| method.as_str()).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    let allowed = allowed.join(", ");
    let error = format!("{path} takes {allowed}, not {method}");
    Err((Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error), allowed))
}

fn of_path(path: &str, query: &str) -> Result<Vec<(Method, Route)>, Refusal> {
    let parts: Vec<_> = path.split('/').skip(1).collect();
    Ok(match parts.as_slice() {
        ["metrics"] => vec![(Method::GET, Route::Metrics)],
        ["v1", "status"] => vec![(Method::GET, Route::Status)],
        ["v1", "connections"] => vec![(Method::GET, Route::Connections(query.into()))],
        ["v1", "connections", id] => {
            let wrong =
                |_| Refusal::bad_request(format!("`{id}` is not the number of a connection"));
            let id = id.parse().map_err(wrong)?;
            vec![(Method::GET, Route::Connection(id)), (Method::DELETE, Route::Kill(id))]
        }
        ["v1", "listeners", name, word] => {
            let action = ACTIONS.iter().find(|(action, _)| action == word);
            let Some((_, action)) = action else {
                let hint = nearest::did_you_mean(word, ACTIONS.map(|(action, _)| action));
                return Err(missing(&format!("a listener cannot `{word}`{hint}")));
            };
            vec![(Method::POST, Route::Listener((*name).into(), *action))]
        }
        ["v1", "drain"] => vec![(Method::POST, Route::Drain)],
        ["v1", "reload"] => vec![(Method::POST, Route::Reload)],
        ["v1", "handlers", name, "reload"] => {
            vec![(Method::POST, Route::ReloadHandler((*name).into()))]
        }
        ["v1", "handlers", name, "rollback"] => {
            vec![(Method::POST, Route::RollBack((*name).into()))]
        }
        ["v1", "diff"] => {
            vec![(Method::GET, Route::Diff), (Method::POST, Route::DiffWith(query.into()))]
        }
        ["v1", "limits"] => vec![(Method::GET, Route::Limits)],
        ["v1", "limits", name] => vec![(Method::PUT, Route::Limit((*name).into()))],
        ["v1", "receipts"] => vec![(Method::GET, Route::Receipts)],
        ["v1", "upgrade"] => vec![(Method::POST, Route::Upgrade)],
        _ => {
            let hint = nearest::did_you_mean(path, PATHS);
            return Err(missing(&format!("there is no {path}{hint}")));
        }
    })
}

fn missing(error: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, path: &str) -> (u16, String, String) {
        let (refusal, allowed) = find(method, path, "").unwrap_err();
        (refusal.status.as_u16(), refusal.error, allowed)
    }

    #[test]
    fn a_route_is_a_method_and_a_path() {
        for (method, path, route) in [
            (Method::GET, "/v1/status", Route::Status),
            (Method::HEAD, "/metrics", Route::Metrics),
            (Method::DELETE, "/v1/connections/7", Route::Kill(7)),
            (Method::POST, "/v1/listeners/a.b/drain", Route::Listener("a.b".into(), Action::Drain)),
            (Method::POST, "/v1/handlers/a/rollback", Route::RollBack("a".into())),
            (Method::PUT, "/v1/limits/pool.small", Route::Limit("pool.small".into())),
        ] {
            assert_eq!(find(&method, path, "").unwrap(), route, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let get = |path| refused(&Method::GET, path);
        assert_eq!(
            get("/v1/statuss"),
            (404, "there is no /v1/statuss; did you mean `/v1/status`?".into(), String::new())
        );
        assert_eq!(get("/").0, 404);
        assert_eq!(get("/v1/connections/x").0, 400);
        assert_eq!(get("/v1/connections/-1").0, 400);
        assert_eq!(
            refused(&Method::POST, "/v1/listeners/a/suspended").1,
            "a listener cannot `suspended`; did you mean `suspend`?"
        );
        assert_eq!(
            refused(&Method::POST, "/v1/connections/7"),
            (
                405,
                "/v1/connections/7 takes GET, DELETE, HEAD, not POST".into(),
                "GET, DELETE, HEAD".into()
            )
        );
    }
}
