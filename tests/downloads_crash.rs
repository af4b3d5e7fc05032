//! Downloads through kill -9, power loss and restarts: in the end the file is right, and little was fetched twice.

use crate::downloads_trees::tree;
use crate::files::{directory, share};
use crate::harness::pair::{befriend, box_of, builder, builder_with};
use crate::harness::{
    Downloader, End, File, MIB, Random, Reply, Source, assert_same, blake3, bytes, eventually, has_program,
    may_skip,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn fifty_kills_lose_no_more_than_a_second_each() {
    const SIZE: usize = 300 * MIB;
    const RATE: usize = 6 * MIB;
    /// What a kill may cost: a second's worth, since so often it is noted what is there, another one where the machine
    /// is busy, and what was on its way.
    const LOSS: usize = 2 * RATE + 2 * MIB;
    let mut random = Random::new("fifty_kills_lose_no_more_than_a_second_each");
    let content = bytes(random.number(), SIZE);
    let file = File::new(&content);
    let source = Source::http(move |request| file.answer(request).rate(RATE as u64));
    let mut downloader = Downloader::new();
    let id = downloader.add(&source.url("f"));
    let mut budget = SIZE - 20 * MIB;
    for kill in 0..50 {
        // Some soon after the start, some when more was fetched than a kill may cost.
        let more = match kill % 5 {
            0 | 3 => LOSS as u64 + random.below(4 * MIB as u64),
            _ => random.below(3 * MIB as u64),
        };
        let more = (more as usize).min(budget);
        budget -= more;
        source.wait_sent(source.sent() + more);
        downloader.kill();
        assert_eq!(
            downloader.names().iter().filter(|name| *name != &format!(".netkit-{id}.part")).count(),
            0
        );
    }
    source.hurry();
    let shown = downloader.done(id);
    assert_same(&downloader.read("f"), &content, "after fifty kills");
    assert_eq!(shown["blake3"], blake3(&content));
    assert_eq!(downloader.names(), ["f"]);
    let gets = source.gets();
    let mut reached = 0; // how far anything got
    let mut tries = Vec::new();
    for get in &gets {
        tries.push((get.start() / MIB, get.sent() / MIB));
        assert!(get.start() <= reached, "nothing is left out: {tries:?} MiB");
        assert!(get.start() + LOSS >= reached, "what was there is not fetched again: {tries:?} MiB");
        reached = reached.max(get.start() + get.sent());
    }
    assert!(gets.len() > 10, "{tries:?}");
    assert!(!downloader.words(id).contains(&"restarted".to_owned()), "{:?}", downloader.words(id));
}

#[test]
fn kills_of_several_connections_leave_no_hole() {
    const SIZE: usize = 48 * MIB;
    let mut random = Random::new("kills_of_several_connections_leave_no_hole");
    let content = bytes(random.number(), SIZE);
    let file = File::new(&content);
    let source = Source::http(move |request| file.answer(request).rate(3 * MIB as u64));
    let mut downloader = Downloader::with("connections = 4");
    let id = downloader.add(&source.url("f"));
    for _ in 0..6 {
        // Never all of it.
        source.wait_sent(source.sent() + random.below(7 * MIB as u64) as usize);
        downloader.kill();
    }
    source.hurry();
    let shown = downloader.done(id);
    assert_same(&downloader.read("f"), &content, "after kills of four connections");
    assert_eq!((&shown["blake3"], downloader.names()), (&json!(blake3(&content)), vec!["f".to_owned()]));
    let gets = source.gets();
    assert!(gets.iter().any(|get| get.at_once > 1) && gets.iter().any(|get| get.start() > 0), "{gets:?}");
}

#[test]
fn what_is_noted_of_a_file_that_is_no_more_is_forgotten() {
    if needs_sqlite("what_is_noted_of_a_file_that_is_no_more_is_forgotten") {
        return;
    }
    let (old, new) = (bytes(1, 8 * MIB), bytes(2, 8 * MIB));
    let (old, theirs) = (File::new(&old), File::new(&new).etag("\"two\""));
    let source = Source::http(move |request| match request.number {
        0 => old.answer(request).cut_after(5 * MIB + 7, End::Reset),
        1 => theirs.answer(request).stall_after(3 * MIB / 2),
        _ => theirs.answer(request),
    });
    let mut downloader = Downloader::new();
    let id = downloader.add(&source.url("f"));
    downloader.event(id, "restarted");
    eventually("what came of the new one is noted", || {
        (downloader.sql("SELECT sum(bytes) FROM blocks").trim() == "1572864").then_some(())
    });
    // Whatever is taken for noted is not asked for again, right or wrong.
    downloader.kill();
    downloader.done(id);
    assert_same(&downloader.read("f"), &new, "of the new file only");
    assert_eq!(source.gets().pop().unwrap().start(), 3 * MIB / 2, "{:?}", source.gets());
}

#[test]
fn a_bare_file_starts_over_after_a_kill_and_says_so() {
    let content = bytes(1, 8 * MIB);
    let theirs = content.clone();
    let source = Source::bare(move |request| {
        let reply = Reply::bytes(&theirs);
        if request.number == 0 { reply.stall_after(5 * MIB) } else { reply }
    });
    let mut downloader = Downloader::new();
    let id = downloader.add(&source.url("f"));
    downloader.until(id, "4 MiB are there", |shown| shown["bytes"].as_u64().unwrap() >= 4 * MIB as u64);
    downloader.kill();
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "by bare name");
    assert!(downloader.event(id, "restarted")["lost"].as_u64().unwrap() > 0);
    assert_eq!(downloader.names(), ["f"]);
}

