//! One client of the admin socket: a request, an answer, and the end.

use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Access;
use super::body::{Body, Lines, Refusal, json, read, respond, whole, with_body};
use super::filter::Filter;
use super::metrics;
use super::patient::Patient;
use super::routes::{Action, Route, find};
use super::upgrades::Upgrades;
use super::words::{Cut, Different, Draining, Killed, Most, Upgraded, Version, Within, Written};
use crate::admission::Entry;
use crate::config::{MAX_FILE_SIZE, nearest, parse_duration};
use crate::connection::Socket;
use crate::followers::Heard;
use crate::server::{Control, ControlError, Limit};

/// How long a client may take to send its request, without the body.
const HEAD: Duration = Duration::from_secs(10);

/// The most that is read of it, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;

/// The most headers.
const HEADERS: usize = 64;

/// How long a server may take for what is done in a moment, unless it is about something else.
const MOMENT: Duration = Duration::from_secs(10);

/// Lines of a stream that may wait for the client, beside those that it is behind already.
const AHEAD: usize = 16;

/// What messages call a configuration that was sent without a name.
const SENT: &str = "configuration";

/// What clients of one door are answered.
#[derive(Debug)]
pub(super) struct Api {
    control: Control,
    access: Access,
    ends: CancellationToken,
    /// Nobody can start this program anew without it.
    upgrades: Option<Upgrades>,
}

/// Answers one client, in its place among them.
pub(super) async fn serve(api: Arc<Api>, client: Socket, entry: Entry) {
    let Ok(_place) = entry.connection().await else { return };
    match client {
        Socket::Tcp(stream, _) => serve_at(api, stream).await,
        Socket::Unix(stream) => serve_at(api, stream).await,
        // No door has others.
        Socket::Flow(_) | Socket::Tls(_) | Socket::Pipe(_) => {}
    }
}

