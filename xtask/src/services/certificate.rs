//! A self-signed certificate for a server with TLS: clients that trust it trust that server only.

use super::instance::Instance;
use crate::packages::Program;

/// The program that creates it.
pub const OPENSSL: Program = Program { name: "openssl", package: "openssl" };

/// The certificate's file in the server's directory, which clients that verify certificates trust.
pub const CERTIFICATE: &str = "certificate.pem";

/// The file of its private key.
pub const KEY: &str = "key.pem";

/// OpenSSL's configuration; the certificate is valid for the addresses of these servers.
const CONFIGURATION: &str = "\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = throng tests
[extensions]
subjectAltName = IP:127.0.0.1, DNS:localhost
basicConstraints = critical, CA:FALSE
";

/// Creates both files, owned by the server's user.
///
/// # Errors
/// If openssl fails.
pub fn make(instance: &Instance) -> anyhow::Result<()> {
    let configuration = instance.write("certificate.conf", CONFIGURATION)?;
    let mut openssl = instance.command(OPENSSL.name)?;
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "30",
    ]);
    openssl.args(["-config", &configuration, "-keyout", &instance.path(KEY), "-out", &instance.path(CERTIFICATE)]);
    instance.finish(openssl)
}
