//! Edge and control plane on different machines: what they say to each other goes through TLS, with an authority of one's own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use cargoman_testkit::cargoman::ADMIN_TOKEN;
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::raw_http;
use cargoman_tests::apart::{Program, control_plane, credential, edge};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

const LIMIT: Duration = Duration::from_secs(60);

/// Writes an authority, and a certificate of this machine that it vouches for, with its key.
fn write_certificates(folder: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(folder.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    let mut ours = CertificateParams::default();
    ours.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    let key = KeyPair::generate().unwrap();
    std::fs::write(folder.join("edge-api.pem"), ours.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    std::fs::write(folder.join("edge-api-key.pem"), key.serialize_pem()).unwrap();
}

#[test]
fn the_edge_api_speaks_tls() {
    let (database, folder) = (cargoman_testkit::postgres::database(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    write_certificates(folder);
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let sockets @ [for_edge, for_stranger, for_public, for_edge_api] = &[listen(), listen(), listen(), listen()];
    let [edge_address, stranger, public, edge_api] = [0, 1, 2, 3].map(|at| sockets[at].local_addr().unwrap());
    let (credential, log) = (credential(), |name: &str| folder.join(format!("{name}.log")));
    let server = format!(
        "edge_tls_certificate = {:?}\nedge_tls_key = {:?}",
        folder.join("edge-api.pem"),
        folder.join("edge-api-key.pem")
    );
    let control = control_plane(folder, edge_address, &credential, database.url(), &server);
    let _control = Program::start(&control, "public:edge-api", &[for_public, for_edge_api], &log("control"));
    // Whoever connects and says nothing holds up nobody: these are more than there may be handshakes at once.
    let _silent: Vec<_> = (0..300).map(|_| TcpStream::connect(edge_api).unwrap()).collect();
    let ready = |address| (raw_http::get(&format!("http://{address}/readyz"), &[]).status == 200).then_some(());
    poll_until("the control plane", LIMIT, || ready(public));

    let urls = format!("edge_url = \"https://{edge_api}\"\npublic_url = \"http://{public}\"");
    let mut one = edge(folder, "one", &format!("{urls}\nca_file = {:?}", folder.join("ca.pem")));
    // It joins with a token, so that everything an edge asks goes through TLS: joining, the stream, facts.
    let headers = [("Authorization", &*format!("Bearer {ADMIN_TOKEN}")), ("Content-Type", "application/json")];
    let made = raw_http::request("POST", &format!("http://{public}/api/v1/edges/join-tokens"), &headers, b"{}").json();
    one.env("CARGOMAN_CONTROL_PLANE__JOIN_TOKEN", made["data"]["plain_token"].as_str().unwrap());
    let _one = Program::start(&one, "edge", &[for_edge], &log("one"));
    poll_until("the edge", LIMIT, || ready(edge_address));
    poll_until("the stream", LIMIT, || {
        (database.query("select count(*) from edge_member where connected") == "1").then_some(())
    });

    // It does not know the authority.
    let mut other = edge(folder, "other", &urls);
    other.env("CARGOMAN_CONTROL_PLANE__CREDENTIAL", credential.expose());
    let _other = Program::start(&other, "edge", &[for_stranger], &log("other"));
    let said = || std::fs::read_to_string(log("other")).unwrap_or_default();
    poll_until("the reason", LIMIT, || said().contains("certificate").then_some(()));
    assert_eq!(ready(stranger), None);
    assert_eq!(database.query("select count(*) from edge_member where connected"), "1");
}