async fn serve_at<S: AsyncRead + AsyncWrite + Unpin>(api: Arc<Api>, stream: S) {
    let service = service_fn(move |request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(api.answer(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(HEADERS)
        // A client that keeps its connection keeps its place from others.
        .keep_alive(false)
        .serve_connection(TokioIo::new(Patient::new(stream)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a client of the admin socket: {error}");
    }
}

impl Api {
    pub(super) const fn new(
        control: Control,
        access: Access,
        ends: CancellationToken,
        upgrades: Option<Upgrades>,
    ) -> Self {
        Self { control, access, ends, upgrades }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let answered = match self.route(&request) {
            Ok(route) => {
                self.act(route, request.into_body()).await.map_err(|refusal| refusal.response())
            }
            Err(refused) => Err(*refused),
        };
        answered.unwrap_or_else(|refused| refused)
    }

    /// What is asked for, if it may be.
    fn route(&self, request: &Request<Incoming>) -> Result<Route, Box<Response<Body>>> {
        let refuse = |refusal: Refusal| Box::new(refusal.response());
        let headers = request.headers();
        if let Access::WithToken(token) = &self.access
            && !headers.get(AUTHORIZATION).is_some_and(|shown| token.is_shown_by(shown.as_bytes()))
        {
            let error = "show the token in `admin_token`, as `Authorization: Bearer TOKEN`";
            let mut response = refuse(Refusal::new(StatusCode::UNAUTHORIZED, error));
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
            return Err(response);
        }
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        if matches!(self.access, Access::Metrics) && path != "/metrics" {
            let error = "there is nothing but /metrics here";
            return Err(refuse(Refusal::new(StatusCode::NOT_FOUND, error)));
        }
        match find(request.method(), path, query) {
            Ok(route) => Ok(route),
            Err((refusal, allowed)) => {
                let mut response = refuse(refusal);
                if let Ok(allowed) = HeaderValue::from_str(&allowed)
                    && !allowed.is_empty()
                {
                    response.headers_mut().insert(ALLOW, allowed);
                }
                Err(response)
            }
        }
    }

    async fn act(&self, route: Route, body: Incoming) -> Result<Response<Body>, Refusal> {
        let control = &self.control;
        match route {
            Route::Status => json(&self.moment(control.status()).await?),
            Route::Connections(query) => self.connections(&query).await,
            Route::Connection(id) => {
                let found = control.connections(|one| one.id == id);
                match found.first() {
                    Some(one) => json(one),
                    None => Err(ControlError::NoConnection(id).into()),
                }
            }
            Route::Kill(id) => {
                control.kill(id)?;
                json(&Killed { killed: id })
            }
            Route::Listener(name, action) => self.listener(&name, action, body).await,
            Route::Drain => {
                let within: Within = read(body).await?;
                match within.deadline {
                    None => control.drain(),
                    Some(deadline) => control.drain_within(bound(&deadline)?)?,
                }
                json(&Draining { connections: control.connections(|_| true).len() })
            }
            Route::Reload => {
                control.reload().await?;
                json(&self.moment(control.status()).await?.reloads)
            }
            Route::ReloadHandler(handler) => {
                let version = control.reload_handler(&handler).await?;
                json(&Version { handler, version })
            }
            Route::RollBack(handler) => {
                let version = control.rollback(&handler).await?;
                json(&Version { handler, version })
            }
            Route::Upgrade => self.upgrade().await,
            Route::Diff => {
                let differences = control.difference().await?;
                json(&differences.iter().map(Different::of).collect::<Vec<_>>())
            }
            Route::DiffWith(query) => self.diff_with(&query, body).await,
            Route::Limits => json(&self.moment(control.status()).await?.limits),
            Route::Limit(name) => self.limit(&name, body).await,
            Route::Receipts => Ok(self.receipts()),
            Route::Metrics => {
                let status = self.moment(control.status()).await?;
                let control = control.clone();
                let text = elsewhere(move || metrics::text(&status, &control.traffic())).await??;
                Ok(respond(StatusCode::OK, metrics::CONTENT_TYPE, text))
            }
        }
    }

    async fn diff_with(&self, query: &str, body: Incoming) -> Result<Response<Body>, Refusal> {
        let mut name = PathBuf::from(SENT);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "name" => name = value.into_owned().into(),
                _ => return Err(Refusal::bad_request(format!("there is no `{key}` here"))),
            }
        }
        let most = usize::try_from(MAX_FILE_SIZE).unwrap_or(usize::MAX);
        let text = whole(body, most).await?.to_vec();
        let differences = self.control.difference_with(text, name).await;
        let differences = differences.map_err(|error| match error {
            // It is not the server's that is wrong.
            ControlError::Config(errors) => Refusal::bad_request(errors.to_string()),
            error => error.into(),
        })?;
        json(&differences.iter().map(Different::of).collect::<Vec<_>>())
    }

    async fn connections(&self, query: &str) -> Result<Response<Body>, Refusal> {
        let filter = Filter::parse(query).map_err(Refusal::bad_request)?;
        let control = self.control.clone();
        // Of thousands it takes a while: not on a thread that serves connections.
        elsewhere(move || {
            let mut found = control.connections(|one| filter.wants(one));
            filter.arrange(&mut found);
            json(&found)
        })
        .await?
    }

    async fn listener(
        &self,
        name: &str,
        action: Action,
        body: Incoming,
    ) -> Result<Response<Body>, Refusal> {
        let control = &self.control;
        match action {
            Action::Suspend => self.moment(control.suspend(name)).await?,
            Action::Resume => self.moment(control.resume(name)).await?,
            Action::Start => self.moment(control.start(name)).await?,
            Action::Stop => return json(&Cut { cut: control.stop_listener(name).await? }),
            Action::Drain => {
                let within: Within = read(body).await?;
                let deadline = match within.deadline {
                    Some(deadline) => bound(&deadline)?,
                    None => control.drain_timeout().await?,
                };
                return json(&Cut { cut: control.drain_listener(name, deadline).await? });
            }
        }
        let status = self.moment(control.status()).await?;
        json(&status.listener(name))
    }

    /// Waits for what takes a moment, or says what the server is about instead.
    async fn moment<T>(
        &self,
        asked: impl Future<Output = Result<T, ControlError>>,
    ) -> Result<T, Refusal> {
        if let Ok(answer) = timeout(MOMENT, asked).await {
            return Ok(answer?);
        }
        let about = self.control.about().unwrap_or("has much to do");
        let error = format!("the server {about}, and does this when that is done; look again");
        Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error))
    }

    async fn limit(&self, name: &str, body: Incoming) -> Result<Response<Body>, Refusal> {
        let most: Most = read(body).await?;
        let Written::Here(most) = most.most else {
            return Err(Refusal::bad_request("write {\"most\": N}, or {\"most\": null} for none"));
        };
        let limits = self.moment(self.control.status()).await?.limits;
        let names = limits.iter().filter(|limit| limit.live).map(|limit| &*limit.name);
        let limit = match name.split_once('.') {
            None if name == "server" => Limit::Server,
            Some(("listener", listener)) => Limit::Listener(listener.into()),
            Some(("pool", _)) if most.is_none() => {
                return Err(Refusal::bad_request("a pool has a size; write {\"most\": N}"));
            }
            Some(("pool", pool)) => Limit::Pool(pool.into()),
            Some(("tenant", tenant)) => Limit::Tenant(tenant.into()),
            _ if limits.iter().any(|limit| limit.name == name) => {
                let error = format!("`{name}` is fixed while the server runs; restart it");
                return Err(Refusal::new(StatusCode::CONFLICT, error));
            }
            _ => {
                let hint = nearest::did_you_mean(name, names);
                let error = format!("there is no limit `{name}`{hint}");
                return Err(Refusal::new(StatusCode::NOT_FOUND, error));
            }
        };
        self.moment(self.control.limit(limit, most)).await?;
        let limits = self.moment(self.control.status()).await?.limits;
        json(&limits.iter().find(|limit| limit.name == name))
    }

    async fn upgrade(&self) -> Result<Response<Body>, Refusal> {
        let refuse = |why| Refusal::new(StatusCode::CONFLICT, why);
        let Some(upgrades) = &self.upgrades else {
            return Err(refuse("this program is not made to be started anew in its place".into()));
        };
        let successor = upgrades.ask().await.map_err(refuse)?;
        json(&Upgraded { pid: std::process::id(), successor })
    }

    /// A line for each connection that ends, as long as the client reads.
    fn receipts(&self) -> Response<Body> {
        let mut following = self.control.follow_receipts();
        let (lines, body) = mpsc::channel(AHEAD);
        let ends = self.ends.clone();
        tokio::spawn(async move {
            loop {
                let heard = tokio::select! {
                    heard = following.next() => heard,
                    () = ends.cancelled() => None,
                    () = lines.closed() => None,
                };
                let line = match heard {
                    Some(Heard::Line(line)) => format!("{line}\n"),
                    Some(Heard::Missed(lost)) => format!("{{\"lost\":{lost}}}\n"),
                    None => return,
                };
                if lines.send(line).await.is_err() {
                    return;
                }
            }
        });
        with_body(StatusCode::OK, "application/x-ndjson", Lines(body).boxed())
    }
}

