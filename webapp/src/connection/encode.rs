//! An answer in; its bytes as HTTP/1.1 has them (RFC 9112) out, for where hyper sends none of ours.

use http_body_util::BodyExt;
use hyper::header;
use warp::reply::Response;

/// The last answer of its connection; `bare` of its body, as HEAD wants it.
pub(super) async fn encode(response: Response, bare: bool, date: &str) -> Vec<u8> {
    let (head, body) = response.into_parts();
    // A body of ours is in memory and cannot fail.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let reason = head.status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str()).into_bytes();
    let mut line = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    };
    for (name, value) in &head.headers {
        line(name.as_str(), value.as_bytes());
    }
    line(header::DATE.as_str(), date.as_bytes());
    line(header::CONTENT_LENGTH.as_str(), body.len().to_string().as_bytes());
    line(header::CONNECTION.as_str(), b"close");
    bytes.extend_from_slice(b"\r\n");
    if !bare {
        bytes.extend_from_slice(&body);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_spelled_out() {
        let answer = || {
            let mut response = Response::new("{}".into());
            *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
            response.headers_mut().insert("x-a", header::HeaderValue::from_static("b"));
            response
        };
        let head = "HTTP/1.1 400 Bad Request\r\nx-a: b\r\ndate: now\r\ncontent-length: 2\r\n\
                    connection: close\r\n\r\n";
        for (bare, body) in [(false, "{}"), (true, "")] {
            let bytes = encode(answer(), bare, "now").await;
            assert_eq!(String::from_utf8(bytes).unwrap(), format!("{head}{body}"));
        }
    }
}
