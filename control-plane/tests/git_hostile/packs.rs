//! Packs that mean harm (G-S3, G-S4, G-S5), and conversations about them that never end.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use cargoman_control_plane::git::protocol::FailureCode::{
    self, Authentication, Limit, NoManifest, Protocol, Unreachable, UnreadableObject,
};

use crate::case::{Case, judge};
use crate::pack::{BLOB, COMMIT, Pack, TREE, delta, zlib};
use crate::repository::Repository;
use crate::script::{LISTING, RESULT, drip, endless, head, listing, packet, reply};

/// What an honest server would send.
struct Honest {
    listing: Vec<u8>,
    objects: Vec<(u8, Vec<u8>)>,
}

impl Honest {
    fn new(capabilities: &str) -> Arc<Self> {
        let repository = Repository::with_package("acme/pay");
        let object = |kind: &str, name: &str| repository.git_bytes(&["cat-file", kind, name], b"");
        let commit = repository.git(&["rev-parse", "HEAD"]);
        let refs = [(commit.as_str(), "HEAD"), (&commit, "refs/heads/main"), (&commit, "refs/tags/1.0.0")];
        let objects = vec![
            (COMMIT, object("commit", "HEAD")),
            (TREE, object("tree", "HEAD^{tree}")),
            (BLOB, object("blob", "HEAD:composer.json")),
        ];
        Arc::new(Self { listing: listing(&refs, &format!("symref=HEAD:refs/heads/main {capabilities}")), objects })
    }

    fn pack(&self) -> Pack {
        let mut pack = Pack::new();
        for (kind, content) in &self.objects {
            pack.object(*kind, content);
        }
        pack
    }
}

const BROKEN: &[FailureCode] = &[Protocol, UnreadableObject];
/// Of whatever was sent nothing is needed, so what is needed is missing.
const MISSING: &[FailureCode] = &[Protocol, UnreadableObject, NoManifest];

struct Table {
    plain: Arc<Honest>,
    banded: Arc<Honest>,
    cases: Vec<Case>,
}

impl Table {
    /// The answer to the question for a pack, as it is.
    fn answered(
        &mut self,
        (id, name): (&'static str, &'static str),
        codes: &'static [FailureCode],
        banded: bool,
        answer: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) {
        let honest = Arc::clone(if banded { &self.banded } else { &self.plain });
        self.cases.push(Case::new(id, name, codes, move |asked, stream| match asked.method.as_str() {
            "GET" => reply(stream, LISTING, &honest.listing),
            _ => answer(stream),
        }));
    }

    /// A pack.
    fn pack(&mut self, id: &'static str, name: &'static str, codes: &'static [FailureCode], pack: Vec<u8>) {
        let answer = [b"0008NAK\n".to_vec(), pack].concat();
        self.answered((id, name), codes, false, move |stream| reply(stream, RESULT, &answer));
    }

