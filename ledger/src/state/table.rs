//! A map that remembers what a block changed, so that the change can be stored, hashed, or taken back.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};

use super::Entry;

/// One kind of state entries. Entries are added and changed, never removed: the ledger forgets nothing.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, V> {
    entries: BTreeMap<K, V>,
    /// What touched entries were before the block; `None` for those that did not exist.
    before: BTreeMap<K, Option<V>>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), before: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    pub(crate) fn entries(&self) -> &BTreeMap<K, V> {
        &self.entries
    }

    pub(crate) fn put(&mut self, key: K, value: V) {
        let old = self.entries.insert(key.clone(), value);
        self.before.entry(key).or_insert(old);
    }

    /// Changes an entry in place; nothing happens when there is none.
    pub(crate) fn change(&mut self, key: &K, change: impl FnOnce(&mut V)) {
        if let Some(value) = self.entries.get_mut(key) {
            self.before.entry(key.clone()).or_insert_with(|| Some(value.clone()));
            change(value);
        }
    }

    /// Makes what was changed the new start.
    pub(crate) fn settle(&mut self) {
        self.before.clear();
    }

    /// Takes back what was changed since the last [`Self::settle`]; tells which entries.
    pub(crate) fn roll_back(&mut self) -> Vec<K> {
        let before = std::mem::take(&mut self.before);
        let touched = before.keys().cloned().collect();
        for (key, old) in before {
            match old {
                Some(value) => self.entries.insert(key, value),
                None => self.entries.remove(&key),
            };
        }
        touched
    }
}

impl<K, V> Table<K, V>
where
    K: Ord + Clone + BorshSerialize + BorshDeserialize,
    V: Clone + BorshSerialize + BorshDeserialize,
{
    /// The touched entries, encoded, in the order of their keys.
    pub(crate) fn encode_touched(&self, tag: u8, out: &mut Vec<Entry>) {
        for key in self.before.keys() {
            if let Some(value) = self.entries.get(key) {
                out.push(encode(tag, key, value));
            }
        }
    }

    /// All entries, encoded, in the order of their keys.
    pub(crate) fn encode_all(&self, tag: u8, out: &mut Vec<Entry>) {
        out.extend(self.entries.iter().map(|(key, value)| encode(tag, key, value)));
    }

    /// Reads an entry back; `None` when the bytes are none.
    pub(crate) fn load(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let key = borsh::from_slice(key).ok()?;
        let value = borsh::from_slice(value).ok()?;
        self.entries.insert(key, value).is_none().then_some(())
    }
}

fn encode<K: BorshSerialize, V: BorshSerialize>(tag: u8, key: &K, value: &V) -> Entry {
    let mut key_bytes = vec![tag];
    key.serialize(&mut key_bytes).expect("writing to memory cannot fail");
    (key_bytes, borsh::to_vec(value).expect("writing to memory cannot fail"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rolled_back_leaves_no_trace() {
        let mut table: Table<u8, u32> = Table::default();
        table.put(1, 10);
        table.settle();
        table.put(1, 11);
        table.put(2, 20);
        table.change(&1, |v| *v += 1);
        table.change(&9, |v| *v += 1);
        let mut touched = Vec::new();
        table.encode_touched(7, &mut touched);
        assert_eq!(touched, [(vec![7, 1], vec![12, 0, 0, 0]), (vec![7, 2], vec![20, 0, 0, 0])]);
        assert_eq!(table.roll_back(), [1, 2]);
        assert_eq!((table.get(&1), table.get(&2)), (Some(&10), None));
    }
}
