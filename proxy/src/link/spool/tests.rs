use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use cargoman_edge_protocol::{TenantId, TokenUsed};
use proptest::prelude::*;

use super::*;

/// The event of a number.
fn event(number: u32) -> UsageEvent {
    UsageEvent::TokenUsed(TokenUsed {
        tenant: TenantId(Uuid::from_u128(1)),
        token: format!("tok_id_{number}"),
        at: chrono::DateTime::UNIX_EPOCH,
        address: None,
    })
}

fn numbers(batch: &Batch) -> Vec<u32> {
    let number = |event: &str| match serde_json::from_str(event).unwrap() {
        UsageEvent::TokenUsed(used) => used.token.strip_prefix("tok_id_").unwrap().parse().unwrap(),
        other => panic!("{other:?}"),
    };
    batch.events.iter().map(|event| number(event.get())).collect()
}

/// Everything that waits, oldest first; afterwards nothing waits.
fn drain(spool: &Spool) -> Vec<(Uuid, Vec<u32>)> {
    let mut out = Vec::new();
    while let Some(id) = spool.oldest() {
        out.push((id, numbers(&spool.read(id).unwrap())));
        spool.sent(id).unwrap();
    }
    out
}

fn open(folder: &Path) -> Spool {
    Spool::open(folder, 1 << 30).unwrap()
}

fn dropped(spool: &Spool) -> u64 {
    spool.dropped.load(Ordering::Relaxed)
}

#[test]
fn what_is_kept_is_in_the_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    spool.append(&event(1));
    let (id, bytes) = segment::scan(folder.path()).unwrap()[0];
    let text = fs::read_to_string(segment::path(folder.path(), id)).unwrap();
    assert_eq!((text.len() as u64, text.lines().count(), text.ends_with('\n')), (bytes, 1, true));
    assert_eq!(spool.oldest(), None, "what is open is not sent");
    spool.close();
    assert_eq!(drain(&spool), [(id, vec![1])]);
    assert_eq!(segment::scan(folder.path()).unwrap(), []);
    spool.close();
    assert_eq!(spool.oldest(), None, "an empty segment is none");
}

#[test]
fn a_full_segment_is_closed_and_the_next_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let most = u32::try_from(MOST_USAGE_EVENTS).unwrap();
    for number in 0..=most {
        spool.append(&event(number));
    }
    let full = drain(&spool);
    assert_eq!(full.iter().map(|(_, numbers)| numbers.len()).collect::<Vec<_>>(), [1_000]);
    spool.close();
    let rest = drain(&spool);
    assert_eq!(rest[0].1, [most]);
    assert_ne!(rest[0].0, full[0].0);
    // By size as well.
    let large = UsageEvent::TokenUsed(TokenUsed {
        tenant: TenantId(Uuid::nil()),
        token: "x".repeat(700_000),
        at: chrono::DateTime::UNIX_EPOCH,
        address: None,
    });
    spool.append(&large);
    assert_eq!(spool.oldest(), None);
    spool.append(&large);
    assert!(spool.oldest().is_some());
}

#[test]
fn a_torn_last_line_is_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    spool.append(&event(1));
    spool.append(&event(2));
    let (id, _) = segment::scan(folder.path()).unwrap()[0];
    drop(spool);
    let line = serde_json::to_vec(&event(3)).unwrap();
    for torn in [&line[..], &line[..1], &line[..line.len() / 2]] {
        let path = segment::path(folder.path(), id);
        let before = fs::read(&path).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(torn).unwrap();
        let spool = open(folder.path());
        assert_eq!(numbers(&spool.read(spool.oldest().unwrap()).unwrap()), [1, 2]);
        fs::write(&path, before).unwrap();
    }
    // Nothing but a torn line.
    let alone = Uuid::now_v7();
    fs::write(segment::path(folder.path(), alone), &line).unwrap();
    assert_eq!(drain(&open(folder.path())), [(id, vec![1, 2]), (alone, vec![])]);
    // Zeros, as a power cut may leave them, spoil their own line alone.
    fs::write(segment::path(folder.path(), alone), [b"\0\0\n".as_slice(), &line, b"\n"].concat()).unwrap();
    assert_eq!(drain(&open(folder.path())), [(alone, vec![3])]);
}

