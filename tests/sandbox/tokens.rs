//! The token endpoint, and tokens at the vendors that want one.

use aftercall::sandbox::{SLACK_TOKEN, Settings};
use serde_json::json;

use super::fixtures::{Answer, START_MS, Vendors};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
/// `aftercall:sandbox-secret`
const BASIC: (&str, &str) = ("authorization", "Basic YWZ0ZXJjYWxsOnNhbmRib3gtc2VjcmV0");
/// `aftercall:wrong`
const WRONG: (&str, &str) = ("authorization", "Basic YWZ0ZXJjYWxsOndyb25n");
const IN_FORM: &str =
    "grant_type=client_credentials&client_id=aftercall&client_secret=sandbox-secret";

fn ask(vendors: &mut Vendors, headers: &[(&str, &str)], body: &str) -> Answer {
    vendors.send("POST", "/oauth/token", headers, body)
}

fn token(vendors: &mut Vendors, body: &str) -> String {
    let answer = ask(vendors, &[FORM], body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["access_token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

fn status_with(vendors: &mut Vendors, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    vendors.send("GET", path, &[("authorization", &bearer)], "")
}

#[test]
fn client_credentials_by_basic_and_by_form_bring_a_bearer_token() {
    let mut vendors = Vendors::new();
    let body = "grant_type=client_credentials&scope=a+b";
    let answer = ask(&mut vendors, &[FORM, BASIC], body);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 3_600);
    assert_eq!(answer.body["scope"], "a b");
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let first = answer.body["access_token"].clone();
    let second = token(&mut vendors, IN_FORM);
    assert_ne!(first, second.as_str(), "each request brings another one");
}

#[test]
fn each_vendor_has_the_token_endpoint_on_its_own_host_too() {
    let mut vendors = Vendors::new();
    for path in ["/crm/oauth/token", "/salesforce/services/oauth2/token"] {
        let answer = vendors.send("POST", path, &[FORM], IN_FORM);
        let token = answer.body["access_token"].as_str().expect("a token");
        let shown = status_with(&mut vendors, "/crm/v1/customers", token);
        assert_eq!(shown.status, 200, "{path}");
    }
}

#[test]
fn a_secret_that_basic_carries_form_encoded_is_read_so() {
    let mut vendors = Vendors::with(&Settings {
        client_secret: "a:b+c%".to_owned(),
        ..Settings::default()
    });
    let grant = "grant_type=client_credentials";
    // aftercall:a%3Ab%2Bc%25 as RFC 6749 wants it, and aftercall:a:b+c% as many send it.
    for basic in [
        "Basic YWZ0ZXJjYWxsOmElM0FiJTJCYyUyNQ==",
        "Basic YWZ0ZXJjYWxsOmE6YitjJQ==",
    ] {
        let headers = [FORM, ("authorization", basic)];
        assert_eq!(ask(&mut vendors, &headers, grant).status, 200, "{basic}");
    }
}

#[test]
fn refusals_are_those_of_rfc_6749() {
    let mut vendors = Vendors::new();
    let grant = "grant_type=client_credentials";
    let json = ("content-type", "application/json");
    let double = format!("{IN_FORM}&grant_type=client_credentials");
    let scope = format!("{IN_FORM}&scope=a%22b");
    let life = format!("{IN_FORM}&expires_in=soon");
    let bearer = ("authorization", "Bearer x");
    let wrong = IN_FORM.replace("sandbox-secret", "wrong");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u16, &'a str);
    let cases: [Case<'_>; 12] = [
        (&[FORM, WRONG], grant, 401, "invalid_client"),
        (&[FORM], &wrong, 401, "invalid_client"),
        (&[FORM], grant, 401, "invalid_client"),
        (&[FORM, BASIC], IN_FORM, 400, "invalid_request"),
        (&[FORM, BASIC], "scope=a", 400, "invalid_request"),
        (&[FORM, BASIC], "grant_type=", 400, "invalid_request"),
        (
            &[FORM, BASIC],
            "grant_type=password",
            400,
            "unsupported_grant_type",
        ),
        (&[FORM], &double, 400, "invalid_request"),
        (&[FORM], &scope, 400, "invalid_scope"),
        (&[FORM], &life, 400, "invalid_request"),
        (&[FORM, bearer], grant, 400, "invalid_request"),
        (&[json], "{}", 400, "invalid_request"),
    ];
    for (at, (headers, body, status, error)) in cases.into_iter().enumerate() {
        let answer = ask(&mut vendors, headers, body);
        assert_eq!(
            (answer.status, &answer.body["error"]),
            (status, &json!(error)),
            "{at}"
        );
        // A client that tried by header is told which scheme there is (section 5.2).
        let is_told = headers.contains(&WRONG);
        assert_eq!(answer.header("WWW-Authenticate").is_some(), is_told, "{at}");
    }
}

#[test]
fn a_token_is_good_until_the_tick_before_it_expires() {
    let mut vendors = Vendors::new();
    let token = token(&mut vendors, &format!("{IN_FORM}&expires_in=2"));
    let path = "/crm/v1/customers";
    vendors.now_ms = START_MS + 1_999;
    assert_eq!(status_with(&mut vendors, path, &token).status, 200);
    vendors.now_ms = START_MS + 2_000;
    let answer = status_with(&mut vendors, path, &token);
    assert_eq!(answer.status, 401);
    let challenge = answer.header("WWW-Authenticate").expect("a challenge");
    assert!(challenge.contains("error=\"invalid_token\"") && challenge.contains("expired"));
}

#[test]
fn the_control_sets_lifetime_and_secret_and_takes_tokens_back() {
    let mut vendors = Vendors::new();
    vendors.control("/control/oauth", &json!({ "expires_in": 7 }));
    let answer = ask(&mut vendors, &[FORM], IN_FORM);
    assert_eq!(answer.body["expires_in"], 7);
    let old = token(&mut vendors, IN_FORM);
    vendors.control(
        "/control/oauth",
        &json!({ "revoke": true, "client_secret": "next" }),
    );
    let path = "/crm/v1/customers";
    assert_eq!(status_with(&mut vendors, path, &old).status, 401);
    assert_eq!(
        ask(&mut vendors, &[FORM], IN_FORM).status,
        401,
        "the old secret"
    );
    let next = token(&mut vendors, &IN_FORM.replace("sandbox-secret", "next"));
    assert_eq!(status_with(&mut vendors, path, &next).status, 200);
    assert_eq!(
        status_with(&mut vendors, path, SLACK_TOKEN).status,
        200,
        "a fixed one"
    );
    let too_long = json!({ "expires_in": 86_401 });
    assert_eq!(vendors.control_status("/control/oauth", &too_long), 400);
}

#[test]
fn every_vendor_that_wants_a_token_refuses_in_its_own_words() {
    let mut vendors = Vendors::new();
    for (path, method) in [
        ("/rewards/v1/rewards", "GET"),
        ("/crm/v1/customers", "GET"),
        ("/cdp/v1/profiles/resolve", "POST"),
        ("/survey/v1/tokens/generate", "POST"),
        ("/warehouse/api/v1/enps_events", "GET"),
        ("/coaching/v1/tasks", "GET"),
    ] {
        let answer = vendors.send(method, path, &[], "");
        assert_eq!(
            (answer.status, answer.code()),
            (401, "unauthorized"),
            "{path}"
        );
        assert_eq!(answer.header("WWW-Authenticate"), Some("Bearer"), "{path}");
    }
    let genesys = vendors.send("GET", "/genesys/api/v2/users/a/superiors", &[], "");
    assert_eq!(
        (genesys.status, genesys.code()),
        (401, "authentication.required")
    );
    let orders = vendors.send("GET", "/tremendous/api/v2/orders", &[], "");
    assert_eq!(orders.status, 401);
    assert!(orders.body["errors"]["message"].is_string());
    let slack = vendors.send("POST", "/slack/api/chat.postMessage", &[], "");
    assert_eq!(
        (slack.status, &slack.body["error"]),
        (200, &json!("not_authed"))
    );
}
