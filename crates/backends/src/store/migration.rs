//! Steps of a schema, and which of them a database has.

use throng_domain::store::{MigrationState, StoreError};

/// A step of the schema. Steps have the same numbers and names in every database.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its place in the order, from 1.
    pub version: u32,
    /// Its file's name, without the extension; the same for every database.
    pub name: &'static str,
    /// Its statements, separated by `;` at the end of a line.
    pub sql: &'static str,
}

/// Every step, and whether a database has it whose last step is `version`; 0 for none.
///
/// # Errors
/// Those of [`known`].
pub(super) fn states(migrations: &[Migration], version: u32) -> Result<Vec<MigrationState>, StoreError> {
    let current = known(migrations, version)?;
    let state =
        |step: &Migration| MigrationState { version: step.version, name: step.name, applied: step.version <= current };
    Ok(migrations.iter().map(state).collect())
}

/// `version`, the number of the last step that a database has.
///
/// # Errors
/// [`StoreError::Rejected`] if it is a step of a later version of Throng.
pub(super) fn known(migrations: &[Migration], version: u32) -> Result<u32, StoreError> {
    let newest = migrations.last().map_or(0, |step| step.version);
    if version > newest {
        return Err(StoreError::Rejected(format!(
            "the database has schema version {version}, this throng supports {newest}; run the throng that wrote it, or a newer one"
        )));
    }
    Ok(version)
}
