//! An edge behind nginx and behind Caddy: who asks is who the proxy says, and nobody else is believed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::port;
use cargoman_tests::scale_out::{Link, P2};
use reqwest::blocking::{Client, Response};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

/// Where the proxies run: trusted. Clients have other addresses of this machine.
const PROXY: Ipv4Addr = Ipv4Addr::LOCALHOST;
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A proxy with a plain and a TLS address; ends with the test.
struct Proxy {
    child: Child,
    plain: String,
    tls: String,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn started(mut command: Command, plain: String, tls: String) -> Proxy {
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it is installed");
    let proxy = Proxy { child, plain, tls };
    for address in [&proxy.plain, &proxy.tls] {
        poll_until("the proxy listens", LIMIT, || TcpStream::connect(address).ok());
    }
    proxy
}

fn nginx(folder: &Path, edge: &str) -> Proxy {
    let (plain, tls) = (port::free_address(), port::free_address());
    let at = folder.display();
    // One process: killed, it leaves none behind.
    let configuration = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/nginx.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
    server {{
        listen {plain};
        listen {tls} ssl http2;
        ssl_certificate {at}/certificate.pem;
        ssl_certificate_key {at}/key.pem;
        location / {{
            proxy_pass http://{edge};
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"
    );
    std::fs::write(folder.join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-c").arg(folder.join("nginx.conf"));
    started(command, plain, tls)
}

fn caddy(folder: &Path, edge: &str) -> Proxy {
    let (plain, tls) = (port::free_address(), port::free_address());
    let at = folder.display();
    let (plain_port, tls_port) = (plain.rsplit_once(':').unwrap().1, tls.rsplit_once(':').unwrap().1);
    let configuration = format!(
        "{{
    admin off
    auto_https off
}}
http://127.0.0.1:{plain_port} {{
    reverse_proxy {edge}
}}
https://127.0.0.1:{tls_port} {{
    tls {at}/certificate.pem {at}/key.pem
    reverse_proxy {edge}
}}
"
    );
    std::fs::write(folder.join("Caddyfile"), configuration).unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
    command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    started(command, plain, tls)
}

fn client(from: Ipv4Addr) -> Client {
    let builder = Client::builder().no_proxy().danger_accept_invalid_certs(true).local_address(IpAddr::V4(from));
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// Who the edge says asked last for a path with this query.
fn logged(link: &Link, marker: &str) -> Option<String> {
    let log = link.world.edges[0].log();
    let line = log.lines().rev().find(|line| line.contains("cargoman::access") && line.contains(marker))?.to_owned();
    Some(serde_json::from_str::<Value>(&line).ok()?["client"].as_str()?.to_owned())
}

#[test]
fn both_proxies() {
    // Another part of the program may have been first.
    rustls::crypto::ring::default_provider().install_default().ok();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join("certificate.pem"), own.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), own.signing_key.serialize_pem()).unwrap();
    let tls = port::free_address();
    let edge = format!(
        "trusted_proxies = [\"{PROXY}/32\"]\n[tls]\nlisten = [\"{tls}\"]\n[[tls.certificates]]\ncertificate = {:?}\nkey = {:?}\n",
        folder.join("certificate.pem"),
        folder.join("key.pem")
    );
    let link = Link::start_with_edge_config(1, 1, &edge);
    let (token, _) = link.token(0);
    let address = link.world.edges[0].address().to_owned();
    let proxies = [("nginx", nginx(folder, &address)), ("Caddy", caddy(folder, &address))];
    for (name, proxy) in &proxies {
        through(&link, name, proxy, &token.plain);
    }
    // Nobody who is no proxy of ours is believed, whatever he says.
    let stranger = client(STRANGER).get(format!("http://{address}/p2/acme/stranger.json"));
    let stranger = stranger.header("x-forwarded-proto", "https").header("x-forwarded-for", "198.51.100.7");
    assert_eq!(stranger.basic_auth("token", Some(&token.plain)).send().unwrap().status(), 308);
    poll_until("its line in the log", LIMIT, || logged(&link, "/p2/acme/stranger.json"));
    assert_eq!(logged(&link, "/p2/acme/stranger.json").unwrap(), STRANGER.to_string());
}

/// E-L1, E-L2, E-L3, E-G5, E-G6 through a real proxy.
fn through(link: &Link, name: &str, proxy: &Proxy, token: &str) {
    let client = client(CLIENT);
    let url = |path: &str| format!("https://{}{path}", proxy.tls);
    let ask = |path: &str, fields: &[(&str, &str)]| -> Response {
        let request = client.get(url(path)).basic_auth("token", Some(token));
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().unwrap()
    };
    let root = ask("/packages.json", &[]);
    assert_eq!(root.status(), 200, "{name}: {}", root.text().unwrap());
    let refused = client.get(url("/packages.json")).send().unwrap();
    assert_eq!(refused.status(), 401, "{name}");
    assert!(refused.headers().contains_key("www-authenticate"), "{name}");
    let document = ask(P2, &[("accept-encoding", "gzip")]);
    let known = document.headers()["last-modified"].to_str().unwrap().to_owned();
    assert_eq!(ask(P2, &[("if-modified-since", &known)]).status(), 304, "{name}");
    let body: Value = serde_json::from_slice(&ask(P2, &[]).bytes().unwrap()).unwrap();
    let dist = body["packages"]["acme/pay"][0]["dist"]["url"].as_str().unwrap();
    let path = dist.splitn(4, '/').nth(3).unwrap();
    let whole = ask(&format!("/{path}"), &[]);
    assert_eq!(whole.status(), 200, "{name}");
    let whole = whole.bytes().unwrap();
    let part = ask(&format!("/{path}"), &[("range", "bytes=5-9")]);
    assert_eq!((part.status().as_u16(), &*part.bytes().unwrap()), (206, &whole[5..10]), "{name}");
    // Who asks: the address from which the proxy was asked, whatever the client says of itself.
    let marker = format!("/p2/acme/by-{}.json", name.to_lowercase());
    let forged =
        [("x-forwarded-for", "198.51.100.7"), ("x-forwarded-proto", "http"), ("forwarded", "for=198.51.100.7")];
    assert_ne!(ask(&marker, &forged).status(), 308, "{name}: it came over TLS");
    poll_until("its line in the log", LIMIT, || logged(link, &marker));
    assert_eq!(logged(link, &marker).unwrap(), CLIENT.to_string(), "{name}");
    // Without TLS at the proxy he is sent to TLS, even if he says that he has it.
    let plain = client.get(format!("http://{}/packages.json", proxy.plain)).header("x-forwarded-proto", "https");
    assert_eq!(plain.basic_auth("token", Some(token)).send().unwrap().status(), 308, "{name}");
}
