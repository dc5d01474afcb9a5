//! What a schema has: tables, columns, types, and whether the role may read them.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, Type};

use super::connection::failed;
use super::error::DatabaseError;
use super::quoted;
use super::shape::Shape;

/// A table, view or the like of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(super) oid: u32,
    /// As it is called there.
    pub(super) name: String,
    /// With its schema, as SQL writes it.
    pub(super) sql: String,
    /// With its schema, for messages.
    pub(crate) shown: String,
    pub(super) kind: RelationKind,
    /// Whether the role may ask where rows are, by which a table is read in parts.
    pub(super) is_placed: bool,
    /// Whether the role sees some of its rows only, by a policy.
    pub(super) is_filtered: bool,
    pub(super) attributes: Vec<Attribute>,
}

/// What a relation is, as far as it matters to how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RelationKind {
    /// It has pages of its own, numbered.
    Pages,
    /// Its parts have.
    Parts,
    /// It is computed, or elsewhere.
    Computed,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) shape: Option<Shape>,
    pub(super) is_granted: bool,
    /// Whether it is computed for each row that is read.
    pub(super) is_virtual: bool,
}

/// The schema, as a role sees it.
pub(super) struct Catalog {
    pub(super) relations: Vec<Relation>,
    pub(super) unique: Unique,
}

/// Columns of which the server itself sees to it that no two rows share a value, by table, and whether each row has one.
pub(super) type Unique = BTreeMap<(u32, String), bool>;

/// The server, as it says of itself.
pub(super) struct About {
    /// Its major version.
    pub(super) version: u32,
    /// What its texts are.
    pub(super) texts: Texts,
}

/// What a database's texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// UTF-8.
    Unicode,
    /// In another encoding, which may have what has no place in UTF-8.
    Encoded,
    /// Bytes in no known encoding.
    Bytes,
}

const THE_CATALOG: &str = "the catalog";

/// A name, if it is a text: in a database of no known encoding it may be any bytes, and then is none of ours.
struct Name(Option<String>);

impl<'a> FromSql<'a> for Name {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(std::str::from_utf8(raw).ok().map(str::to_string)))
    }

    fn accepts(data_type: &Type) -> bool {
        *data_type == Type::BYTEA
    }
}

/// Hands over a name as it is: of no known encoding, the server takes none that is not UTF-8 for a text.
fn bytes_of(name: &str) -> String {
    format!(
        "pg_catalog.convert_to({name}::pg_catalog.text, \
         CASE pg_catalog.current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END::pg_catalog.name)"
    )
}

/// Asks the server what it is.
pub(super) async fn about(client: &Client) -> Result<About, DatabaseError> {
    let sql = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
               pg_catalog.current_setting('server_encoding')";
    let row = client.query_one(sql, &[]).await.map_err(|error| failed(&error, THE_CATALOG))?;
    let protocol = |_| DatabaseError::Protocol { what: THE_CATALOG.to_string() };
    let (version, encoding): (i32, String) = (row.try_get(0).map_err(protocol)?, row.try_get(1).map_err(protocol)?);
    let version = u32::try_from(version / 10_000).unwrap_or(0);
    if version < 12 {
        return Err(DatabaseError::TooOld { version });
    }
    let texts = match encoding.as_str() {
        "UTF8" => Texts::Unicode,
        "SQL_ASCII" => Texts::Bytes,
        _ => Texts::Encoded,
    };
    Ok(About { version, texts })
}

