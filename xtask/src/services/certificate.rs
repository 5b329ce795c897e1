//! A certificate for a server that speaks TLS. It vouches for itself: clients that trust it trust that server alone.

use super::plot::Plot;
use crate::packages::Program;

/// What makes it.
pub const OPENSSL: Program = Program { name: "openssl", package: "openssl" };

/// The certificate's file in the server's directory: what clients that verify are told to trust.
pub const CERTIFICATE: &str = "certificate.pem";

/// The file of its private key.
pub const KEY: &str = "key.pem";

/// Valid for the addresses that these servers have.
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

/// Makes both files, with the server's user for an owner.
///
/// # Errors
/// If openssl fails.
pub fn make(plot: &Plot) -> anyhow::Result<()> {
    let configuration = plot.write("certificate.conf", CONFIGURATION)?;
    let mut openssl = plot.command(OPENSSL.name)?;
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
    openssl.args(["-config", &configuration, "-keyout", &plot.path(KEY), "-out", &plot.path(CERTIFICATE)]);
    plot.finish(openssl)
}
