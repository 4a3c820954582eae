//! A plugin in nothing but Rust's standard library: an HTTP/1.1 server, Connect's JSON, and as much of protobuf as a
//! message of strings needs. Build it with `rustc -O plugin.rs`.
//!
//! With HOST_URL it opens its port, then registers itself. Without it, it waits for the host to ask who it is and to give
//! it an identity; that identity is enough to call other plugins through the host.
//!
//! Environment: PORT (0: any free port), SELF_ID, PROVIDES (service type), DEPENDS_ON (service type), HOST_URL.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const VERSION: &str = "1.5.0";
const SERVICE_PATH: &str = "/echo.v1.Echo/";
const HANDSHAKE: &str = "/connectplugin.v1.HandshakeService/Handshake";
const DISCOVER: &str = "/connectplugin.v1.ServiceRegistry/DiscoverService";
const REGISTER: &str = "/connectplugin.v1.ServiceRegistry/RegisterService";
const REPORT: &str = "/connectplugin.v1.PluginLifecycle/ReportHealth";
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
const MAX_LINE_BYTES: u64 = 16 * 1024;
const IDLE: Duration = Duration::from_secs(60);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the answer to Shutdown, and for calls in flight, to get out.
const SHUTDOWN_DELAY: Duration = Duration::from_millis(50);

/// An error of the Connect protocol.
struct Failure {
    status: u16,
    code: String,
    message: String,
}

fn failure(status: u16, code: &str, message: &str) -> Failure {
    Failure { status, code: code.to_string(), message: message.to_string() }
}

// JSON ---------------------------------------------------------------------------------------------------------------

#[derive(Debug)]
enum Json {
    Other,
    Text(String),
    List,
    Object(BTreeMap<String, Json>),
}

impl Json {
    fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(fields) => fields.get(name),
            _ => None,
        }
    }

    /// The text of a field; empty if it is not there, as in proto3.
    fn text(&self, name: &str) -> String {
        match self.get(name) {
            Some(Json::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }
}

/// Reads JSON. It keeps what this plugin looks at: objects and texts.
struct JsonReader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    depth: usize,
}

fn read_json(body: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = JsonReader { rest: text.chars().peekable(), depth: 0 };
    let value = reader.value()?;
    reader.space();
    if reader.rest.next().is_some() {
        return None;
    }
    Some(value)
}

impl<'a> JsonReader<'a> {
    fn space(&mut self) {
        while matches!(self.rest.peek(), Some(' ' | '\t' | '\r' | '\n')) {
            self.rest.next();
        }
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.space();
        if self.rest.next()? == wanted {
            Some(())
        } else {
            None
        }
    }

