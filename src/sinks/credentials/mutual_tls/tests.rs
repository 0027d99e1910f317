//! A token endpoint that lets nobody in without a certificate it trusts (S3.06).

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};

use super::{
    tests::{SECRET, apply, connector, header},
    *,
};
use crate::sinks::{
    client::install_provider,
    secret::LOOK_EVERY,
    spec::{CredentialsIn, TlsIdentity, TlsSpec},
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(by: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, by).unwrap(), key)
}

/// Writes a client's certificate and key as files.
fn client_files(dir: &Path, by: &Authority) -> TlsIdentity {
    let (certificate, key) = issued(by, "aftercall");
    let identity = TlsIdentity {
        cert_file: dir.join("cert.pem"),
        key_file: dir.join("key.pem"),
    };
    fs::write(&identity.cert_file, certificate.pem()).unwrap();
    fs::write(&identity.key_file, key.serialize_pem()).unwrap();
    identity
}

async fn token() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"access_token": "t", "expires_in": 0}))
}

#[actix_web::test]
async fn s3_06_a_token_is_fetched_under_the_destinations_own_certificate_as_it_is_now() {
    install_provider();
    let ours = authority();
    let strangers = authority();
    let (certificate, key) = issued(&ours, "127.0.0.1");
    let mut roots = RootCertStore::empty();
    roots.add(ours.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .build()
        .unwrap();
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let server = HttpServer::new(|| App::new().route("/", web::post().to(token)))
        .workers(1)
        .disable_signals()
        .bind_rustls_0_23(("127.0.0.1", 0), config)
        .unwrap();
    let url = format!("https://{}/", server.addrs()[0]);
    let running = server.run();
    let handle = running.handle();
    tokio::spawn(running);

    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    fs::write(&ca_file, ours.pem()).unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let with = |identity: Option<TlsIdentity>, ca_file: Option<PathBuf>| {
        let spec = AuthSpec::OAuth2 {
            token_url: url.clone(),
            client_id: Identity::Plain("id".to_owned()),
            client_secret: SecretRef::File(secret.clone()),
            scope: None,
            credentials_in: CredentialsIn::Header,
        };
        let tls = TlsSpec { ca_file, identity };
        Credentials::new(&spec, connector(tls, Duration::from_secs(5)))
    };
    let trusted = Some(ca_file);
    let credentials = with(Some(client_files(dir.path(), &ours)), trusted.clone());
    assert_eq!(header(&credentials).await, "Bearer t");
    for (refused, why) in [
        (with(None, trusted.clone()), "no certificate"),
        (
            with(Some(client_files(dir.path(), &strangers)), trusted.clone()),
            "one of a stranger's",
        ),
        (
            with(Some(client_files(dir.path(), &ours)), None),
            "the server is a stranger itself",
        ),
    ] {
        let fault = apply(&refused).await.unwrap_err();
        assert!(matches!(fault, Fault::NotReady(_)), "{why}: {fault}");
    }

    // A certificate that is exchanged while the program runs: away from one that is trusted, and back to one.
    let rotated = tempfile::tempdir().unwrap();
    let identity = client_files(rotated.path(), &ours);
    let credentials = with(Some(identity), trusted);
    assert_eq!(header(&credentials).await, "Bearer t");
    client_files(rotated.path(), &strangers);
    tokio::time::sleep(LOOK_EVERY).await;
    assert!(
        apply(&credentials).await.is_err(),
        "still under the old certificate"
    );
    client_files(rotated.path(), &ours);
    // The failure stands for a second as well.
    tokio::time::sleep(LOOK_EVERY).await;
    assert_eq!(header(&credentials).await, "Bearer t");
    handle.stop(false).await;
}
