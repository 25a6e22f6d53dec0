//! Certificates of all the kinds that people have, made by the openssl program: what it does by default is what they have.
//! Never reads the system's configuration of openssl.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What stands in a certificate beside names and key; the names of sections of the configuration below.
pub const AUTHORITY: &str = "authority";
pub const SERVER: &str = "server";
pub const AUTHORITY_AND_SERVER: &str = "authority_and_server";
pub const CLIENTS_ONLY: &str = "clients_only";
pub const OTHER_NAME: &str = "other_name";

const CONFIGURATION: &str = "\
[req]
distinguished_name = names
[names]
[authority]
basicConstraints = critical,CA:TRUE
[server]
basicConstraints = CA:FALSE
subjectAltName = IP:127.0.0.1,DNS:localhost
[authority_and_server]
basicConstraints = critical,CA:TRUE
subjectAltName = IP:127.0.0.1,DNS:localhost
[clients_only]
extendedKeyUsage = clientAuth
subjectAltName = IP:127.0.0.1
[other_name]
subjectAltName = DNS:other.example
";

/// A certificate with its key, PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A folder with certificates.
pub struct Openssl<'a> {
    folder: &'a Path,
}

impl Openssl<'_> {
    pub fn new(folder: &Path) -> Openssl<'_> {
        std::fs::write(folder.join("openssl.cnf"), CONFIGURATION).unwrap();
        Openssl { folder }
    }

    fn run(&self, words: &str) {
        let output = Command::new("openssl")
            .args(words.split_whitespace())
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .output()
            .expect("`make setup` installs openssl");
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes `NAME.key`: `P-256`, `P-521` and so on, or `rsa:BITS`.
    fn key(&self, name: &str, kind: &str) -> Pair {
        let options = match kind.strip_prefix("rsa:") {
            Some(bits) => format!("-algorithm RSA -pkeyopt rsa_keygen_bits:{bits}"),
            None => format!("-algorithm EC -pkeyopt ec_paramgen_curve:{kind}"),
        };
        self.run(&format!("genpkey {options} -out {name}.key"));
        Pair { cert: self.folder.join(format!("{name}.pem")), key: self.folder.join(format!("{name}.key")) }
    }

    /// Makes a certificate that its own key has signed, for `CN=SUBJECT`.
    pub fn own(&self, name: &str, subject: &str, kind: &str, section: &str) -> Pair {
        let pair = self.key(name, kind);
        self.run(&format!(
            "req -x509 -new -key {name}.key -out {name}.pem -days 30 -subj /CN={subject} -config openssl.cnf \
             -extensions {section}"
        ));
        pair
    }

    /// Makes a certificate that `issuer` has signed; `more` is `-sha384`, `-days 5` and the like. Without a section it
    /// is of version 1.
    pub fn signed(&self, name: &str, kind: &str, issuer: &Pair, section: Option<&str>, more: &str) -> Pair {
        let pair = self.key(name, kind);
        self.run(&format!("req -new -key {name}.key -out {name}.csr -subj /CN={name} -config openssl.cnf"));
        let (ca, ca_key) = (issuer.cert.display(), issuer.key.display());
        let extensions =
            section.map_or_else(String::new, |section| format!("-extfile openssl.cnf -extensions {section}"));
        self.run(&format!(
            "x509 -req -in {name}.csr -CA {ca} -CAkey {ca_key} -CAcreateserial -out {name}.pem {extensions} {more}"
        ));
        pair
    }

    /// Writes the key in the form that begins with `BEGIN EC PRIVATE KEY`.
    pub fn sec1(&self, name: &str) -> PathBuf {
        self.run(&format!("ec -in {name}.key -out {name}.sec1"));
        self.folder.join(format!("{name}.sec1"))
    }

    /// Returns what openssl says of a certificate.
    pub fn text(&self, pair: &Pair) -> String {
        let mut command = Command::new("openssl");
        let output = command.args(["x509", "-noout", "-text", "-in"]).arg(&pair.cert).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}