    fn value(&mut self) -> Option<Json> {
        self.depth += 1;
        if self.depth > 64 {
            return None; // nobody needs that, and the stack has an end
        }
        self.space();
        let value = match self.rest.peek()? {
            '{' => self.object(),
            '[' => self.list(),
            '"' => self.string().map(Json::Text),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Option<Json> {
        let mut fields = BTreeMap::new();
        self.take('{')?;
        self.space();
        if self.rest.peek() == Some(&'}') {
            self.rest.next();
            return Some(Json::Object(fields));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.take(':')?;
            fields.insert(name, self.value()?);
            self.space();
            match self.rest.next()? {
                ',' => {}
                '}' => return Some(Json::Object(fields)),
                _ => return None,
            }
        }
    }

    fn list(&mut self) -> Option<Json> {
        self.take('[')?;
        self.space();
        if self.rest.peek() == Some(&']') {
            self.rest.next();
            return Some(Json::List);
        }
        loop {
            self.value()?;
            self.space();
            match self.rest.next()? {
                ',' => {}
                ']' => return Some(Json::List),
                _ => return None,
            }
        }
    }

    fn word(&mut self) -> Option<Json> {
        let mut word = String::new();
        while matches!(self.rest.peek(), Some(c) if c.is_ascii_alphanumeric() || "+-.".contains(*c)) {
            word.push(self.rest.next()?);
        }
        let known = ["true", "false", "null"].contains(&word.as_str()) || word.parse::<f64>().is_ok();
        if known {
            Some(Json::Other)
        } else {
            None
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        self.take('"')?;
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                c if c < ' ' => return None,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let first = self.hex()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first);
                }
                // A character beyond the first 65,536 is written as two.
                if self.rest.next()? != '\\' || self.rest.next()? != 'u' {
                    return None;
                }
                let second = self.hex()?;
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + second.checked_sub(0xdc00)?);
            }
            c @ ('"' | '\\' | '/') => c,
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let mut value = 0;
        for _ in 0..4 {
            value = value * 16 + self.rest.next()?.to_digit(16)?;
        }
        Some(value)
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => json.push_str(&format!("\\u{:04x}", c as u32)),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

// Protobuf -----------------------------------------------------------------------------------------------------------

/// The field number 1 of a message, if it is a string. Other fields are skipped.
fn first_string(mut body: &[u8]) -> Option<String> {
    let mut text = String::new();
    while !body.is_empty() {
        let key = varint(&mut body)?;
        match key & 7 {
            0 => {
                varint(&mut body)?;
            }
            1 => body = body.get(8..)?,
            5 => body = body.get(4..)?,
            2 => {
                let size = varint(&mut body)? as usize;
                let value = body.get(..size)?;
                if key >> 3 == 1 {
                    text = String::from_utf8(value.to_vec()).ok()?;
                }
                body = &body[size..];
            }
            _ => return None,
        }
    }
    Some(text)
}

fn varint(body: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = body.split_first()?;
        *body = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A message whose fields are these strings, numbered from 1.
fn strings(values: &[&str]) -> Vec<u8> {
    let mut message = Vec::new();
    for (index, value) in values.iter().enumerate() {
        message.push(((index as u8 + 1) << 3) | 2);
        let mut size = value.len();
        while size >= 0x80 {
            message.push((size & 0x7f) as u8 | 0x80);
            size >>= 7;
        }
        message.push(size as u8);
        message.extend(value.as_bytes());
    }
    message
}

// HTTP ---------------------------------------------------------------------------------------------------------------

/// Header fields by their names in lower case.
type Fields = BTreeMap<String, String>;

/// One line without its end; None at the end of the connection.
fn read_line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    stream.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).ok()?;
    if line.pop() != Some(b'\n') {
        return None; // too long, or cut off
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).ok()
}

fn read_fields(stream: &mut impl BufRead) -> Option<Fields> {
    let mut fields = Fields::new();
    for _ in 0..200 {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Some(fields);
        }
        let (name, value) = line.split_once(':')?;
        fields.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
    None
}

/// A body with a length, or in chunks: callers may send either.
fn read_body(stream: &mut impl BufRead, fields: &Fields) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if fields.get("transfer-encoding").map(|value| value.to_ascii_lowercase()) != Some("chunked".to_string()) {
        let size = match fields.get("content-length") {
            Some(value) => value.parse().ok()?,
            None => 0,
        };
        if size > MAX_BODY_BYTES {
            return None;
        }
        body.resize(size, 0);
        stream.read_exact(&mut body).ok()?;
        return Some(body);
    }
    loop {
        let line = read_line(stream)?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if body.len().checked_add(size)? > MAX_BODY_BYTES {
            return None;
        }
        if size == 0 {
            read_fields(stream)?; // trailers
            return Some(body);
        }
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..]).ok()?;
        read_line(stream)?;
    }
}

// The host -----------------------------------------------------------------------------------------------------------

/// The host as a plugin with an identity sees it.
#[derive(Clone)]
struct Host {
    url: String,
    runtime_id: String,
    token: String,
}

impl Host {
    /// Calls a unary procedure of the host, or of a plugin behind it.
    fn call(&self, path: &str, message: &str) -> Result<Json, Failure> {
        let (status, answer) = self
            .post(path, message)
            .ok_or_else(|| failure(503, "unavailable", &format!("the host at {} does not answer", self.url)))?;
        let answer = read_json(&answer).unwrap_or(Json::Other);
        if status == 200 {
            return Ok(answer);
        }
        Err(failure(status, &answer.text("code"), &answer.text("message")))
    }

