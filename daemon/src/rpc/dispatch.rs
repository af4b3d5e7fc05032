//! From a line to its answer, by the rules of JSON-RPC 2.0, for any table of methods. Calls are started in the
//! order of their lines; those that wait for something are answered when it has happened.

use netkit_proto::limits as wire;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::message::{self, Entry, Id, Message, Rejected, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use std::pin::Pin;

/// The result of a call as JSON.
pub(super) type Outcome = Result<Box<RawValue>, Error>;
/// Something that will be there later.
pub(super) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A call that was started.
pub(super) enum Started {
    Done(Outcome),
    Later(Later<Outcome>),
    /// The same, with much to answer: one at a time is enough memory for a session.
    Large(Later<Outcome>),
}

/// A table of methods.
pub(super) trait Methods {
    /// Starts a call. What must happen in the order of the calls has happened when this returns.
    fn start(&mut self, method: &str, params: Option<&RawValue>) -> impl Future<Output = Started> + Send;
}

/// The answer to a line, if it needs one: notifications are not answered.
pub(super) enum Answer {
    Now(Option<String>),
    /// The answer of so many calls.
    Later(usize, Later<Option<String>>),
    /// See [`Started::Large`].
    Large(Later<Option<String>>),
}

/// Starts what a line asks for.
pub(super) async fn answer_line(methods: &mut impl Methods, line: &[u8]) -> Answer {
    match message::parse(line) {
        Message::Single(entry) => match start(methods, entry).await {
            (id, Started::Done(outcome)) => Answer::Now(write_single(id.as_deref(), outcome)),
            (id, Started::Later(later)) => {
                Answer::Later(1, Box::pin(async move { write_single(id.as_deref(), later.await) }))
            }
            (id, Started::Large(later)) => {
                Answer::Large(Box::pin(async move { write_single(id.as_deref(), later.await) }))
            }
        },
        Message::Batch(entries) => {
            let mut calls = Vec::with_capacity(entries.len());
            for entry in entries {
                calls.push(start(methods, entry).await);
            }
            if calls.iter().all(|(_, started)| matches!(started, Started::Done(_))) {
                return Answer::Now(answer_batch(calls).await); // nothing to wait for
            }
            // What was done already, a subscription for one, is told before anything that follows from it.
            let is_small = |started: &Started| matches!(started, Started::Later(_) | Started::Done(Err(_)));
            match calls.len() {
                count if calls.iter().all(|(_, started)| is_small(started)) => {
                    Answer::Later(count, Box::pin(answer_batch(calls)))
                }
                _ => Answer::Large(Box::pin(answer_batch(calls))),
            }
        }
    }
}

fn write_single(id: Option<&RawValue>, outcome: Outcome) -> Option<String> {
    id.map(|id| write(id, outcome))
}

/// All calls were started; their answers are collected in their order. What is too much for one line is left out.
async fn answer_batch(calls: Vec<(Option<Id>, Started)>) -> Option<String> {
    /// Room for an answer that says only that something was done, or why not.
    const SMALL: usize = 2048;
    let mut answers = String::new();
    let mut left = calls.len();
    for (id, started) in calls {
        let outcome = match started {
            Started::Done(outcome) => outcome,
            Started::Later(later) | Started::Large(later) => later.await,
        };
        left -= 1;
        let Some(id) = id else { continue };
        let mut answer = write(&id, outcome);
        if answer.len() > SMALL && answers.len() + answer.len() + left * SMALL > wire::RPC_LINE {
            let why = "the answers to this batch are more than a line may hold";
            answer = message::failure(&id, &Error::new(Kind::TooLarge, why).hint("ask in a line of its own"));
        }
        answers.push(if answers.is_empty() { '[' } else { ',' });
        answers.push_str(&answer);
    }
    (!answers.is_empty()).then(|| answers + "]")
}

async fn start(methods: &mut impl Methods, entry: Entry<'_>) -> (Option<Id>, Started) {
    match entry {
        Ok(Request { id, method, params }) => (id, methods.start(&method, params).await),
        Err(Rejected { id, error }) => (Some(id), Started::Done(Err(error))),
    }
}

fn write(id: &RawValue, outcome: Outcome) -> String {
    match outcome {
        Ok(result) => message::success(id, &result),
        Err(error) => message::failure(id, &error),
    }
}

/// A result as JSON.
pub(super) fn to_json(result: &impl Serialize) -> Outcome {
    to_raw_value(result).map_err(|error| {
        Error::new(Kind::InternalError, format_args!("the result can't be written as JSON: {error}"))
    })
}

/// The parameters of a call that takes them by name; missing ones are an empty object.
pub(super) fn by_name<P: DeserializeOwned>(params: Option<&RawValue>) -> Result<P, Error> {
    let json = params.map_or("{}", RawValue::get);
    if json.starts_with('[') {
        return Err(Error::new(Kind::InvalidParams, "parameters are passed by name: {\"name\": value}"));
    }
    serde_json::from_str(json).map_err(|_| Error::new(Kind::InvalidParams, misfit::<P>(json)))
}

/// Which parameter does not fit, and why.
fn misfit<P: DeserializeOwned>(json: &str) -> String {
    let parsed = serde_path_to_error::deserialize::<_, P>(&mut serde_json::Deserializer::from_str(json));
    let Err(error) = parsed else { return "the parameters do not fit".into() };
    let (path, why) = (error.path().to_string(), error.inner().to_string());
    // The place in the parameters' own JSON is of no use where they have a name.
    let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why);
    if path == "." { format!("the parameters do not fit: {why}") } else { format!("parameter {path}: {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The methods that the specification's examples call.
    struct Examples;

    impl Methods for Examples {
        async fn start(&mut self, method: &str, params: Option<&RawValue>) -> Started {
            let params: Value = params.map_or(Value::Null, |p| serde_json::from_str(p.get()).unwrap());
            let result = match method {
                "subtract" => {
                    let number = |index: usize, name: &str| {
                        let value = if params.is_array() { &params[index] } else { &params[name] };
                        value.as_i64().unwrap()
                    };
                    json!(number(0, "minuend") - number(1, "subtrahend"))
                }
                "sum" => {
                    let sum: i64 = params.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).sum();
                    return Started::Later(Box::pin(async move {
                        tokio::task::yield_now().await;
                        to_json(&sum)
                    }));
                }
                "get_data" => json!(["hello", 5]),
                "update" | "notify_hello" | "notify_sum" => Value::Null,
                other => return Started::Done(Err(Error::new(Kind::MethodNotFound, other))),
            };
            Started::Done(to_json(&result))
        }
    }

    async fn answer(line: &str) -> Option<Value> {
        let answer = match answer_line(&mut Examples, line.as_bytes()).await {
            Answer::Now(answer) => answer,
            Answer::Later(_, answer) | Answer::Large(answer) => answer.await,
        };
        answer.map(|text| serde_json::from_str(&text).unwrap())
    }

    /// An answer with the texts, which the specification leaves open, taken out of its errors.
    fn comparable(mut answer: Value) -> Value {
        let entries = match &mut answer {
            Value::Array(entries) => entries.iter_mut().collect(),
            entry => vec![entry],
        };
        for entry in entries {
            if let Some(error) = entry.get_mut("error") {
                *error = json!({ "code": error["code"] });
            }
        }
        answer
    }

    /// The examples of <https://www.jsonrpc.org/specification>, section 7, in their order.
    #[tokio::test]
    async fn examples_of_the_specification() {
        let failed = |code: i64| json!({"jsonrpc": "2.0", "error": {"code": code}, "id": null});
        #[rustfmt::skip]
        let examples = [
            (r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#, Some(json!({"jsonrpc": "2.0", "result": 19, "id": 1}))),
            (r#"{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}"#, Some(json!({"jsonrpc": "2.0", "result": -19, "id": 2}))),
            (r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}"#, Some(json!({"jsonrpc": "2.0", "result": 19, "id": 3}))),
            (r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}"#, Some(json!({"jsonrpc": "2.0", "result": 19, "id": 4}))),
            (r#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#, None),
            (r#"{"jsonrpc": "2.0", "method": "foobar"}"#, None),
            (r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#, Some(json!({"jsonrpc": "2.0", "error": {"code": -32601}, "id": "1"}))),
            (r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#, Some(failed(-32700))),
            (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, Some(failed(-32600))),
            (r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]"#, Some(failed(-32700))),
            ("[]", Some(failed(-32600))),
            ("[1]", Some(json!([failed(-32600)]))),
            ("[1,2,3]", Some(json!([failed(-32600), failed(-32600), failed(-32600)]))),
            (r#"[
                {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
                {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
                {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
                {"foo": "boo"},
                {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
                {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
            ]"#, Some(json!([
                {"jsonrpc": "2.0", "result": 7, "id": "1"},
                {"jsonrpc": "2.0", "result": 19, "id": "2"},
                {"jsonrpc": "2.0", "error": {"code": -32600}, "id": null},
                {"jsonrpc": "2.0", "error": {"code": -32601}, "id": "5"},
                {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
            ]))),
            (r#"[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]}, {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]"#, None),
        ];
        for (line, expected) in examples {
            assert_eq!(answer(line).await.map(comparable), expected, "{line}");
        }
    }

    #[tokio::test]
    async fn a_batch_holds_up_later_lines_only_where_something_was_done_at_once() {
        let sum = r#"{"jsonrpc":"2.0","method":"sum","params":[1],"id":1}"#;
        let unknown = r#"{"jsonrpc":"2.0","method":"none","id":2}"#;
        let done = r#"{"jsonrpc":"2.0","method":"get_data","id":3}"#;
        let small = answer_line(&mut Examples, format!("[{sum},{unknown},{sum}]").as_bytes()).await;
        assert!(matches!(small, Answer::Later(3, _)));
        let first = answer_line(&mut Examples, format!("[{sum},{done}]").as_bytes()).await;
        assert!(matches!(first, Answer::Large(_)));
    }

    #[test]
    fn parameters_are_taken_by_name_alone() {
        use netkit_proto::rpc::call::{ChatSend, NodeStatus};
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        assert!(by_name::<NodeStatus>(None).is_ok());
        let error = |json: &str| by_name::<ChatSend>(Some(&raw(json))).unwrap_err().message;
        assert_eq!(
            error(r#"{"to":5,"text":""}"#),
            "parameter to: invalid type: integer `5`, expected a string"
        );
        assert_eq!(error("{}"), "the parameters do not fit: missing field `to`");
        let code = |json: &str| by_name::<ChatSend>(Some(&raw(json))).err().map(|e| e.code);
        assert_eq!(code(r#"{"to":"a","text":"b"}"#), None);
        assert_eq!(code(r#"["a","b"]"#), Some(-32602));
        assert_eq!(code(r#"{"to":"a"}"#), Some(-32602));
        assert_eq!(code(r#"{"to":"a","text":"b","unknown":1}"#), Some(-32602));
    }
}
