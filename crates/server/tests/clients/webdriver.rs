//! A browser of a test's own.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use throng_testkit::{ChaosProxy, TestServer};
use url::{ParseError, Url};

use crate::front::Front;

/// Width, height, and how many of the screen's dots make one pixel.
pub type Screen = (u32, u32, u32);

/// An ordinary phone.
pub const PHONE: Screen = (390, 844, 2);
/// The narrowest screen that pages are made for.
pub const NARROW: Screen = (320, 568, 2);
/// A desktop screen.
pub const DESKTOP: Screen = (1280, 900, 1);

/// How often a browser that doesn't start is started again.
const STARTS_AGAIN: usize = 2;

/// A browser at the pages of a server, through a proxy that passes everything unless a test says otherwise.
pub struct Browser {
    pub client: Client,
    /// Where it goes to.
    address: SocketAddr,
    /// What is between it and the proxy that loses responses.
    _front: Option<Front>,
    pub proxy: ChaosProxy,
    pub server: TestServer,
}

/// How a browser is set up.
#[derive(Clone, Copy)]
pub struct Setup {
    pub javascript: bool,
    /// Whether pages that are left are kept as they are, to go back to.
    pub back_forward_cache: bool,
    /// Whether a click is over once the page that it leads to is there.
    pub waits_for_pages: bool,
    pub settings: &'static [(&'static str, &'static str)],
    /// Starts what the browser goes through, in front of the address that it is given.
    pub front: Option<fn(SocketAddr) -> Front>,
}

impl Setup {
    /// A browser as it comes, with or without JavaScript, at a server as it comes.
    pub const fn new(javascript: bool) -> Self {
        Self { javascript, back_forward_cache: true, waits_for_pages: true, settings: &[], front: None }
    }
}

/// Runs `test` in a browser at a server with the demo poll.
pub fn browse(javascript: bool, test: impl AsyncFnOnce(&Browser)) {
    browse_with(Setup::new(javascript), test);
}

/// Runs `test` in a browser that is set up so, at a server with the demo poll.
pub fn browse_with(setup: Setup, test: impl AsyncFnOnce(&Browser)) {
    let server = TestServer::start_with(setup.settings);
    let proxy = ChaosProxy::start(server.address);
    let front = setup.front.map(|start| start(proxy.address()));
    let address = front.as_ref().map_or(proxy.address(), |front| front.address);
    let driver = Driver::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = driver.open_browser(setup).await;
        let browser = Browser { client, address, _front: front, proxy, server };
        browser.screen(PHONE).await;
        test(&browser).await;
        browser.client.close().await.unwrap();
    });
}

impl Browser {
    /// Goes to a page of the server, as somebody who wasn't there before.
    pub async fn goto(&self, path: &str) {
        self.client.goto("about:blank").await.unwrap();
        self.client.goto(&format!("http://{}{path}", self.address)).await.unwrap();
    }

    /// Whether the page has such an element now.
    pub async fn has(&self, css: &str) -> bool {
        !self.client.find_all(Locator::Css(css)).await.unwrap().is_empty()
    }

    /// Loads nothing whose address has this pattern.
    pub async fn block(&self, pattern: &str) {
        self.devtools("Network.enable", json!({})).await;
        self.devtools("Network.setBlockedURLs", json!({"urls": [pattern]})).await;
    }

    /// Asks for every page anew, also for those that are gone back to.
    pub async fn keep_no_pages(&self) {
        self.devtools("Network.enable", json!({})).await;
        self.devtools("Network.setCacheDisabled", json!({"cacheDisabled": true})).await;
    }

    /// Has no network, or has it again.
    pub async fn set_offline(&self, offline: bool) {
        let conditions = json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.devtools("Network.enable", json!({})).await;
        self.devtools("Network.emulateNetworkConditions", conditions).await;
    }

    /// Waits for an element.
    pub async fn wait_for(&self, css: &str) -> Element {
        loop {
            match self.client.wait().for_element(Locator::Css(css)).await {
                Ok(element) => return element,
                // The page was left while it was searched: chromedriver's answer to that is none of the standard's.
                Err(error) if error.to_string().contains("aborted by navigation") => {}
                Err(error) => panic!("no {css}: {error}"),
            }
        }
    }

