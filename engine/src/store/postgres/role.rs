//! What a role may do beyond what it is there for: to read the columns that studies may read, and nothing else.

use tokio_postgres::Client;

use super::connection::failed;
use super::error::DatabaseError;

/// What an administrator should look at, of a role in a schema.
pub(super) async fn warnings(client: &Client, schema: &str, user: &str) -> Result<Vec<String>, DatabaseError> {
    let the_role = "the role's rights";
    let failed = |error: tokio_postgres::Error| failed(&error, the_role);
    let protocol = |_| DatabaseError::Protocol { what: the_role.to_string() };
    let sql = "SELECT r.rolsuper, r.rolbypassrls, r.rolcreaterole OR r.rolcreatedb OR r.rolreplication, \
                      pg_catalog.has_schema_privilege(n.oid, 'CREATE'), \
                      (SELECT count(*) FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid \
                       AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
                       AND (pg_catalog.has_any_column_privilege(c.oid, 'INSERT, UPDATE') \
                            OR pg_catalog.has_table_privilege(c.oid, 'DELETE, TRUNCATE, TRIGGER'))) \
               FROM pg_catalog.pg_roles r, pg_catalog.pg_namespace n \
               WHERE r.rolname = current_user AND n.nspname = $1";
    let row = client.query_one(sql, &[&schema]).await.map_err(failed)?;
    let is = |at: usize| row.try_get::<_, bool>(at).map_err(protocol);
    let mut warnings = Vec::new();
    if is(0)? {
        warnings.push(format!(
            "`{user}` is a superuser, who may do everything at the server; make a role that may only read, as docs/postgres.md says"
        ));
        // All else follows from it.
        return Ok(warnings);
    }
    if is(1)? {
        warnings.push(format!("`{user}` passes by every row-level policy (BYPASSRLS); take that from it"));
    }
    if is(2)? {
        warnings.push(format!("`{user}` may make roles or databases, or replicate; take that from it"));
    }
    if is(3)? {
        warnings.push(format!(
            "`{user}` may make tables in the schema `{schema}`; take that from it, or from PUBLIC or the role that it has it by (REVOKE CREATE ON \
             SCHEMA)"
        ));
    }
    let writable: i64 = row.try_get(4).map_err(protocol)?;
    if writable > 0 {
        let tables = if writable == 1 { "1 table".to_string() } else { format!("{writable} tables") };
        warnings.push(format!(
            "`{user}` may write to {tables} of the schema `{schema}`, and only ever reads; take that from it, or from PUBLIC or the \
             role that it has it by, or make another role, which owns none"
        ));
    }
    Ok(warnings)
}
