//! HTTPS at the edge, with real handshakes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cargoman_proxy::config::EdgeConfig;
use cargoman_proxy::tls::CertificateFiles;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme, StreamOwned};

use super::world::{HOST, World, dist_path, eventually, grant};

fn write(folder: &Path, name: &str) -> CertificateFiles {
    let own = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let files =
        CertificateFiles { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    std::fs::write(&files.certificate, own.cert.pem()).unwrap();
    std::fs::write(&files.key, own.signing_key.serialize_pem()).unwrap();
    files
}

pub(crate) fn world(folder: &Path) -> World {
    world_with(folder, |_| {})
}

pub(crate) fn world_with(folder: &Path, change: impl FnOnce(&mut EdgeConfig)) -> World {
    let certificates = vec![write(folder, "other.example"), write(folder, HOST)];
    World::with(|config| {
        config.tls.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config.tls.certificates = certificates;
        config.limits.head = Duration::from_secs(1);
        change(config);
    })
}

/// Which certificate it is shown is what is tested; who vouches for it is not.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

pub(crate) fn client() -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
    Arc::new(builder.with_custom_certificate_verifier(Arc::new(Anyone)).with_no_client_auth())
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(config: &Arc<ClientConfig>, address: SocketAddr, name: &str) -> std::io::Result<Tls> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let connection = ClientConnection::new(Arc::clone(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut tls = StreamOwned::new(connection, stream);
    tls.conn.complete_io(&mut tls.sock)?;
    Ok(tls)
}

/// The first line of the answer, and that it is there at all.
fn ask(tls: &mut Tls, path: &str, basic: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {basic}\r\nConnection: close\r\n\r\n");
    tls.write_all(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    tls.read_to_end(&mut text).ok();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

fn shown(tls: &Tls) -> Vec<u8> {
    tls.conn.peer_certificates().unwrap()[0].to_vec()
}

/// E-H9, E-H12, E-G5: by name, over both versions of HTTP, with the same answers.
#[test]
fn both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let address = world.tls_address();
    let browser = |builder: reqwest::blocking::ClientBuilder| {
        builder.no_proxy().danger_accept_invalid_certs(true).resolve(HOST, address).build().unwrap()
    };
    let http1 = browser(reqwest::blocking::Client::builder().http1_only());
    let http2 = browser(reqwest::blocking::Client::builder());
    let dist = dist_path("1.0.0.0", 1);
    for (method, path) in [
        ("GET", "/packages.json"),
        ("GET", "/p2/acme/pay.json"),
        ("HEAD", "/p2/acme/pay.json"),
        ("GET", "/p2/acme/none.json"),
        ("GET", &dist),
        ("HEAD", &dist),
        ("GET", "/nothing"),
    ] {
        let ask = |client: &reqwest::blocking::Client| {
            let url = format!("https://{HOST}:{}{path}", address.port());
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            let answer = client.request(method, url).header("authorization", customer.basic()).send().unwrap();
            let fields = ["content-type", "content-length", "last-modified", "etag", "cache-control", "vary"];
            let fields = fields.map(|name| answer.headers().get(name).cloned());
            (answer.version(), answer.status(), fields, answer.bytes().unwrap())
        };
        let (first, second) = (ask(&http1), ask(&http2));
        assert_eq!((first.0, second.0), (reqwest::Version::HTTP_11, reqwest::Version::HTTP_2));
        assert_eq!((&first.1, &first.2, &first.3), (&second.1, &second.2, &second.3), "{method} {path}");
    }
}

/// E-H12: what one name is shown another is not, and who asks for nobody's name is shown nothing.
#[test]
fn certificates_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let basic = world.customer(vec![grant("acme/pay", "*")]).basic();
    let (config, address) = (client(), world.tls_address());
    let mut own = connect(&config, address, HOST).unwrap();
    let other = connect(&config, address, "other.example").unwrap();
    assert_ne!(shown(&own), shown(&other));
    assert_eq!(ask(&mut own, "/packages.json", &basic), "HTTP/1.1 200 OK");
    assert!(connect(&config, address, "nobody.example").is_err());
    // The token is good, the host is ours, and the certificate was another's: nothing of it is answered.
    for name in ["other.example", "127.0.0.1"] {
        let mut elsewhere = connect(&config, address, name).unwrap();
        assert_eq!(ask(&mut elsewhere, "/packages.json", &basic), "HTTP/1.1 421 Misdirected Request", "{name}");
    }
    assert_eq!(shown(&connect(&config, address, "127.0.0.1").unwrap()), shown(&other));
}

#[test]
fn sessions_are_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let basic = world.customer(vec![grant("acme/pay", "*")]).basic();
    let config = client();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut tls = connect(&config, world.tls_address(), HOST).unwrap();
        // Tickets come behind the handshake.
        assert_eq!(ask(&mut tls, "/packages.json", &basic), "HTTP/1.1 200 OK");
        kinds.push(tls.conn.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

/// E-R18: whoever begins a handshake and goes no further is cut.
#[test]
fn half_a_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let mut stream = TcpStream::connect(world.tls_address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    let start = Instant::now();
    assert!(matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_)));
    assert!((Duration::from_millis(800)..Duration::from_secs(8)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[test]
fn without_tls_they_are_sent_there() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let port = world.tls_address().port();
    for (path, status) in [("/p2/acme/pay.json?a=b", 308), ("/api/v1/packages", 308), ("/healthz", 200)] {
        let response = customer.get(path);
        assert_eq!(response.status, status, "{path}");
        let there = (status == 308).then(|| format!("https://{HOST}:{port}{path}"));
        assert_eq!(response.field("location"), there.as_deref());
    }
}

#[test]
fn renewed_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let config = client();
    let before = shown(&connect(&config, world.tls_address(), HOST).unwrap());
    write(folder.path(), HOST);
    eventually("the new certificate", || {
        connect(&config, world.tls_address(), HOST).is_ok_and(|tls| shown(&tls) != before)
    });
}

/// E-H12: streams of one connection of HTTP/2 for several hosts; E-H10: one that names two.
#[tokio::test(flavor = "multi_thread")]
async fn streams_for_other_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let world = tokio::task::block_in_place(|| world(folder.path()));
    let basic = world.customer(vec![grant("acme/pay", "*")]).basic();
    let mut config = ClientConfig::clone(&client());
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tokio::net::TcpStream::connect(world.tls_address()).await.unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (host, second, expected) in [
        (HOST, None, Some(200)),
        ("other.example", None, Some(421)),
        ("nobody.example", None, Some(421)),
        (HOST, Some("other.example"), None),
        (HOST, None, Some(200)),
    ] {
        let request = http::Request::get(format!("https://{host}/packages.json")).header("authorization", &basic);
        let request = second.iter().fold(request, |request, second| request.header("host", *second));
        requests = requests.ready().await.unwrap();
        let (answer, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
        let status = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().ok();
        let status = status.map(|answer| answer.status().as_u16());
        match expected {
            Some(_) => assert_eq!(status, expected, "{host}"),
            None => assert!(matches!(status, None | Some(400 | 421)), "{host} {second:?}: {status:?}"),
        }
    }
    tokio::task::block_in_place(|| drop(world));
}