/// A duration, or none for `none`.
fn bound(text: &str) -> Result<Option<Duration>, Refusal> {
    if text == "none" {
        return Ok(None);
    }
    let wrong = |error| {
        Refusal::bad_request(format!("`deadline` takes a duration like 30s, or none; {error}"))
    };
    parse_duration(text).map(Some).map_err(wrong)
}

/// Computes on a thread that serves nobody.
async fn elsewhere<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(compute).await.map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("it could not be done: {error}"))
    })
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        let status = match &error {
            ControlError::Ended => StatusCode::SERVICE_UNAVAILABLE,
            ControlError::NoListener { .. }
            | ControlError::NoHandler { .. }
            | ControlError::NoPool { .. }
            | ControlError::NoTenant { .. }
            | ControlError::NoConnection(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    /// A client of an admin whose server has ended.
    fn client() -> DuplexStream {
        client_of(Control::of_nobody())
    }

    fn client_of(control: Control) -> DuplexStream {
        let (near, far) = duplex(4096);
        let api = Api::new(control, Access::Everything, CancellationToken::new(), None);
        tokio::spawn(serve_at(Arc::new(api), far));
        near
    }

    async fn answer(mut client: DuplexStream) -> String {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_half_a_request_is_cut() {
        for half in ["", "GET /v1/status HTTP/1.1\r\nhost: "] {
            let began = Instant::now();
            let mut client = client();
            client.write_all(half.as_bytes()).await.unwrap();
            answer(client).await;
            assert_eq!(began.elapsed(), HEAD, "{half}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_send_its_body_is_told_so() {
        let mut client = client();
        let head = "POST /v1/drain HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{";
        client.write_all(head.as_bytes()).await.unwrap();
        assert!(answer(client).await.starts_with("HTTP/1.1 408 "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_ended_cannot_be_asked() {
        let mut client = client();
        client.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let answer = answer(client).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("{\"error\":\"the server has ended\"}"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_what_the_server_is_about() {
        for (path, does) in [("status", "reads certificates"), ("limits", "binds a listener")] {
            let began = Instant::now();
            let (control, _server) = Control::of_one_who(does);
            let mut client = client_of(control);
            let request = format!("GET /v1/{path} HTTP/1.1\r\nhost: x\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let answer = answer(client).await;
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            let said = format!("the server {does}, and does this when that is done; look again");
            assert!(answer.contains(&said), "{answer}");
            assert_eq!(began.elapsed(), MOMENT);
        }
    }

    #[tokio::test]
    async fn a_follower_that_goes_is_forgotten_at_once() {
        let receipts = Control::of_nobody();
        let (near, far) = duplex(4096);
        let api = Api::new(receipts.clone(), Access::Everything, CancellationToken::new(), None);
        let served = tokio::spawn(serve_at(Arc::new(api), far));
        let mut client = near;
        client.write_all(b"GET /v1/receipts HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        client.read_exact(&mut [0; 15]).await.unwrap();
        assert!(receipts.is_followed());
        drop(client);
        served.await.unwrap();
        let gone = async {
            while receipts.is_followed() {
                tokio::task::yield_now().await;
            }
        };
        timeout(MOMENT, gone).await.unwrap();
    }
}
