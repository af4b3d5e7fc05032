//! Requests and answers of JSON-RPC 2.0, read and written as text. Says nothing of methods.

use super::code::Error;
use crate::limits;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The id of a request as it was written: a string, a number or null; given back letter by letter, so that `-1`,
/// `1.5` and numbers beyond 2^53 stay what they were.
pub type Id = Box<RawValue>;

/// One request, its parameters not yet looked at.
#[derive(Debug)]
pub struct Request<'a> {
    /// `None` for a notification, which is never answered.
    pub id: Option<Id>,
    /// The method's name.
    pub method: Cow<'a, str>,
    /// An object or an array, if there are any.
    pub params: Option<&'a RawValue>,
}

/// What one entry of a line turned out to be: a request, or what to answer instead.
pub type Entry<'a> = Result<Request<'a>, Rejected>;

/// An entry that is no request: the id to answer with (null where none could be read) and why.
#[derive(Debug)]
pub struct Rejected {
    /// The id to answer with.
    pub id: Id,
    /// What is wrong.
    pub error: Error,
}

/// A line that was read.
#[derive(Debug)]
pub enum Message<'a> {
    /// One entry, answered by one object.
    Single(Entry<'a>),
    /// A batch, answered by one array without its notifications, or by nothing where there are no others.
    Batch(Vec<Entry<'a>>),
}

/// The id `null`.
#[must_use]
pub fn null_id() -> Id {
    RawValue::NULL.to_owned()
}

/// Reads one line. Broken JSON, an empty batch and a batch of more than [`limits::RPC_BATCH`] are one rejected
/// entry with id null.
#[must_use]
pub fn parse(line: &[u8]) -> Message<'_> {
    let rejected = |error| Message::Single(Err(Rejected { id: null_id(), error }));
    let Ok(text) = std::str::from_utf8(line) else {
        return rejected(Error::parse("the line is not UTF-8"));
    };
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('[') {
        return match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) => Message::Single(entry(raw)),
            Err(e) => rejected(Error::parse(&e.to_string())),
        };
    }
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Err(e) => rejected(Error::parse(&e.to_string())),
        Ok(batch) if batch.is_empty() => rejected(Error::invalid_request("an empty batch")),
        Ok(batch) if batch.len() > limits::RPC_BATCH => {
            let why = format!("a batch of {}, at most {} are allowed", batch.len(), limits::RPC_BATCH);
            rejected(Error::invalid_request(&why))
        }
        Ok(batch) => Message::Batch(batch.into_iter().map(entry).collect()),
    }
}

/// A member that may be missing, which differs from one that is null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

fn entry(raw: &RawValue) -> Entry<'_> {
    let reject = |id: Option<&RawValue>, why: &str| Rejected {
        id: id.map_or_else(null_id, ToOwned::to_owned),
        error: Error::invalid_request(why),
    };
    if !raw.get().starts_with('{') {
        return Err(reject(None, "it is no object")); // serde would read an array as one
    }
    let wire: Wire<'_> = serde_json::from_str(raw.get()).map_err(|e| reject(None, &e.to_string()))?;
    let id = wire.id.filter(|id| !id.get().starts_with(['{', '[', 't', 'f']));
    if id.is_none() && wire.id.is_some() {
        return Err(reject(None, "id is neither a string, a number nor null"));
    }
    if wire.jsonrpc.and_then(|v| borrowed_string(v.get())).as_deref() != Some("2.0") {
        return Err(reject(id, "jsonrpc is not \"2.0\""));
    }
    let Some(method) = wire.method.and_then(|m| borrowed_string(m.get())) else {
        return Err(reject(id, "method is not a string"));
    };
    if wire.params.is_some_and(|p| !p.get().starts_with(['{', '['])) {
        return Err(reject(id, "params is neither an object nor an array"));
    }
    Ok(Request { id: id.map(ToOwned::to_owned), method, params: wire.params })
}

/// A JSON string, copied only where it has escapes.
fn borrowed_string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

#[derive(Serialize)]
struct Failure<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    error: &'a Error,
}

#[derive(Serialize)]
struct Notification<'a, T> {
    jsonrpc: &'static str,
    method: &'a str,
    params: &'a T,
}

#[derive(Serialize)]
struct Outgoing<'a, T> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a T,
}

/// The answer to a request that succeeded, without newline.
#[must_use]
pub fn success(id: &RawValue, result: &RawValue) -> String {
    [r#"{"jsonrpc":"2.0","id":"#, id.get(), r#","result":"#, result.get(), "}"].concat()
}

/// The answer to a request that failed, without newline.
#[must_use]
pub fn failure(id: &RawValue, error: &Error) -> String {
    let written = serde_json::to_string(&Failure { jsonrpc: "2.0", id, error });
    written.unwrap_or_else(|_| {
        // Strings and numbers always can be written; kept so that a request is answered whatever happens.
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}"#.to_owned()
    })
}

/// A notification, without newline.
///
/// # Errors
/// Where `params` can't be written as JSON.
pub fn notification<T: Serialize>(method: &str, params: &T) -> serde_json::Result<String> {
    serde_json::to_string(&Notification { jsonrpc: "2.0", method, params })
}

/// A request with a numeric id, without newline.
///
/// # Errors
/// Where `params` can't be written as JSON.
pub fn request<T: Serialize>(id: u64, method: &str, params: &T) -> serde_json::Result<String> {
    serde_json::to_string(&Outgoing { jsonrpc: "2.0", id, method, params })
}

