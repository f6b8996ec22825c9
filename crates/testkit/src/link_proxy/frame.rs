//! Frames of a WebSocket as bytes: found, read, shortened, made.

/// A frame as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame(pub(super) Vec<u8>);

struct Head {
    length: usize,
    mask: Option<[u8; 4]>,
    payload: usize,
}

impl Frame {
    /// A text frame. One without a real mask says that it is masked with zeros, where it must say so.
    pub(super) fn text(text: &str, masked: bool) -> Self {
        Self::made(0x81, masked.then_some([0; 4]), text.as_bytes())
    }

    fn made(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Self {
        let mut bytes = vec![first];
        let masked = if mask.is_some() { 0x80 } else { 0 };
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length @ 0..126), _) => bytes.push(masked | length),
            (_, Ok(length)) => {
                bytes.push(masked | 126);
                bytes.extend(length.to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend((payload.len() as u64).to_be_bytes());
            }
        }
        bytes.extend(mask.into_iter().flatten());
        bytes.extend(payload);
        Self(bytes)
    }

    /// Takes the first whole frame out of `bytes`.
    pub(super) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let head = head(bytes)?;
        let end = head.payload.checked_add(head.length).filter(|end| *end <= bytes.len())?;
        let rest = bytes.split_off(end);
        Some(Self(std::mem::replace(bytes, rest)))
    }

    /// Whether it carries a message, and is no ping, pong or end.
    pub(super) fn is_message(&self) -> bool {
        self.0.first().is_some_and(|first| first & 0x08 == 0)
    }

    /// What a whole text message says; none of other frames.
    pub(super) fn read(&self) -> Option<String> {
        if self.0.first() != Some(&0x81) {
            return None;
        }
        let head = head(&self.0)?;
        let mask = head.mask.unwrap_or_default();
        let bytes = self.0[head.payload..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        String::from_utf8(bytes.collect()).ok()
    }

    /// The same with half of its payload: well-formed as a frame, nonsense as a message.
    pub(super) fn halved(&self) -> Self {
        let Some(head) = head(&self.0) else { return self.clone() };
        let payload = &self.0[head.payload..];
        Self::made(self.0[0], head.mask, &payload[..payload.len() / 2])
    }
}

fn head(bytes: &[u8]) -> Option<Head> {
    let second = *bytes.get(1)?;
    let (length, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        length => (usize::from(length), 2),
    };
    let mut mask = None;
    if second & 0x80 != 0 {
        mask = Some(bytes.get(at..at + 4)?.try_into().ok()?);
        at += 4;
    }
    Some(Head { length, mask, payload: at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for masked in [false, true] {
                let frame = Frame::text(&"x".repeat(length), masked);
                let mut bytes = [frame.0.as_slice(), b"rest"].concat();
                assert_eq!(Frame::take(&mut bytes), Some(frame.clone()), "{length} {masked}");
                assert_eq!(bytes, b"rest");
                for part in 0..frame.0.len().min(20) {
                    assert_eq!(Frame::take(&mut frame.0[..part].to_vec()), None, "{length} {masked} {part}");
                }
                assert_eq!(frame.read(), Some("x".repeat(length)));
                assert_eq!(frame.halved(), Frame::text(&"x".repeat(length / 2), masked));
            }
        }
        assert_eq!(Frame::made(0x81, Some([1, 2, 3, 4]), &[b'a' ^ 1, b'b' ^ 2]).read().as_deref(), Some("ab"));
        assert!(Frame::text("", false).is_message() && !Frame(vec![0x89, 0]).is_message());
    }
}
