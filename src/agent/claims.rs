//! Assigns files to resources. Never lets two resources have one file, even if their passes run side by side.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::apply::instance_files::ClaimedFiles;
use crate::model::resource::{InstanceId, Resource};

/// The files of all resources without `for_each`, and of all instances of the others. Shared by the passes of one catalog.
#[derive(Debug, Default)]
pub struct Claims(Mutex<BTreeMap<PathBuf, InstanceId>>);

impl Claims {
    /// Returns the claims of these resources before any pass: only those without `for_each` have a file yet.
    pub fn of<'a>(resources: impl Iterator<Item = &'a Resource>) -> Claims {
        let fixed = resources.filter(|resource| resource.for_each.is_none());
        Claims(Mutex::new(fixed.map(|resource| (resource.dest.clone(), resource.id.clone())).collect()))
    }

    /// Returns the path if a resource may claim it.
    ///
    /// # Errors
    /// A different resource has it: the text names that.
    pub fn free_for(&self, resource: &str, dest: PathBuf) -> Result<PathBuf, String> {
        match self.lock().get(&dest) {
            Some(owner) if *owner.resource != *resource => Err(taken(&dest, owner)),
            _ => Ok(dest),
        }
    }

    /// Gives up whatever a resource has, then claims each file of `wanted` for it; the outcomes come in the same order.
    pub fn exchange(
        &self,
        resource: &str,
        wanted: impl Iterator<Item = (InstanceId, Result<PathBuf, String>)>,
    ) -> Vec<Result<PathBuf, String>> {
        let mut owners = self.lock();
        owners.retain(|_, owner| *owner.resource != *resource);
        let mut outcomes = Vec::new();
        for (id, dest) in wanted {
            outcomes.push(dest.and_then(|dest| match owners.get(&dest) {
                Some(owner) => Err(taken(&dest, owner)),
                None => {
                    owners.insert(dest.clone(), id);
                    Ok(dest)
                }
            }));
        }
        outcomes
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, InstanceId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClaimedFiles for Claims {
    fn is_claimed(&self, dest: &Path) -> bool {
        self.lock().contains_key(dest)
    }
}

fn taken(dest: &Path, owner: &InstanceId) -> String {
    format!("`{owner}` writes `{}`", dest.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_an_edit_gave_to_somebody_else_stays_theirs() {
        let dest = Path::new("/etc/nginx/web.conf");
        let id =
            |resource: &str, item: Option<&str>| InstanceId { resource: resource.into(), item: item.map(Into::into) };
        let claims = Claims(Mutex::new([(dest.to_owned(), id("web.toml", None))].into()));
        let claim = |resource: &str| {
            let wanted = [(id(resource, Some("web")), Ok(dest.to_owned()))];
            claims.exchange(resource, wanted.into_iter())
        };
        assert_eq!(claim("sites.toml"), [Err("`web.toml` writes `/etc/nginx/web.conf`".to_owned())]);
        claims.lock().clear();
        assert_eq!(claim("sites.toml"), [Ok(dest.to_owned())]);
        assert_eq!(claim("sites.toml"), [Ok(dest.to_owned())], "it gives up its own first");
    }
}
