//! `netkitctl queue show ID`: all that is known of a download, in aligned lines or as its JSON object.

use crate::cmd::downloads::{progress, time_left};
use crate::context::Context;
use crate::exit::Outcome;
use crate::format::show_bytes;
use crate::output::{Out, escape_line};
use crate::rate::show_rate;
use crate::time::{self, show_time};
use jiff::Zoned;
use netkit_proto::rpc::call::{Call, Download, DownloadState, DownloadsShow};
use netkit_proto::time::Timestamp;

/// Asks and prints.
pub(super) fn run(context: &Context, id: u64) -> Outcome {
    let mut client = context.connect()?;
    let mut out = Out::stdout();
    let request = DownloadsShow { id };
    if context.json {
        let answer = client.call_raw(DownloadsShow::METHOD, &request)?;
        out.json(answer.get())?;
    } else {
        for (name, value) in rows(&client.call(&request)?, &time::now()) {
            out.line(&format!("{name:<9} {}", escape_line(&value)))?;
        }
    }
    out.flush()
}

fn rows(download: &Download, now: &Zoned) -> Vec<(&'static str, String)> {
    let at = Timestamp(now.timestamp().as_millisecond());
    let mut rows = vec![
        ("id", download.id.to_string()),
        ("source", download.source.clone()),
        ("path", download.path.clone()),
        ("state", download.state.to_string()),
        ("size", download.size.map_or_else(|| "not known".to_owned(), show_bytes)),
    ];
    if download.state != DownloadState::Done {
        rows.push(("there", progress(download)));
    }
    if download.state == DownloadState::Active {
        rows.push(("rate", show_rate(download.rate)));
    }
    if download.limit > 0 {
        rows.push(("limit", show_rate(download.limit)));
    }
    if let Some(checksum) = &download.checksum {
        let verified = match (download.verified, download.state) {
            (true, _) => " (verified)",
            (false, DownloadState::Failed) => "",
            (false, _) => " (not checked yet)",
        };
        rows.push(("checksum", format!("{checksum}{verified}")));
    } else if download.state == DownloadState::Done && download.verified {
        rows.push(("checksum", "none was given: the content is what its peer says it has".to_owned()));
    } else if download.state == DownloadState::Done {
        rows.push(("checksum", "none was given: the content is not verified".to_owned()));
    }
    rows.extend(download.blake3.clone().map(|blake3| ("blake3", blake3)));
    for source in &download.sources {
        let trouble = source.trouble.as_ref().map(|why| format!(", asked no more: {why}"));
        let bytes = show_bytes(source.bytes);
        rows.push(("from", format!("{} {bytes}{}", source.name, trouble.unwrap_or_default())));
    }
    if let Some(error) = &download.error {
        rows.push(("error", error.message.clone()));
        rows.extend(error.hint.clone().map(|hint| ("hint", hint)));
    }
    if download.attempts > 0 {
        rows.push(("attempts", format!("{} that brought nothing", download.attempts)));
    }
    if let Some(retry_at) = download.retry_at.filter(|_| download.state == DownloadState::RetryWait) {
        rows.push(("next try", format!("{} (in {})", show_time(retry_at, now), time_left(retry_at, at))));
    }
    rows.push(("added", show_time(download.added, now)));
    rows.push(("changed", show_time(download.changed, now)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkit_proto::rpc::call::DownloadSource;
    use serde_json::json;

    #[test]
    fn only_what_is_known_is_told() {
        let now: Zoned = "2026-11-23T08:00:00+00:00[+00:00]".parse().unwrap();
        let lines = |download: &Download| {
            rows(download, &now).iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        let mut download: Download = serde_json::from_value(json!({
            "id": 7, "source": "https://a/x.iso", "state": "retry_wait", "path": "/d/x.iso", "bytes": 1024,
            "rate": 0, "limit": 1 << 20, "checksum": format!("md5:{}", "0".repeat(32)), "verified": false,
            "error": { "kind": "network", "message": "connection refused", "hint": "is it up?" },
            "attempts": 2, "retry_at": "2026-11-23T08:00:05Z",
            "added": "2026-11-23T07:00:00Z", "changed": "2026-11-23T07:59:00Z",
        }))
        .unwrap();
        assert_eq!(
            lines(&download),
            [
                "id: 7",
                "source: https://a/x.iso",
                "path: /d/x.iso",
                "state: retry_wait",
                "size: not known",
                "there: 1.0 KiB",
                "limit: 1.0 MiB/s",
                "checksum: md5:00000000000000000000000000000000 (not checked yet)",
                "error: connection refused",
                "hint: is it up?",
                "attempts: 2 that brought nothing",
                "next try: 08:00:05 (in 5 s)",
                "added: 07:00:00",
                "changed: 07:59:00",
            ]
        );
        (download.state, download.verified, download.error) = (DownloadState::Done, true, None);
        (download.size, download.blake3, download.attempts) = (Some(1024), Some("af13".into()), 0);
        let told = lines(&download);
        assert!(told.contains(&"checksum: md5:00000000000000000000000000000000 (verified)".to_owned()));
        assert!(
            told.contains(&"blake3: af13".to_owned()) && !told.iter().any(|line| line.starts_with("next"))
        );
        download.checksum = None;
        let trouble = Some("it lies".to_owned());
        download.sources = vec![DownloadSource { name: "bob".into(), id: None, bytes: 1024, trouble }];
        let told = lines(&download);
        assert!(told.contains(&"from: bob 1.0 KiB, asked no more: it lies".to_owned()), "{told:?}");
        assert!(told.iter().any(|line| line.ends_with("is what its peer says it has")));
        download.verified = false;
        assert!(lines(&download).iter().any(|line| line.ends_with("the content is not verified")));
    }
}
