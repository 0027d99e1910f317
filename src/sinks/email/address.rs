//! Addresses of mail, as people and directories write them and as servers take them.

use lettre::{Address, message::Mailbox};

use crate::sinks::{email::message::subject, message::outside::line};

/// A mailbox of what a directory or a template said. A domain beyond ASCII is encoded, as mail servers write it.
///
/// # Errors
/// In words, if the address is none.
pub fn mailbox(name: Option<&str>, address: &str) -> Result<Mailbox, String> {
    let not = |why: &str| format!("not an email address: {why}");
    let (user, domain) = address
        .trim()
        .rsplit_once('@')
        .ok_or_else(|| not("it has no @"))?;
    let domain = match domain.is_ascii() {
        true => domain.to_owned(),
        false => idna::domain_to_ascii_strict(domain)
            .map_err(|_| not("its domain cannot be written in mail"))?,
    };
    let address = Address::new(user, domain).map_err(|error| not(&error.to_string()))?;
    let name = name.map(|name| subject(&line(name)));
    Ok(Mailbox::new(name.filter(|name| !name.is_empty()), address))
}

/// The addresses of a list as people write it: `ann@x.example; "Byron, Ada" <ada@x.example>, bob@x.example`. Each as it
/// is written, and as a mailbox or in words why it is none.
#[must_use]
pub fn mailboxes(text: &str) -> Vec<(String, Result<Mailbox, String>)> {
    let mut pieces = vec![String::new()];
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            ',' | ';' | '\n' if !quoted && !bracketed => {
                pieces.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    let pieces = pieces.iter().map(|piece| piece.trim());
    let named = |piece: &str| {
        let parts = piece.strip_suffix('>').and_then(|t| t.rsplit_once('<'));
        match parts {
            Some((name, address)) => mailbox(Some(&unquoted(name)), address),
            None => mailbox(None, piece),
        }
    };
    pieces
        .filter(|piece| !piece.is_empty())
        .map(|piece| (piece.to_owned(), named(piece)))
        .collect()
}

/// A name without the quotes that it needs in a header.
fn unquoted(name: &str) -> String {
    let name = name.trim();
    let inside = name.strip_prefix('"').and_then(|n| n.strip_suffix('"'));
    let Some(inside) = inside else {
        return name.to_owned();
    };
    let mut out = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}
