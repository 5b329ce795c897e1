//! The settings of TLS.

use super::{Config, Reader};
use crate::net::{TlsFaults, TlsFiles};

const CERTIFICATE: &str = "TLS_CERTIFICATE";
const KEY: &str = "TLS_KEY";

impl Reader<'_> {
    /// A certificate and its key: both, or neither.
    pub(super) fn tls(&mut self) -> Option<TlsFiles> {
        match (self.optional(CERTIFICATE), self.optional(KEY)) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (Some(_), None) => {
                self.fault(CERTIFICATE, "a certificate requires its key; set TLS_KEY too");
                None
            }
            (None, Some(_)) => {
                self.fault(KEY, "a key requires its certificate; set TLS_CERTIFICATE too");
                None
            }
            (None, None) => None,
        }
    }

    /// Checks that a server can use the certificate.
    pub(super) fn check_certificate(&mut self, config: &Config) {
        let Some(Err(TlsFaults { certificate, key })) = config.tls.as_ref().map(TlsFiles::read) else { return };
        for (name, what) in [(CERTIFICATE, certificate), (KEY, key)] {
            if let Some(what) = what {
                self.fault(name, &what);
            }
        }
    }
}
