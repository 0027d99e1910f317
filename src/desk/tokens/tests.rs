//! What a token file and the variable say, and what is wrong in them.

use super::*;

fn from_file(text: &str) -> (tempfile::TempDir, Result<Tokens, TokenError>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    fs::write(&path, text).unwrap();
    let mut http = crate::config::Config::default().http;
    http.token_env = None;
    http.token_file = Some(path);
    (dir, Tokens::load(&http))
}

fn admits(tokens: &Tokens, authorization: Option<&str>) -> bool {
    let token = authorization.and_then(bearer);
    token.is_some_and(|token| tokens.grant(token).is_some())
}

#[test]
fn s1_10_several_tokens_are_valid_and_a_rotation_needs_no_restart() {
    let (dir, tokens) = from_file("# old\nabcdefghijklmnop\n\nABCDEFGHIJKLMNOP\n");
    let tokens = tokens.unwrap();
    let valid = |authorization| admits(&tokens, Some(authorization));
    assert!(valid("Bearer abcdefghijklmnop"));
    assert!(valid("bearer ABCDEFGHIJKLMNOP"));
    fs::write(dir.path().join("tokens"), "0123456789abcdef").unwrap();
    tokens.reload().unwrap();
    assert!(valid("Bearer 0123456789abcdef"));
    assert!(!valid("Bearer abcdefghijklmnop"));

    fs::write(dir.path().join("tokens"), "short").unwrap();
    tokens.reload().unwrap_err();
    assert!(
        valid("Bearer 0123456789abcdef"),
        "what was valid stays after an error"
    );
}

#[test]
fn nothing_but_a_whole_valid_token_is_admitted() {
    let (_dir, tokens) = from_file("abcdefghijklmnop");
    let tokens = tokens.unwrap();
    for wrong in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer abcdefghijklmno"),
        Some("Bearer abcdefghijklmnopq"),
        Some("Basic abcdefghijklmnop"),
        Some("abcdefghijklmnop"),
    ] {
        assert!(!admits(&tokens, wrong), "{wrong:?}");
    }
    let (_dir, none) = from_file("# none\n");
    let none = none.unwrap();
    assert!(none.is_empty());
    assert!(
        !admits(&none, Some("Bearer ")),
        "without tokens nobody is admitted"
    );
}

#[test]
fn a_token_of_fifteen_bytes_is_too_short_and_the_error_does_not_show_it() {
    let (_dir, tokens) = from_file("abcdefghijklmno\n");
    let error = tokens.err().unwrap().to_string();
    assert!(error.contains(":1 holds a token of 15 bytes"), "{error}");
    assert!(!error.contains("abcdef"), "{error}");
}

#[test]
fn s1_10_a_line_names_holder_roles_and_the_token_or_its_hash() {
    let digits: String = hash("the token of lee")
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let text = format!(
        "\u{feff}# holder roles token\nkim  read,decide\tthe-token-of-kim\n\
         lee answer:identity,ingest sha256:{digits}\nlee@example.com operate sha256:{}\nplain-old-token-1\n",
        "AB".repeat(32)
    );
    let (_dir, tokens) = from_file(&text);
    let tokens = tokens.unwrap();
    let of = |token: &str| {
        let grant = tokens.grant(token)?;
        Some((
            grant.holder.map(|id| id.to_string()),
            grant.roles.to_string(),
        ))
    };
    let named = |holder: &str, roles: &str| Some((Some(holder.to_owned()), roles.to_owned()));
    assert_eq!(of("the-token-of-kim"), named("kim", "read, decide"));
    assert_eq!(
        of("the token of lee"),
        named("lee", "ingest, answer:identity")
    );
    assert_eq!(
        of(&format!("sha256:{digits}")),
        None,
        "the hash is no token"
    );
    let plain = Some((None, "ingest, read".to_owned()));
    assert_eq!(of("plain-old-token-1"), plain);
}

#[test]
fn s1_10_all_mistakes_of_a_file_are_named_at_once_and_none_shows_a_token() {
    let secret = "very-secret-token";
    let text = format!(
        "kim decide\n{secret} decide kim\nkim dicide,read,read {secret}\nk/m answer sha256:12\n\
         lee read {secret}\nann ingest {secret}\nkim read,,decide {secret}9\na b c d\n"
    );
    let (_dir, tokens) = from_file(&text);
    let error = tokens.err().unwrap().to_string();
    let found: Vec<&str> = error
        .lines()
        .map(|line| line.split_once("/tokens:").unwrap().1)
        .collect();
    let roles = Roles::of(&Role::ALL);
    let unknown = |line: u32, place: u32, near: &str| {
        format!(
            "{line}: role {place} is not known{near}; roles are {roles}, with commas between them"
        )
    };
    assert!(
        found[7].starts_with("6 holds the same token as "),
        "{error}"
    );
    let expected = [
        "1 holds 2 words; a line is `holder roles token`, or one token alone",
        "2 holds a token of 3 bytes, at least 16 are needed",
        &unknown(3, 1, ", did you mean `decide`?"),
        "3: role `read` stands there twice",
        "4: a holder is 1 to 64 letters, digits and any of . _ @ + -",
        &unknown(4, 1, ""),
        "4: behind sha256: stand 64 hexadecimal digits, as sha256sum prints them",
        found[7],
        &unknown(7, 2, ""),
        "8 holds 4 words; a line is `holder roles token`, or one token alone",
    ];
    assert_eq!(found, expected);
    assert!(!error.contains(secret), "{error}");
}