    /// What comes over the bands.
    fn bands(&mut self, id: &'static str, name: &'static str, codes: &'static [FailureCode], bands: Vec<u8>) {
        let answer = [b"0008NAK\n".to_vec(), bands].concat();
        self.answered((id, name), codes, true, move |stream| reply(stream, RESULT, &answer));
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let (plain, banded) = (Honest::new("ofs-delta"), Honest::new("ofs-delta side-band-64k"));
    let mut table = Table { plain, banded, cases: Vec::new() };
    framing(&mut table);
    objects(&mut table);
    deltas(&mut table);
    conversations(&mut table);
    side_bands(&mut table);
    table.cases
}

fn framing(table: &mut Table) {
    let honest = table.plain.pack();
    let good = honest.finish();
    let cut = |at: usize| good[..at].to_vec();
    let with = |at: usize, byte: u8| {
        let mut pack = good.clone();
        pack[at] ^= byte;
        pack
    };
    table.pack("G-S3", "no pack", BROKEN, [b"PUCK", &good[4..]].concat());
    table.pack("G-S3", "a pack of version 9", BROKEN, honest.finish_as(9, 3));
    table.pack("G-S3", "more objects than promised", BROKEN, honest.finish_as(2, 2));
    table.pack("G-S3", "fewer objects than promised", BROKEN, honest.finish_as(2, 4));
    table.pack("G-S3", "four thousand million objects", &[Limit, Protocol], honest.finish_as(2, u32::MAX));
    table.pack("G-S3", "ten million objects", &[Limit], honest.finish_as(2, 10_000_000));
    table.pack("G-S3", "no objects", MISSING, Pack::new().finish());
    table.pack("G-S3", "a pack cut in its head", BROKEN, cut(7));
    table.pack("G-S3", "a pack cut in the middle", BROKEN, cut(good.len() / 2));
    table.pack("G-S3", "a pack cut in its sum", BROKEN, cut(good.len() - 3));
    table.pack("G-S4", "a wrong sum", BROKEN, with(good.len() - 1, 1));
    table.pack("G-S4", "a wrong byte", BROKEN, with(20, 0x40));
    table.pack("G-S3", "nothing", BROKEN, Vec::new());
}

fn objects(table: &mut Table) {
    let text = b"some text that is long enough to be compressed, to be compressed, to be compressed".as_slice();
    let packed = zlib(text);
    let size = text.len() as u64;
    let mut one = |name, kind, size: u64, packed: &[u8], codes| {
        table.pack("G-S4", name, codes, Pack::new().entry(kind, size, b"", packed).finish());
    };
    one("zlib cut short", BLOB, size, &packed[..packed.len() / 2], BROKEN);
    one("zlib of nothing", BLOB, size, b"", BROKEN);
    one("zlib with a wrong sum", BLOB, size, &[&packed[..packed.len() - 1], &[0]].concat(), BROKEN);
    one("no zlib at all", BLOB, size, &[0xff; 64], BROKEN);
    one("zlib that wants a dictionary", BLOB, size, &[0x78, 0xbb, 1, 2, 3, 4, 5, 6, 7, 8], BROKEN);
    one("larger than stated", BLOB, size - 10, &packed, MISSING);
    one("smaller than stated", BLOB, size + 10, &packed, BROKEN);
    one("an object of 16 EiB", BLOB, u64::MAX, &packed, BROKEN);
    one("a commit of 3 GiB by its own account", COMMIT, 3 << 30, &packed, BROKEN);
    one("a kind that does not exist", 0, size, &packed, BROKEN);
    one("a kind that is kept for later", 5, size, &packed, BROKEN);
    let zeros = vec![0; 400 << 20];
    let bomb = zlib(&zeros);
    let length = zeros.len() as u64;
    drop(zeros);
    for (name, kind) in [("a bomb of a commit", COMMIT), ("a bomb of a tree", TREE), ("a bomb of a blob", BLOB)] {
        one(name, kind, length, &bomb, &[Protocol, UnreadableObject, NoManifest, Limit]);
    }
    let honest = Arc::clone(&table.plain);
    for (missing, name) in [(0, "no commit"), (1, "no tree"), (2, "no composer.json")] {
        let mut pack = Pack::new();
        for (_, (kind, content)) in honest.objects.iter().enumerate().filter(|(at, _)| *at != missing) {
            pack.object(*kind, content);
        }
        table.pack("G-S3", name, MISSING, pack.finish());
    }
}

fn deltas(table: &mut Table) {
    let base = b"twenty bytes of base".as_slice();
    let length = base.len() as u64;
    let mut after_base = |name, delta: Vec<u8>, codes| {
        let mut pack = Pack::new();
        let begin = pack.offset();
        pack.object(BLOB, base);
        let back = pack.offset() - begin;
        table.pack("G-S3", name, codes, pack.offset_delta(back, &delta).finish());
    };
    after_base("a delta of 2 GiB", delta(length, 2 << 30, b"\x01x"), BROKEN);
    after_base("a delta of 16 EiB", delta(length, u64::MAX, b"\x01x"), BROKEN);
    after_base("a delta of another base", delta(length + 1, 1, b"\x01x"), BROKEN);
    after_base("a copy from behind the base", delta(length, 10, &[0x91, 200, 10]), BROKEN);
    after_base("a copy beyond the result", delta(length, 1, &[0x90, 10]), BROKEN);
    after_base("an instruction that does not exist", delta(length, 1, b"\0"), BROKEN);
    after_base("an insert without its bytes", delta(length, 100, b"\x64x"), BROKEN);
    after_base("a delta of nothing", Vec::new(), BROKEN);
    // 64 KiB become 256 MiB by one instruction, four thousand times.
    let copy = [0xf0 & !0x10 | 0x80, 0xff, 0xff].repeat(4096);
    after_base("a delta that copies much", delta(length, 4096 * 65_535, &copy), BROKEN);
    table.pack(
        "G-S3",
        "a delta of what comes before the pack",
        BROKEN,
        Pack::new().offset_delta(4000, &delta(1, 1, b"\x01x")).finish(),
    );
    table.pack("G-S3", "a delta of itself", BROKEN, Pack::new().offset_delta(0, &delta(1, 1, b"\x01x")).finish());
    table.pack(
        "G-S3",
        "a delta of what nobody has",
        BROKEN,
        Pack::new().named_delta([7; 20], &delta(1, 1, b"\x01x")).finish(),
    );
    let mut round = Pack::new();
    round.named_delta([1; 20], &delta(1, 1, b"\x01x")).named_delta([2; 20], &delta(1, 1, b"\x01y"));
    table.pack("G-S3", "deltas of each other", BROKEN, round.finish());
    // Each is the one before but for four bytes.
    let mut chain = table.plain.pack();
    let mut begin = chain.offset();
    chain.object(BLOB, base);
    for number in 0..20_000_u32 {
        let here = chain.offset();
        let instructions = [&[0x90, 16, 4][..], &number.to_be_bytes()].concat();
        chain.offset_delta(here - begin, &delta(length, length, &instructions));
        begin = here;
    }
    let chain = [b"0008NAK\n".to_vec(), chain.finish()].concat();
    table.answered(("G-S3", "twenty thousand deltas in a row"), BROKEN, false, move |stream| {
        reply(stream, RESULT, &chain)
    });
    // It is the tip of the default branch, and harmless: whoever indexes it in bounded time and memory may.
    if let Some(last) = table.cases.last_mut() {
        last.expected = crate::case::Expected::Ends;
    }
}

fn conversations(table: &mut Table) {
    let id = "a".repeat(40);
    let acknowledged = packet(format!("ACK {id} continue\n"));
    let mut answered = |name, codes, answer: fn(&mut TcpStream) -> std::io::Result<()>| {
        table.answered(("G-S3", name), codes, false, answer);
    };
    answered("an error", &[Unreachable], |stream| stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
    answered("a change of mind", &[Authentication], |stream| {
        stream.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    });
    answered("a page instead", &[Protocol], |stream| reply(stream, "text/html", b"<html>"));
    answered("hanging up", &[Unreachable, Protocol], |_| Ok(()));
    answered("silence", &[Unreachable, Limit], |_| {
        std::thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    answered("a pack that drips", &[Limit, Unreachable], |stream| {
        head(stream, RESULT)?;
        stream.write_all(b"0008NAK\nPACK\0\0\0\x02\0\0\0\x01\xbf\xff\x0f\x78\x01\0\xff\xff\0\0")?;
        drip(stream, b"\0")
    });
    answered("no without end", &[Limit, Protocol], |stream| {
        head(stream, RESULT)?;
        endless(stream, b"0008NAK\n")
    });
    answered("packets of nothing without end", &[Limit, Protocol], |stream| {
        head(stream, RESULT)?;
        endless(stream, b"0004")
    });
    answered("flushes without end", &[Limit, Protocol], |stream| {
        head(stream, RESULT)?;
        endless(stream, b"0000")
    });
    answered("an object without end", &[Limit, Protocol], |stream| {
        head(stream, RESULT)?;
        stream.write_all(b"0008NAK\nPACK\0\0\0\x02\0\0\0\x01\xbf\xff\xff\xff\xff\x0f\x78\x01")?;
        endless(stream, &[&[0, 0xff, 0xff, 0, 0][..], &[0; 0xffff]].concat())
    });
    table.answered(("G-S3", "yes without end"), &[Limit, Protocol], false, move |stream| {
        head(stream, RESULT)?;
        endless(stream, &acknowledged)
    });
    let error = packet("ERR \x1b[31mno\x07\n");
    table.answered(("G-S5", "an error that paints the terminal"), &[Protocol], false, move |stream| {
        reply(stream, RESULT, &error)
    });
}

fn side_bands(table: &mut Table) {
    let band = |channel: u8, payload: &[u8]| packet([&[channel], payload].concat());
    let pack = table.banded.pack().finish();
    let sent = band(1, &pack);
    table.bands("G-S5", "a fatal error that paints the terminal", BROKEN, band(3, b"\x1b[2J\x07no\n"));
    table.bands("G-S5", "a channel that does not exist", MISSING, [band(9, b"x"), b"0000".to_vec()].concat());
    table.bands("G-S5", "a channel without a number", BROKEN, [packet(b""), b"0000".to_vec()].concat());
    table.bands("G-S5", "a pack that stops between two packets", BROKEN, band(1, &pack[..40]));
    table.bands("G-S5", "a band of impossible length", BROKEN, [b"ffff".to_vec(), sent.clone()].concat());
    let loud = [band(2, &b"\x1b[31mhello\r".repeat(1000)).repeat(1000), sent, b"0000".to_vec()].concat();
    table.bands("G-S5", "ten megabytes of progress", &[], loud);
    if let Some(last) = table.cases.last_mut() {
        last.expected = crate::case::Expected::Ends;
    }
    table.answered(("G-S5", "progress without end"), &[Limit, Protocol], true, move |stream| {
        head(stream, RESULT)?;
        stream.write_all(b"0008NAK\n")?;
        endless(stream, &packet(b"\x02still counting\r"))
    });
}

#[test]
fn are_refused_and_leave_nothing_behind() {
    judge(cases());
}