    fn post(&self, path: &str, message: &str) -> Option<(u16, Vec<u8>)> {
        // HOST_URL may have a path, which goes in front of every path.
        let (address, prefix) = match self.url.strip_prefix("http://")?.split_once('/') {
            Some((address, prefix)) => (address, format!("/{}", prefix)),
            None => (self.url.strip_prefix("http://")?, String::new()),
        };
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(CALL_TIMEOUT)).ok()?;
        let identity = match self.token.as_str() {
            "" => String::new(),
            token => format!("X-Plugin-Runtime-ID: {}\r\nAuthorization: Bearer {}\r\n", self.runtime_id, token),
        };
        let head = format!(
            "POST {prefix}{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{identity}\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            message.len()
        );
        stream.write_all((head + message).as_bytes()).ok()?;
        let mut answer = BufReader::new(stream);
        let status = read_line(&mut answer)?.split(' ').nth(1)?.parse().ok()?;
        let fields = read_fields(&mut answer)?;
        Some((status, read_body(&mut answer, &fields)?))
    }

    /// Discovers a provider of the service type and calls it.
    fn say(&self, service_type: &str, text: &str) -> Result<(String, String), Failure> {
        let wanted = format!("{{\"serviceType\":{},\"minVersion\":\"1.0.0\"}}", quoted(service_type));
        let found = self.call(DISCOVER, &wanted)?;
        let url = found.get("endpoint").map(|endpoint| endpoint.text("endpointUrl")).unwrap_or_default();
        let said = self.call(&format!("{url}/Say"), &format!("{{\"text\":{}}}", quoted(text)))?;
        Ok((said.text("text"), said.text("provider")))
    }
}

// The plugin ---------------------------------------------------------------------------------------------------------

struct Plugin {
    self_id: String,
    provides: String,
    dependency: String,
    host: Mutex<Option<Host>>,
}

impl Plugin {
    fn info(&self) -> String {
        let requires = match self.dependency.as_str() {
            "" => String::new(),
            name => format!("{{\"type\":{},\"minVersion\":\"1.0.0\",\"requiredForStartup\":true}}", quoted(name)),
        };
        format!(
            "{{\"selfId\":{},\"selfVersion\":\"{VERSION}\",\"provides\":[{{\"type\":{},\"version\":\"{VERSION}\",\
             \"path\":\"{SERVICE_PATH}\"}}],\"requires\":[{requires}],\"metadata\":{{\"language\":\"rust\"}}}}",
            quoted(&self.self_id),
            quoted(&self.provides)
        )
    }

    /// A text `a>b` goes to a provider of service type a first, which gets `b`. Returns the text and who took part.
    fn say(&self, text: &str) -> Result<(String, String), Failure> {
        let (next, rest) = match text.split_once('>') {
            Some(parts) => parts,
            None => return Ok((text.to_string(), self.self_id.clone())),
        };
        let host = self.host.lock().unwrap().clone();
        let host = host.ok_or_else(|| {
            failure(400, "failed_precondition", &format!("{} cannot call {next}: it has no host", self.self_id))
        })?;
        let (text, provider) = host.say(next, rest)?;
        Ok((text, format!("{}>{provider}", self.self_id)))
    }

    fn answer(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let say_path = format!("{SERVICE_PATH}Say");
        if content_type == "application/proto" && path == say_path {
            let text = first_string(body).ok_or_else(|| failure(400, "invalid_argument", "the body is no SayRequest"))?;
            let (text, provider) = self.say(&text)?;
            return Ok(strings(&[&text, &provider]));
        }
        let known = [
            say_path.as_str(),
            "/connectplugin.v1.PluginIdentity/GetPluginInfo",
            "/connectplugin.v1.PluginIdentity/SetRuntimeIdentity",
            "/connectplugin.v1.PluginControl/GetHealth",
            "/connectplugin.v1.PluginControl/Shutdown",
        ];
        if !known.contains(&path) {
            return Err(failure(404, "unimplemented", &format!("{path} is not served here")));
        }
        if content_type != "application/json" {
            return Err(failure(415, "invalid_argument", &format!("{path} does not speak {content_type}")));
        }
        let given = if body.is_empty() { b"{}" } else { body };
        let message = read_json(given).ok_or_else(|| failure(400, "invalid_argument", "the body is no JSON"))?;
        let acknowledged = "{\"acknowledged\":true}".to_string();
        let answer = match path.rsplit('/').next().unwrap_or_default() {
            "Say" => {
                let (text, provider) = self.say(&message.text("text"))?;
                format!("{{\"text\":{},\"provider\":{}}}", quoted(&text), quoted(&provider))
            }
            "GetPluginInfo" => self.info(),
            "GetHealth" => "{\"state\":\"HEALTH_STATE_HEALTHY\"}".to_string(),
            "SetRuntimeIdentity" => {
                *self.host.lock().unwrap() = Some(Host {
                    url: message.text("hostUrl"),
                    runtime_id: message.text("runtimeId"),
                    token: message.text("runtimeToken"),
                });
                acknowledged
            }
            _ => {
                // The answer goes out first.
                thread::spawn(|| {
                    thread::sleep(SHUTDOWN_DELAY);
                    process::exit(0)
                });
                acknowledged
            }
        };
        Ok(answer.into_bytes())
    }

