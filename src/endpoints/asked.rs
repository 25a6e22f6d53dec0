//! The subject of a question at nginx's name server. Pure.

use hickory_proto::rr::RecordType;

use super::message::DnsQuestion;
use crate::model::endpoints::{DOMAIN, EndpointName, SERVICE};

/// The subject of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The SRV records of a set.
    Peers(EndpointName),
    /// The addresses of a target with this label.
    Addresses(String),
    /// Something that is not ours.
    Foreign,
}

impl Asked {
    /// Returns the subject of this question.
    pub fn of(question: &DnsQuestion) -> Asked {
        let name = question.name();
        let Some(below) = name.strip_suffix(DOMAIN).and_then(|below| below.strip_suffix('.')) else {
            return Asked::Foreign;
        };
        let label = below.strip_prefix('_').and_then(|rest| rest.strip_prefix(SERVICE)?.strip_prefix("._tcp."));
        match (label, question.kind()) {
            (Some(label), RecordType::SRV) if is_label(label) => Asked::Peers(EndpointName::new(label)),
            (None, RecordType::A | RecordType::AAAA) if is_label(below) => Asked::Addresses(below.to_owned()),
            _ => Asked::Foreign,
        }
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && !text.contains('.')
}
