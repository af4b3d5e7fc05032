//! What can go wrong in a call: a JSON-RPC code for programs that know the specification, a stable word
//! (`data.kind`) for scripts, a sentence for people, and a hint on what to do.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The stable word for what went wrong. Words are only ever added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The line is no JSON.
    ParseError,
    /// The JSON is no request.
    InvalidRequest,
    /// There is no such method.
    MethodNotFound,
    /// The parameters are not the method's.
    InvalidParams,
    /// netkitd failed where it should not.
    InternalError,
    /// The caller may not do this.
    Denied,
    /// Somebody else has it, or too much is going on at once.
    Busy,
    /// What was named does not exist.
    NotFound,
    /// A host name could not be resolved.
    NameResolution,
    /// The far end, or this end's configuration, does not take it.
    Refused,
    /// More than fits.
    TooLarge,
    /// The disk that holds the log is full.
    NoSpace,
    /// The key was used before with other parameters.
    KeyConflict,
    /// The position belongs to a log that was replaced.
    EpochChanged,
    /// netkitd is stopping, or its disk fails.
    Unavailable,
    /// The configuration file is bad; the one in force stays.
    BadConfig,
    /// There is one of that name already.
    Exists,
    /// The far end did not answer, or sent next to nothing, for too long.
    Timeout,
    /// The connection could not be made, or broke.
    Network,
    /// The far end could not prove who it is, or TLS failed.
    Tls,
    /// What is fetched became another file meanwhile.
    Changed,
    /// Fewer bytes came than were announced.
    Short,
    /// What came is not what the checksum names.
    Checksum,
    /// netkitd's user may not write there.
    Permission,
    /// What a peer gave is not what its manifest says, or that contradicts itself.
    Corrupt,
    /// The peer is not there at present.
    Away,
    /// A word of a newer netkitd.
    #[serde(other)]
    Other,
}

impl Kind {
    /// The words that say why a download failed.
    const OF_DOWNLOADS: [Kind; 18] = [
        Kind::Away,
        Kind::NotFound,
        Kind::Refused,
        Kind::Timeout,
        Kind::Network,
        Kind::NameResolution,
        Kind::Tls,
        Kind::Changed,
        Kind::Short,
        Kind::Checksum,
        Kind::Corrupt,
        Kind::NoSpace,
        Kind::Permission,
        Kind::Exists,
        Kind::TooLarge,
        Kind::Busy,
        Kind::Unavailable,
        Kind::InternalError,
    ];

    /// The word for why a download failed, by its code; [`Kind::Other`] for a code of a newer netkitd.
    #[must_use]
    pub fn of_download(code: i64) -> Kind {
        Kind::OF_DOWNLOADS.into_iter().find(|kind| kind.code() == code).unwrap_or(Kind::Other)
    }

    /// The JSON-RPC code that goes with the word.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Kind::ParseError => -32700,
            Kind::InvalidRequest => -32600,
            Kind::MethodNotFound => -32601,
            Kind::InvalidParams => -32602,
            Kind::InternalError | Kind::Other => -32603,
            Kind::Denied => -32001,
            Kind::Busy => -32009,
            Kind::NotFound => 1001,
            Kind::NameResolution => 1002,
            Kind::Refused => 1003,
            Kind::TooLarge => 1004,
            Kind::NoSpace => 1005,
            Kind::KeyConflict => 1006,
            Kind::EpochChanged => 1007,
            Kind::Unavailable => 1008,
            Kind::BadConfig => 1009,
            Kind::Exists => 1010,
            Kind::Timeout => 1011,
            Kind::Network => 1012,
            Kind::Tls => 1013,
            Kind::Changed => 1014,
            Kind::Short => 1015,
            Kind::Checksum => 1016,
            Kind::Permission => 1017,
            Kind::Corrupt => 1018,
            Kind::Away => 1019,
        }
    }
}

/// The `error` member of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// A code of the specification, or one of [`Kind::code`].
    pub code: i64,
    /// What happened, to what.
    pub message: String,
    /// The stable word and the hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
}

/// The `data` member of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// The stable word.
    pub kind: Kind,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Error {
    /// An error of this kind; `message` says what happened, to what.
    pub fn new(kind: Kind, message: impl fmt::Display) -> Error {
        Error { code: kind.code(), message: message.to_string(), data: Some(Data { kind, hint: None }) }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Error {
        if let Some(data) = &mut self.data {
            data.hint = Some(hint.to_string());
        }
        self
    }

    /// The line is no JSON.
    #[must_use]
    pub fn parse(why: &str) -> Error {
        Error::new(Kind::ParseError, format_args!("the line is not JSON: {why}"))
    }

    /// The JSON is no request.
    #[must_use]
    pub fn invalid_request(why: &str) -> Error {
        Error::new(Kind::InvalidRequest, format_args!("not a JSON-RPC 2.0 request: {why}"))
    }

    /// The kind, [`Kind::Other`] where the sender gave none.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.data.as_ref().map_or(Kind::Other, |data| data.kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_stable_and_unknown_ones_are_read() {
        let error = Error::new(Kind::KeyConflict, "x").hint("y");
        let json = serde_json::to_string(&error).unwrap();
        assert_eq!(json, r#"{"code":1006,"message":"x","data":{"kind":"key_conflict","hint":"y"}}"#);
        assert_eq!(serde_json::from_str::<Error>(&json).unwrap(), error);
        let newer = r#"{"code":1999,"message":"x","data":{"kind":"of_the_future"}}"#;
        assert_eq!(serde_json::from_str::<Error>(newer).unwrap().kind(), Kind::Other);
        let foreign = r#"{"code":-1,"message":"x"}"#;
        assert_eq!(serde_json::from_str::<Error>(foreign).unwrap().kind(), Kind::Other);
    }
}