    /// Answers requests until the connection ends, or carries something that is no request.
    fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(IDLE)).ok()?;
        stream.set_nodelay(true).ok()?;
        let mut output = stream.try_clone().ok()?;
        let mut input = BufReader::new(stream);
        loop {
            let line = read_line(&mut input)?;
            let mut parts = line.split(' ');
            let (method, path) = (parts.next()?.to_string(), parts.next()?.to_string());
            let fields = read_fields(&mut input)?;
            let body = read_body(&mut input, &fields)?;
            let content_type = fields.get("content-type").map(String::as_str).unwrap_or_default();
            let content_type = content_type.split(';').next()?.trim().to_ascii_lowercase();
            let encoding = fields.get("content-encoding").map(String::as_str).unwrap_or("identity");
            let result = if fields.contains_key("authorization") || fields.contains_key("x-plugin-runtime-id") {
                Err(failure(500, "internal", &format!("{} was shown the credentials of its caller", self.self_id)))
            } else if method != "POST" {
                Err(failure(405, "unimplemented", "procedures are called by POST"))
            } else if encoding != "identity" {
                Err(failure(501, "unimplemented", &format!("{encoding} is not read here")))
            } else {
                self.answer(&path, &content_type, &body)
            };
            let (status, content_type, body) = match result {
                Ok(body) => (200, content_type, body),
                Err(Failure { status, code, message }) => {
                    let body = format!("{{\"code\":{},\"message\":{}}}", quoted(&code), quoted(&message));
                    (status, "application/json".to_string(), body.into_bytes())
                }
            };
            let head = format!(
                "HTTP/1.1 {status} Answer\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            output.write_all(&[head.into_bytes(), body].concat()).ok()?;
            if fields.get("connection").map(|value| value.eq_ignore_ascii_case("close")) == Some(true) {
                return Some(());
            }
        }
    }

    /// What a plugin does that nobody manages: say hello, register, report health.
    fn register(&self, host_url: &str, port: u16) -> Result<(), Failure> {
        let nobody = Host { url: host_url.to_string(), runtime_id: String::new(), token: String::new() };
        let hello = nobody.call(
            HANDSHAKE,
            &format!(
                "{{\"coreProtocolVersion\":1,\"appProtocolVersion\":1,\"magicCookieKey\":\"CONNECT_PLUGIN\",\
                 \"magicCookieValue\":\"d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e\",\"selfId\":{},\"selfVersion\":\"{VERSION}\"}}",
                quoted(&self.self_id)
            ),
        )?;
        let host = Host { runtime_id: hello.text("runtimeId"), token: hello.text("runtimeToken"), ..nobody };
        *self.host.lock().unwrap() = Some(host.clone());
        host.call(
            REGISTER,
            &format!(
                "{{\"serviceType\":{},\"version\":\"{VERSION}\",\"endpointPath\":\"{SERVICE_PATH}\",\
                 \"metadata\":{{\"base_url\":\"http://127.0.0.1:{port}\",\"language\":\"rust\"}}}}",
                quoted(&self.provides)
            ),
        )?;
        host.call(REPORT, "{\"state\":\"HEALTH_STATE_HEALTHY\"}")?;
        Ok(())
    }
}

fn setting(name: &str, fallback: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| fallback.to_string())
}

fn main() {
    let plugin = Arc::new(Plugin {
        self_id: setting("SELF_ID", "rust-plugin"),
        provides: setting("PROVIDES", "rust-echo"),
        dependency: setting("DEPENDS_ON", ""),
        host: Mutex::new(None),
    });
    let address = format!("127.0.0.1:{}", setting("PORT", "0"));
    let listener = TcpListener::bind(&address).unwrap_or_else(|error| {
        eprintln!("{address}: {error}");
        process::exit(1)
    });
    let port = listener.local_addr().expect("a listener has an address").port();
    let accepting = {
        let plugin = Arc::clone(&plugin);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let plugin = Arc::clone(&plugin);
                // SIGTERM ends the process, and with it these.
                thread::spawn(move || plugin.serve(stream));
            }
        })
    };
    let host_url = setting("HOST_URL", "");
    if !host_url.is_empty() {
        if let Err(error) = plugin.register(&host_url, port) {
            eprintln!("{}: {}", error.code, error.message);
            process::exit(1);
        }
    }
    println!("PORT={port}");
    accepting.join().ok();
}