#[test]
fn the_disk_is_bounded_and_what_was_put_aside_counts() {
    let folder = tempfile::tempdir().unwrap();
    let line = serde_json::to_vec(&event(1)).unwrap().len() as u64 + 1;
    let room_for_three = || Spool::open(folder.path(), line * 3).unwrap();
    let spool = room_for_three();
    (0..5).for_each(|number| spool.append(&event(number)));
    assert_eq!(dropped(&spool), 2);
    spool.close();
    assert_eq!(drain(&spool)[0].1, [0, 1, 2]);
    (5..7).for_each(|number| spool.append(&event(number)));
    spool.close();
    spool.put_aside(spool.oldest().unwrap()).unwrap();
    assert_eq!(spool.oldest(), None);
    for spool in [spool, room_for_three()] {
        let before = dropped(&spool);
        (7..9).for_each(|number| spool.append(&event(number)));
        assert_eq!(dropped(&spool), before + 1);
        spool.close();
        assert_eq!(drain(&spool)[0].1, [7]);
    }
    assert_eq!(segment::scan(&refused(folder.path())).unwrap().len(), 1);
}

#[test]
fn a_folder_that_is_gone_costs_counts_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&folder.path().join("spool"));
    fs::remove_dir_all(folder.path().join("spool")).unwrap();
    spool.append(&event(1));
    assert_eq!(dropped(&spool), 1);
    fs::create_dir_all(folder.path().join("spool")).unwrap();
    spool.append(&event(2));
    spool.close();
    assert_eq!(drain(&spool)[0].1, [2]);
}

#[test]
fn many_threads_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let spool = &spool;
            scope.spawn(move || (0..500).for_each(|number| spool.append(&event(thread * 500 + number))));
        }
    });
    spool.close();
    let mut all: Vec<u32> = drain(&spool).into_iter().flat_map(|(_, numbers)| numbers).collect();
    all.sort_unstable();
    assert_eq!(all, (0..4_000).collect::<Vec<_>>());
}

#[derive(Debug, Clone)]
enum Step {
    Append,
    Close,
    /// The oldest is sent, but the process dies before it can forget it.
    SendTwice,
    Send,
    PutAside,
    /// A kill, perhaps in the middle of a line.
    Kill {
        torn: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Append),
        2 => Just(Step::Close),
        1 => Just(Step::SendTwice),
        2 => Just(Step::Send),
        1 => Just(Step::PutAside),
        2 => any::<bool>().prop_map(|torn| Step::Kill { torn }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens between: each event reaches the other side in exactly one batch, and a batch is always the same.
    #[test]
    fn every_event_is_in_one_batch(steps in proptest::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(folder.path());
        let mut received: BTreeMap<Uuid, Vec<u32>> = BTreeMap::new();
        let mut appended = 0;
        let mut send = |spool: &Spool, id: Uuid| {
            let numbers = numbers(&spool.read(id).unwrap());
            let before = received.insert(id, numbers.clone());
            assert!(before.is_none_or(|before| before == numbers), "{id} has changed");
        };
        for step in steps {
            match step {
                Step::Append => {
                    spool.append(&event(appended));
                    appended += 1;
                }
                Step::Close => spool.close(),
                Step::SendTwice => if let Some(id) = spool.oldest() {
                    send(&spool, id);
                },
                Step::Send => if let Some(id) = spool.oldest() {
                    send(&spool, id);
                    spool.sent(id).unwrap();
                },
                Step::PutAside => if let Some(id) = spool.oldest() {
                    send(&spool, id);
                    spool.put_aside(id).unwrap();
                },
                Step::Kill { torn } => {
                    drop(spool);
                    if let (true, Some((id, _))) = (torn, segment::scan(folder.path()).unwrap().last()) {
                        let path = segment::path(folder.path(), *id);
                        File::options().append(true).open(path).unwrap().write_all(b"{\"kind\":\"tok").unwrap();
                    }
                    spool = open(folder.path());
                }
            }
        }
        spool.close();
        while let Some(id) = spool.oldest() {
            send(&spool, id);
            spool.sent(id).unwrap();
        }
        let mut all: Vec<u32> = received.into_values().flatten().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..appended).collect::<Vec<_>>());
    }
}