/// Reads what a schema has.
pub(super) async fn read(client: &Client, schema: &str, user: &str) -> Result<Catalog, DatabaseError> {
    let failed = |error: tokio_postgres::Error| failed(&error, THE_CATALOG);
    let protocol = |_| DatabaseError::Protocol { what: THE_CATALOG.to_string() };
    let usable = "SELECT pg_catalog.has_schema_privilege(oid, 'USAGE') FROM pg_catalog.pg_namespace WHERE nspname = $1";
    match client.query_opt(usable, &[&schema]).await.map_err(failed)? {
        None => {
            let instead = elsewhere(client, schema).await?;
            return Err(DatabaseError::NoSchema { schema: schema.to_string(), instead });
        }
        // What is dropped while it is looked at has no rights.
        Some(row) if row.try_get::<_, Option<bool>>(0).map_err(protocol)? != Some(true) => {
            return Err(DatabaseError::NotGranted {
                user: user.to_string(),
                what: format!("the schema `{schema}`"),
                grant: format!("GRANT USAGE ON SCHEMA {} TO {};", quoted(schema), quoted(user)),
            });
        }
        Some(_) => {}
    }
    let types = "SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE typtype IN ('d', 'e')";
    let (mut base, mut enums) = (BTreeMap::new(), BTreeSet::new());
    for row in client.query(types, &[]).await.map_err(failed)? {
        match (row.try_get::<_, u32>(0).map_err(protocol)?, row.try_get::<_, u32>(1).map_err(protocol)?) {
            (own, 0) => drop(enums.insert(own)),
            (own, of) => drop(base.insert(own, of)),
        }
    }
    let (relation, column) = (bytes_of("c.relname"), bytes_of("a.attname"));
    let columns = format!(
        "SELECT c.oid, {relation}, c.relkind::pg_catalog.text, COALESCE(pg_catalog.row_security_active(c.oid), false), \
                          COALESCE(pg_catalog.has_column_privilege(c.oid, (-1)::pg_catalog.int2, 'SELECT'), false), \
                          {column}, a.atttypid, pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'), a.attgenerated = 'v' \
                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                   JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                   WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition \
                   ORDER BY c.relname, a.attnum"
    );
    let mut relations: Vec<Relation> = Vec::new();
    for row in client.query(&columns, &[&schema]).await.map_err(failed)? {
        let oid: u32 = row.try_get(0).map_err(protocol)?;
        // A table or column that is dropped while it is looked at is nobody's to read.
        let (Name(Some(name)), Name(Some(column)), Some(is_granted)) =
            (row.try_get(1).map_err(protocol)?, row.try_get(5).map_err(protocol)?, row.try_get(7).map_err(protocol)?)
        else {
            continue;
        };
        if relations.last().is_none_or(|last| last.oid != oid) {
            let kind = match row.try_get::<_, &str>(2).map_err(protocol)? {
                "r" | "m" => RelationKind::Pages,
                "p" => RelationKind::Parts,
                _ => RelationKind::Computed,
            };
            relations.push(Relation {
                oid,
                sql: format!("{}.{}", quoted(schema), quoted(&name)),
                shown: format!("{schema}.{name}"),
                name,
                kind,
                is_placed: row.try_get(4).map_err(protocol)?,
                is_filtered: row.try_get(3).map_err(protocol)?,
                attributes: Vec::new(),
            });
        }
        let mut of: u32 = row.try_get(6).map_err(protocol)?;
        // A domain may be of another one; there is no circle, and none would be followed for ever.
        for _ in 0..base.len() {
            match base.get(&of) {
                Some(inner) => of = *inner,
                None => break,
            }
        }
        let attribute = Attribute {
            name: column,
            shape: Shape::of(of, enums.contains(&of)),
            is_granted,
            is_virtual: row.try_get(8).map_err(protocol)?,
        };
        if let Some(relation) = relations.last_mut() {
            relation.attributes.push(attribute);
        }
    }
    Ok(Catalog { relations, unique: unique(client, schema).await? })
}

/// What to do where there is no such schema, or no table of people in it: which other schema may be meant.
pub(super) async fn elsewhere(client: &Client, schema: &str) -> Result<String, DatabaseError> {
    const FEW: usize = 5;
    let name = bytes_of("nspname");
    let sql = format!(
        "SELECT {name}, pg_catalog.lower(nspname) = pg_catalog.lower($1), has_person \
               FROM pg_catalog.pg_namespace n, LATERAL (SELECT EXISTS (SELECT FROM pg_catalog.pg_class c \
                   WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
                   AND pg_catalog.lower(c.relname) = 'person') AS has_person) p \
               WHERE nspname <> $1 ORDER BY nspname"
    );
    let failed = |error: tokio_postgres::Error| failed(&error, THE_CATALOG);
    let (mut alike, mut with_people) = (Vec::new(), Vec::new());
    for row in client.query(&sql, &[&schema]).await.map_err(failed)? {
        let Name(Some(name)) = row.try_get(0).map_err(failed)? else { continue };
        let name = format!("`{name}`");
        if row.try_get(1).map_err(failed)? {
            alike.push(name.clone());
        }
        if row.try_get(2).map_err(failed)? {
            with_people.push(name);
        }
    }
    Ok(match (&alike[..], &with_people[..]) {
        ([_, ..], _) => format!("correct `schema`: there is {}, and capitals count", alike.join(", ")),
        (_, []) => {
            "no other schema has a table `person`: see that the URL names the right database, and that OMOP's tables are in it"
                .to_string()
        }
        (_, [one]) => format!("correct `schema`: {one} has a table `person`"),
        (_, many) if many.len() <= FEW => format!("correct `schema`: {} have a table `person`", many.join(", ")),
        (_, many) => format!("correct `schema`: {} others have a table `person`", many.len()),
    })
}

/// The columns of unique indexes over nothing else. One of a table with inheriting ones says nothing of theirs.
async fn unique(client: &Client, schema: &str) -> Result<Unique, DatabaseError> {
    let name = bytes_of("a.attname");
    let sql = format!(
        "SELECT c.oid, {name}, pg_catalog.bool_or(i.indisprimary) \
               FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] \
               WHERE n.nspname = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indnkeyatts = 1 \
               AND i.indpred IS NULL AND i.indexprs IS NULL \
               AND (c.relkind <> 'r' OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent = c.oid)) \
               GROUP BY c.oid, a.attname"
    );
    let failed = |error: tokio_postgres::Error| failed(&error, THE_CATALOG);
    let mut unique = Unique::new();
    for row in client.query(&sql, &[&schema]).await.map_err(failed)? {
        if let Name(Some(column)) = row.try_get(1).map_err(failed)? {
            unique.insert((row.try_get(0).map_err(failed)?, column), row.try_get(2).map_err(failed)?);
        }
    }
    Ok(unique)
}