/// Kills what downloads at this moment, to the microsecond.
fn kill_after(downloader: &mut Downloader, time: Duration) {
    let due = Instant::now() + time;
    while Instant::now() < due {
        std::hint::spin_loop();
    }
    downloader.kill();
}

#[test]
fn kills_around_the_end_leave_each_file_once() {
    const KILLS: u64 = 40;
    let mut random = Random::new("kills_around_the_end_leave_each_file_once");
    let source = Source::http(|request| {
        let n: u64 = request.path.trim_start_matches("/f").trim_end_matches(".bin").parse().unwrap();
        File::new(&bytes(n, 10_000)).answer(request)
    });
    let mut downloader = Downloader::with("active = 4");
    let mut ids = Vec::new();
    for _ in 0..KILLS {
        for _ in 0..=random.below(6) {
            ids.push(downloader.add(&source.url(&format!("f{}.bin", ids.len()))));
        }
        // Each takes some milliseconds: the last ones are killed in any state.
        kill_after(&mut downloader, Duration::from_micros(random.below(6_000)));
    }
    for &id in &ids {
        downloader.done(id);
    }
    assert_eq!(downloader.names().len(), ids.len(), "{:?}", downloader.names());
    for n in 0..ids.len() {
        assert_same(&downloader.read(&format!("f{n}.bin")), &bytes(n as u64, 10_000), &format!("f{n}.bin"));
    }
    let mut interrupted = 0;
    for &id in &ids {
        let words = downloader.words(id);
        assert_eq!(words.iter().filter(|word| *word == "done").count(), 1, "{id}: {words:?}");
        assert!(!words.contains(&"failed".to_owned()), "{id}: {words:?}");
        interrupted += u32::from(words.iter().filter(|word| *word == "active").count() > 1);
        let name = downloader.show(id)["path"].as_str().unwrap().to_owned();
        assert!(!name.contains('('), "{name}");
    }
    assert!(interrupted > 0, "{KILLS} kills interrupted nothing");
}

#[test]
fn kills_around_the_end_leave_what_is_of_a_peer_once_too() {
    const KILLS: usize = 30;
    let mut random = Random::new("kills_around_the_end_leave_what_is_of_a_peer_once_too");
    let dir = directory();
    for n in 0..KILLS {
        let sub = dir.path().join(format!("d{n}"));
        std::fs::create_dir(&sub).unwrap();
        std::fs::write(dir.path().join(format!("f{n}")), bytes(n as u64, 10_000)).unwrap();
        for (name, len) in [("a", 5), ("b", 20_000), ("large", MIB + 1)] {
            std::fs::write(sub.join(name), bytes(n as u64, len)).unwrap();
        }
    }
    let bob = box_of(builder_with("bob", &share("pub", dir.path(), "access = \"public\"")));
    let alice = box_of(builder("alice").downloads("active = 4"));
    befriend(&alice, &bob);
    let mut downloader = Downloader::on(alice);
    let mut ids = Vec::new();
    for n in 0..KILLS {
        // A directory is known as one, or turns out to be one.
        let slash = if n % 2 == 0 { "/" } else { "" };
        ids.push(downloader.add(&format!("bob:pub/d{n}{slash}")));
        ids.push(downloader.add(&format!("bob:pub/f{n}")));
        let has_begun = |shown: &Value| shown["state"] != "queued" && shown["state"] != "retry_wait";
        downloader.until(ids[ids.len() - 2], "it has begun", has_begun);
        // Each takes some tens of milliseconds: the last ones are killed in any state.
        kill_after(&mut downloader, Duration::from_micros(random.below(60_000)));
    }
    for &id in &ids {
        downloader.done(id);
    }
    assert_eq!(downloader.names().len(), ids.len(), "{:?}", downloader.names());
    for n in 0..KILLS {
        let (file, sub) = (format!("f{n}"), format!("d{n}"));
        assert_same(&downloader.read(&file), &bytes(n as u64, 10_000), &file);
        assert!(tree(&downloader.path(&sub)) == tree(&dir.path().join(&sub)), "{sub}");
    }
    let (mut interrupted, mut late) = (0, 0);
    for &id in &ids {
        let words = downloader.words(id);
        let count = |wanted: &str| words.iter().filter(|word| *word == wanted).count();
        assert_eq!((count("done"), count("failed"), count("restarted")), (1, 0, 0), "{id}: {words:?}");
        interrupted += u32::from(count("active") > 1);
        late += u32::from(words.windows(2).any(|two| two == ["verifying", "active"]));
    }
    eprintln!("{interrupted} were interrupted, {late} of them when all was there");
    assert!(interrupted > 0, "{KILLS} kills interrupted nothing");
}

