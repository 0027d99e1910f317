//! `auth` and `tls`: who we are to a destination, and whom we trust. Secrets are references; a literal is refused, and
//! not repeated in the message.

use std::path::PathBuf;

use crate::{
    config::document::Section,
    sinks::{
        reader::{Reader, address, one_of},
        scope::Scope,
        secret_ref::SecretRef,
        spec::{AuthSpec, CredentialsIn, Identity, TlsIdentity, TlsSpec},
        template::{Escape, Template},
    },
};

#[derive(Clone, Copy)]
enum Kind {
    None,
    Bearer,
    Basic,
    OAuth2,
    StandardWebhooks,
}

const KINDS: [(&str, Kind); 5] = [
    ("none", Kind::None),
    ("bearer", Kind::Bearer),
    ("basic", Kind::Basic),
    ("oauth2", Kind::OAuth2),
    ("standard_webhooks", Kind::StandardWebhooks),
];

/// Every key of `auth`, with the kind it belongs to.
const KEYS: [(&str, &str); 9] = [
    ("token", "bearer"),
    ("user", "basic"),
    ("password", "basic"),
    ("token_url", "oauth2"),
    ("client_id", "oauth2"),
    ("client_secret", "oauth2"),
    ("scope", "oauth2"),
    ("credentials_in", "oauth2"),
    ("secret", "standard_webhooks"),
];

/// Reads `auth`; nothing is shown where it is absent.
pub(super) fn read(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<AuthSpec> {
    reader.place(s, "auth");
    s.table("auth", |s| {
        if !s.is_there() {
            return Some(AuthSpec::None);
        }
        let kind = s.word("kind", |text| one_of(text, &KINDS));
        let Some(kind) = kind else {
            if !s.has("kind") {
                let kinds = "\"bearer\", \"basic\", \"oauth2\", \"standard_webhooks\" or \"none\"";
                s.missing("kind", kinds);
            }
            s.take_all();
            return None;
        };
        let spec = match kind {
            Kind::None => Some(AuthSpec::None),
            Kind::Bearer => secret(s, "token").map(|token| AuthSpec::Bearer { token }),
            Kind::Basic => {
                let (user, password) = (identity(s, "user"), secret(s, "password"));
                Some((user?, password?)).map(|(user, password)| AuthSpec::Basic { user, password })
            }
            Kind::OAuth2 => oauth2(reader, s),
            Kind::StandardWebhooks => {
                secret(s, "secret").map(|secret| AuthSpec::StandardWebhooks { secret })
            }
        };
        let own = match kind {
            Kind::None => "none",
            Kind::Bearer => "bearer",
            Kind::Basic => "basic",
            Kind::OAuth2 => "oauth2",
            Kind::StandardWebhooks => "standard_webhooks",
        };
        for (key, kind) in KEYS {
            if kind != own {
                s.refuse(
                    &[key],
                    &format!("belongs to kind = {kind:?}, not to {own:?}"),
                );
            }
        }
        spec
    })
}

fn oauth2(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<AuthSpec> {
    let vars = Scope::of_vars(&reader.vars);
    let path = format!("{}.token_url", s.path());
    let token_url = s.text("token_url", |text| {
        let template =
            Template::parse(&path, text, Escape::Url, &["vars"]).map_err(|error| error.why)?;
        let url = template.render(&vars).map_err(|error| error.why)?;
        address(&url).map(|()| url)
    });
    if token_url.is_none() && !s.has("token_url") {
        s.missing("token_url", "the address of the token endpoint");
    }
    let client_id = identity(s, "client_id");
    let client_secret = secret(s, "client_secret");
    let scope = s.word("scope", |text| Ok(text.to_owned()));
    let credentials_in = s.string("credentials_in", CredentialsIn::Header, |text| {
        one_of(
            text,
            &[
                ("header", CredentialsIn::Header),
                ("body", CredentialsIn::Body),
            ],
        )
    });
    Some(AuthSpec::OAuth2 {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope: scope.filter(|scope| !scope.is_empty()),
        credentials_in,
    })
}

/// A reference to a secret. The message never repeats what stands there: it may be the secret.
fn secret(s: &mut Section<'_, '_>, key: &'static str) -> Option<SecretRef> {
    let read = s.text(key, |text| {
        text.parse()
            .map_err(|form| format!("a literal is not taken (and not shown), allowed: {form}"))
    });
    if read.is_none() && !s.has(key) {
        s.missing(key, SecretRef::FORM);
    }
    read
}

/// A name, which may be kept elsewhere as well.
fn identity(s: &mut Section<'_, '_>, key: &'static str) -> Option<Identity> {
    let read = s.text(key, |text| {
        if SecretRef::is_meant(text) {
            return text
                .parse()
                .map(Identity::Reference)
                .map_err(|form| format!("allowed: {form}"));
        }
        match text {
            "" => Err("allowed: a name, or a reference to one such as \"env:NAME\"".to_owned()),
            text => Ok(Identity::Plain(text.to_owned())),
        }
    });
    if read.is_none() && !s.has(key) {
        s.missing(key, "a name, or a reference to one such as \"env:NAME\"");
    }
    read
}

/// Reads `tls`.
pub(super) fn tls(reader: &mut Reader, s: &mut Section<'_, '_>) -> TlsSpec {
    reader.place(s, "tls");
    s.table("tls", |s| {
        let mut path = |key| {
            s.string(key, None, |text| {
                Ok(Some(text)
                    .filter(|text| !text.is_empty())
                    .map(PathBuf::from))
            })
        };
        let (ca_file, cert, key) = (path("ca_file"), path("cert_file"), path("key_file"));
        let identity = match (cert, key) {
            (Some(cert_file), Some(key_file)) => Some(TlsIdentity {
                cert_file,
                key_file,
            }),
            (None, None) => None,
            (Some(_), None) => {
                s.missing("key_file", "the private key of cert_file");
                None
            }
            (None, Some(_)) => {
                s.missing("cert_file", "the certificate of key_file");
                None
            }
        };
        TlsSpec { ca_file, identity }
    })
}