    /// Clicks an element, once it is there.
    pub async fn click(&self, css: &str) {
        self.wait_for(css).await.click().await.unwrap();
    }

    /// The texts of all elements of this kind.
    pub async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.client.find_all(Locator::Css(css)).await.unwrap() {
            texts.push(element.text().await.unwrap());
        }
        texts
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Runs pages so many times slower; not their workers.
    pub async fn slow_down(&self, times: u8) {
        self.devtools("Emulation.setCPUThrottlingRate", json!({"rate": times})).await;
    }

    /// Shows pages on a screen of this size.
    pub async fn screen(&self, (width, height, scale): Screen) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": scale > 1});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Shows pages as for a visitor with this preference.
    pub async fn prefer(&self, feature: &str, value: &str) {
        self.devtools("Emulation.setEmulatedMedia", json!({"features": [{"name": feature, "value": value}]})).await;
    }

    /// Keeps a picture of what is on the screen.
    pub async fn screenshot(&self, name: &str) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
        std::fs::create_dir_all(&directory).unwrap();
        // The bars have grown when their animations are over.
        self.client
            .execute_async(
                "const done = arguments[0];
                 Promise.allSettled(document.getAnimations().map((a) => a.finished)).then(() => done())",
                vec![],
            )
            .await
            .unwrap();
        let picture = self.client.screenshot().await.unwrap();
        std::fs::write(directory.join(name).with_extension("png"), picture).unwrap();
    }

    async fn devtools(&self, command: &'static str, parameters: Value) {
        self.client.issue_cmd(DevTools { command, parameters }).await.map(drop).unwrap_or_else(failed(command));
    }
}

fn failed(command: &str) -> impl FnOnce(CmdError) {
    move |error| panic!("{command}: {error}")
}

/// A command of Chromium's own protocol.
#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"cmd": self.command, "params": self.parameters}).to_string()))
    }
}

/// So many chromedrivers are started until one has a port.
const STARTS_MAX: usize = 20;

/// A running chromedriver, which ends with its browsers when this is dropped.
pub struct Driver {
    process: Child,
    port: u16,
    profile: TempDir,
}

impl Driver {
    /// Starts one. It asks for a port of `::1`, and ends where another socket has the same of 127.0.0.1
    /// (`findings/chromedriver-port-0.sh`): then the next one may have better luck.
    pub fn start() -> Self {
        let started = std::iter::repeat_with(Self::try_start).take(STARTS_MAX).flatten().next();
        started.expect("chromedriver says its port")
    }

    fn try_start() -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let command = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut process = command.expect("chromedriver can be started: install the package chromium-driver");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let Some(port) = lines.map(|line| port_in(&line)).find_map(|port| port) else {
            process.wait().unwrap();
            return None;
        };
        Some(Self { process, port, profile })
    }

    /// Starts a browser of it that is set up so.
    pub async fn open_browser(&self, setup: Setup) -> Client {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let mut options = json!({"args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--hide-scrollbars", profile,
        ]});
        if !setup.back_forward_cache {
            options["args"].as_array_mut().unwrap().push(json!("--disable-features=BackForwardCache"));
        }
        if !setup.javascript {
            options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
        }
        let strategy = if setup.waits_for_pages { "normal" } else { "none" };
        let capabilities = json!({"goog:chromeOptions": options, "pageLoadStrategy": strategy});
        let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
        let address = format!("http://127.0.0.1:{}", self.port);
        let start = async || {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.clone()).connect(&address).await
        };
        // On a busy machine the browser before may still be leaving the profile: a new one then exits at once.
        let mut started = start().await;
        for _ in 0..STARTS_AGAIN {
            if started.is_err() {
                started = start().await;
            }
        }
        started.expect("Chromium can be started: install the package chromium, of chromium-driver's version")
    }
}

fn port_in(line: &str) -> Option<u16> {
    line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Asked to end, it ends its browsers; killed, it would leave them behind.
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            let _ = stream.write_all(b"GET /shutdown HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
            let _ = stream.read(&mut [0; 1024]);
        } else {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}