/// A download of 8 MiB of which 5 and a half are there, netkitd having been stopped.
fn half_done(content: &Arc<[u8]>) -> (Downloader, Source, u64) {
    let file = File::new(content);
    let source = Source::http(move |request| {
        let reply = file.answer(request);
        if request.number == 0 { reply.stall_after(11 * MIB / 2) } else { reply }
    });
    let mut downloader = Downloader::new();
    let id = downloader.add(&source.url("f"));
    downloader.until(id, "5.5 MiB are there", |shown| shown["bytes"] == 11 * MIB / 2);
    downloader.node.stop();
    (downloader, source, id)
}

/// What was asked for after the first request: each start, and all that was sent.
fn asked_again(source: &Source) -> (Vec<usize>, usize) {
    let again = source.gets().split_off(1);
    (again.iter().map(|get| get.start()).collect(), again.iter().map(|get| get.sent()).sum())
}

fn needs_sqlite(test: &str) -> bool {
    may_skip(has_program("sqlite3"), test, "sqlite3")
}

#[test]
fn after_another_boot_what_is_there_is_looked_at_and_only_damage_is_fetched_again() {
    if needs_sqlite("after_another_boot_what_is_there_is_looked_at_and_only_damage_is_fetched_again") {
        return;
    }
    let content = bytes(1, 8 * MIB);
    let (mut downloader, source, id) = half_done(&content);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(downloader.sql("SELECT boot FROM parts").trim(), boot.trim());
    downloader.sql("UPDATE parts SET boot = 'another'");
    // A page of the third block never came to the disk.
    let part = downloader.part(id);
    let mut damaged = std::fs::read(&part).unwrap();
    damaged[2 * MIB + 8192..][..4096].fill(0);
    write_in_place(&part, &damaged);
    downloader.start();
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "repaired");
    let (starts, sent) = asked_again(&source);
    assert!(starts.iter().all(|&start| start >= 2 * MIB), "{starts:?}");
    assert!(starts.contains(&(2 * MIB)), "{starts:?}");
    assert!(sent < 5 * MIB, "the third block and what is behind the fifth; sent were {sent}");
}

#[test]
fn within_a_boot_what_is_there_is_trusted() {
    let content = bytes(1, 8 * MIB);
    let (mut downloader, source, id) = half_done(&content);
    downloader.start();
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "goes on");
    assert_eq!(asked_again(&source), (vec![11 * MIB / 2], 5 * MIB / 2));
}

/// The same file with other bytes: its inode stays.
fn write_in_place(path: &std::path::Path, content: &[u8]) {
    use std::io::Write;
    std::fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap().write_all(content).unwrap();
}

#[test]
fn a_part_file_that_is_gone_or_another_is_not_gone_on_with() {
    let content = bytes(1, 8 * MIB);
    for what in ["gone", "another", "truncated"] {
        let (mut downloader, source, id) = half_done(&content);
        let part = downloader.part(id);
        match what {
            "truncated" => write_in_place(&part, &content[..MIB + 5]),
            "another" => {
                let aside = downloader.path("aside");
                std::fs::write(&aside, &content[MIB..]).unwrap();
                std::fs::rename(&aside, &part).unwrap();
            }
            _ => std::fs::remove_file(&part).unwrap(),
        }
        downloader.start();
        downloader.done(id);
        assert_same(&downloader.read("f"), &content, what);
        assert!(asked_again(&source).1 > 5 * MIB, "{what}: {:?}", source.gets());
        assert_eq!(downloader.names(), ["f"], "{what}");
    }
}

#[test]
fn what_was_added_is_there_after_a_kill() {
    let mut downloader = Downloader::with("active = 1");
    let source = Source::http(|request| File::new(&bytes(1, MIB)).answer(request).stall_after(1000));
    let mut ids = Vec::new();
    for round in 0..5 {
        for n in 0..10 {
            ids.push(downloader.add_with(&source.url(&format!("{round}.{n}")), json!({"limit": n + 1})));
        }
        downloader.tell("pause", *ids.last().unwrap());
        downloader.kill();
        assert_eq!(downloader.listed(&[]), ids);
    }
    for (n, &id) in ids.iter().enumerate() {
        let shown = downloader.show(id);
        assert_eq!(shown["limit"], n % 10 + 1, "{shown}");
        assert_eq!(shown["state"] == "paused", n % 10 == 9, "{shown}");
    }
}
