//! Answers, and the bodies of requests: bounded, and in JSON.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The largest body of a request that is JSON, in bytes.
const LARGEST: usize = 16 * 1024;

/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is sent.
pub(super) type Body = BoxBody<Bytes, Infallible>;

/// A body that comes line by line, until those who make the lines are gone.
pub(super) struct Lines(pub(super) mpsc::Receiver<String>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let line = self.0.poll_recv(cx);
        line.map(|line| line.map(|line| Ok(Frame::data(line.into()))))
    }
}

/// An answer that says no, and why.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// `{"error": "..."}`.
    pub(super) fn response(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Said<'a> {
            error: &'a str,
        }
        let said = serde_json::to_vec(&Said { error: &self.error }).unwrap_or_default();
        respond(self.status, "application/json", said)
    }
}

/// The answer to a request that was done.
pub(super) fn json(value: &impl Serialize) -> Result<Response<Body>, Refusal> {
    let text = serde_json::to_vec(value).map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write JSON: {error}"))
    })?;
    Ok(respond(StatusCode::OK, "application/json", text))
}

/// An answer that is there as a whole.
pub(super) fn respond(
    status: StatusCode,
    content_type: &'static str,
    content: impl Into<Bytes>,
) -> Response<Body> {
    with_body(status, content_type, Full::new(content.into()).boxed())
}

/// An answer whose body comes as it is made.
pub(super) fn with_body(
    status: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The body of a request as JSON; the default for an empty one.
pub(super) async fn read<T: DeserializeOwned + Default>(body: Incoming) -> Result<T, Refusal> {
    let bytes = whole(body, LARGEST).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::bad_request(format!("bad body: {error}")))
}

/// The body of a request, of at most so many bytes.
pub(super) async fn whole(body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    match timeout(PATIENCE, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let error = format!("the body is larger than {most} bytes");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error))
        }
        Ok(Err(error)) => Err(Refusal::bad_request(format!("bad body: {error}"))),
        Err(_) => {
            let error = format!("the body took longer than {} s", PATIENCE.as_secs());
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, error))
        }
    }
}
