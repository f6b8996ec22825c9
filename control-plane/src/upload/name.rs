//! Decides which names may stand in an uploaded zip: none that means something else to another reader, none that leaves the
//! folder it is unpacked in, and no two that cannot stand beside each other.

use std::collections::HashSet;

use crate::archive_name;
use crate::upload::Refused;

/// Checks one name as it stands in an entry; `utf8` says that the entry declares it as UTF-8. The text, and whether it names a
/// folder.
///
/// # Errors
/// When the name is not acceptable.
pub(super) fn check(bytes: &[u8], utf8: bool) -> Result<(String, bool), Refused> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Refused::entry(&String::from_utf8_lossy(bytes), "has a name that is not UTF-8"));
    };
    if !utf8 && !text.is_ascii() {
        let problem = "has a name outside of ASCII that is not marked as UTF-8: readers differ in what it means; make the \
                       zip with a current tool, or rename the file";
        return Err(Refused::entry(text, problem));
    }
    if text.starts_with('/') {
        return Err(Refused::entry(text, "has an absolute name"));
    }
    archive_name::check_length(bytes).map_err(|problem| Refused::entry(text, format_args!("has {problem}")))?;
    let folder = text.ends_with('/');
    for part in text.strip_suffix('/').unwrap_or(text).split('/') {
        archive_name::check_part(part.as_bytes())
            .map_err(|problem| Refused::entry(text, format_args!("has {problem}")))?;
    }
    Ok((text.to_owned(), folder))
}

/// Checks that all names can stand beside each other: none twice, and no file where another entry needs a folder.
///
/// # Errors
/// When two of them collide.
pub(super) fn check_together(names: &[(&str, bool)]) -> Result<(), Refused> {
    let mut all = HashSet::with_capacity(names.len());
    let mut files = HashSet::with_capacity(names.len());
    for (name, folder) in names {
        if !all.insert(*name) {
            return Err(Refused::entry(name, "is there twice"));
        }
        if !folder {
            files.insert(*name);
        }
    }
    for (name, _) in names {
        let inner = name.strip_suffix('/').unwrap_or(name);
        let own_folder = (inner.len() < name.len()).then_some(inner);
        let above = inner.match_indices('/').filter_map(|(at, _)| inner.get(..at));
        if let Some(clash) = above.chain(own_folder).find(|folder| files.contains(folder)) {
            return Err(Refused::entry(clash, "is a file and a folder at once"));
        }
    }
    Ok(())
}