/// A line as a client receives it: an answer (`id`, and `result` or `error`) or a notification (`method`, `params`).
#[derive(Debug, Deserialize)]
pub struct Received<'a> {
    /// The id of the request that this answers.
    #[serde(borrow, default, deserialize_with = "present")]
    pub id: Option<&'a RawValue>,
    /// What a request that succeeded gave.
    #[serde(borrow, default, deserialize_with = "present")]
    pub result: Option<&'a RawValue>,
    /// Why a request failed.
    #[serde(default)]
    pub error: Option<Error>,
    /// The method of a notification.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// The parameters of a notification.
    #[serde(borrow, default, deserialize_with = "present")]
    pub params: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Option<String>, String, Option<String>);

    fn single(line: &str) -> Result<Read, (String, i64)> {
        match parse(line.as_bytes()) {
            Message::Single(Ok(r)) => Ok((
                r.id.map(|id| id.get().to_owned()),
                r.method.into_owned(),
                r.params.map(|p| p.get().to_owned()),
            )),
            Message::Single(Err(r)) => Err((r.id.get().to_owned(), r.error.code)),
            Message::Batch(_) => panic!("{line} is no batch"),
        }
    }

    #[test]
    fn requests_are_read() {
        let ok = |id: Option<&str>, method: &str, params: Option<&str>| {
            Ok((id.map(str::to_owned), method.to_owned(), params.map(str::to_owned)))
        };
        for (line, expected) in [
            (r#"{"jsonrpc":"2.0","method":"a","id":1}"#, ok(Some("1"), "a", None)),
            (r#"{"jsonrpc":"2.0","method":"a","id":-1}"#, ok(Some("-1"), "a", None)),
            (r#"{"jsonrpc":"2.0","method":"a","id":1.50}"#, ok(Some("1.50"), "a", None)),
            (r#"{"jsonrpc":"2.0","method":"a","id":"x"}"#, ok(Some("\"x\""), "a", None)),
            (r#"{"jsonrpc":"2.0","method":"a","id":null}"#, ok(Some("null"), "a", None)),
            (r#"{"jsonrpc":"2.0","method":"a"}"#, ok(None, "a", None)),
            (
                r#" {"params" : {"k":[1]}, "method":"\u0061b","jsonrpc":"2.0"} "#,
                ok(None, "ab", Some(r#"{"k":[1]}"#)),
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","params":[1],"id":2,"more":0}"#,
                ok(Some("2"), "a", Some("[1]")),
            ),
            (r#"{"jsonrpc":"2.0","method":1,"params":"bar"}"#, Err(("null".into(), -32600))),
            (r#"{"jsonrpc":"2.0","method":"a","params":"bar","id":7}"#, Err(("7".into(), -32600))),
            (r#"{"jsonrpc":"2.0","method":"a","params":null,"id":7}"#, Err(("7".into(), -32600))),
            (r#"{"jsonrpc":"1.0","method":"a","id":7}"#, Err(("7".into(), -32600))),
            (r#"{"method":"a","id":7}"#, Err(("7".into(), -32600))),
            (r#"{"jsonrpc":"2.0","method":"a","id":{}}"#, Err(("null".into(), -32600))),
            (r#"{"jsonrpc":"2.0","method":"a","id":true}"#, Err(("null".into(), -32600))),
            (r#"{"jsonrpc":"2.0","method":"foobar,"params":"bar","baz]"#, Err(("null".into(), -32700))),
            ("[]", Err(("null".into(), -32600))),
            (r#"[{"jsonrpc":"2.0","method":"a"}] x"#, Err(("null".into(), -32700))),
            ("[1,]", Err(("null".into(), -32700))),
            ("\u{feff}[1]", Err(("null".into(), -32700))),
            ("1", Err(("null".into(), -32600))),
            ("", Err(("null".into(), -32700))),
            (
                r#"[{"jsonrpc":"2.0","method":"sum","id":"1"},{"jsonrpc":"2.0","method""#,
                Err(("null".into(), -32700)),
            ),
        ] {
            assert_eq!(single(line), expected, "{line}");
        }
        assert!(matches!(parse(b"\xff"), Message::Single(Err(r)) if r.error.code == -32700));
    }

    #[test]
    fn a_batch_is_read_entry_by_entry() {
        let Message::Batch(entries) = parse(br#"  [1,{"jsonrpc":"2.0","method":"a","id":1},{"foo":"boo"}]"#)
        else {
            panic!("no batch")
        };
        let codes: Vec<_> = entries.iter().map(|e| e.as_ref().err().map(|r| r.error.code)).collect();
        assert_eq!(codes, [Some(-32600), None, Some(-32600)]);
        let many = format!("[{}]", vec!["1"; limits::RPC_BATCH + 1].join(","));
        assert!(matches!(parse(many.as_bytes()), Message::Single(Err(r)) if r.error.code == -32600));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let deep = "[".repeat(200_000);
        assert!(matches!(parse(deep.as_bytes()), Message::Single(Err(_))));
        let deep = format!(r#"{{"jsonrpc":"2.0","method":"a","params":{}"#, "[".repeat(200_000));
        assert!(matches!(parse(deep.as_bytes()), Message::Single(Err(_))));
    }
}
