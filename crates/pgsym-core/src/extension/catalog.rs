//! What is in pg_proc after a chain of scripts ran: routines created, replaced, renamed and dropped, in order.
//! A routine's identity is its schema, name and input types, as the server's; of two scripts that declare the
//! same one the later wins, which is how an update moves a function to another module.

use std::collections::HashMap;

use super::sql::{Declaration, Routine, RoutineName, TypeKey};

/// A routine that exists, and where it was declared last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<P> {
    /// Its schema; the target schema unless the script names another.
    pub schema: Vec<u8>,
    /// Its name.
    pub name: Vec<u8>,
    /// Its input types.
    pub arguments: Vec<TypeKey>,
    /// `probin` and `prosrc`, when it is a C function.
    pub link: Option<(Vec<u8>, Vec<u8>)>,
    /// Where the declaration in force stands.
    pub place: P,
}

/// The routines of one extension.
#[derive(Debug, Clone)]
pub struct Catalog<P> {
    schema: Vec<u8>,
    members: Vec<Option<Member<P>>>,
    by_name: HashMap<Vec<u8>, Vec<usize>>,
}

impl<P> Catalog<P> {
    /// An empty catalog; unqualified names belong to `schema`.
    pub fn new(schema: &[u8]) -> Self {
        Self { schema: schema.to_vec(), members: Vec::new(), by_name: HashMap::new() }
    }

    /// The routines, in the order in which they were first created.
    pub fn members(&self) -> impl Iterator<Item = &Member<P>> {
        self.members.iter().flatten()
    }

    /// Applies one statement that stands at `place`.
    pub fn apply(&mut self, declaration: &Declaration, place: P) {
        match declaration {
            Declaration::Create(routine) => self.create(routine, place),
            Declaration::Drop(names) => {
                for name in names {
                    self.remove(name);
                }
            }
            Declaration::RemoveMember(name) => self.remove(name),
            Declaration::Rename(from, to) => self.rename(from, to),
            Declaration::Load { .. }
            | Declaration::TransactionControl { .. }
            | Declaration::SetStandardConformingStrings(_) => {}
        }
    }

    fn create(&mut self, routine: &Routine, place: P) {
        let schema = routine.schema.as_ref().unwrap_or(&self.schema).clone();
        let link = routine.c_link().map(|(probin, prosrc)| (probin.to_vec(), prosrc.to_vec()));
        let member =
            Member { schema, name: routine.name.clone(), arguments: routine.arguments.clone(), link, place };
        let same = self.indices(&routine.name).iter().copied().find(|&index| {
            let other = self.members.get(index).and_then(Option::as_ref);
            other.is_some_and(|other| other.schema == member.schema && other.arguments == member.arguments)
        });
        if let Some(slot) = same.and_then(|index| self.members.get_mut(index)) {
            *slot = Some(member);
            return;
        }
        self.by_name.entry(routine.name.clone()).or_default().push(self.members.len());
        self.members.push(Some(member));
    }

    fn indices(&self, name: &[u8]) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The routines that a statement means. The server wants exactly one; here a name without arguments means
    /// all of that name, because code may have dropped the others.
    fn find(&self, wanted: &RoutineName) -> Vec<usize> {
        let means = |member: &Member<P>| {
            wanted.schema.as_ref().is_none_or(|schema| *schema == member.schema)
                && wanted.arguments.as_ref().is_none_or(|arguments| *arguments == member.arguments)
        };
        let indices = self.indices(&wanted.name).iter().copied();
        indices.filter(|&index| self.members.get(index).and_then(Option::as_ref).is_some_and(means)).collect()
    }

    fn remove(&mut self, name: &RoutineName) {
        for index in self.find(name) {
            if let Some(slot) = self.members.get_mut(index) {
                *slot = None;
            }
            if let Some(indices) = self.by_name.get_mut(&name.name) {
                indices.retain(|&other| other != index);
            }
        }
    }

    fn rename(&mut self, from: &RoutineName, to: &[u8]) {
        for index in self.find(from) {
            if let Some(Some(member)) = self.members.get_mut(index) {
                member.name = to.to_vec();
            }
            if let Some(indices) = self.by_name.get_mut(&from.name) {
                indices.retain(|&other| other != index);
            }
            self.by_name.entry(to.to_vec()).or_default().push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sql::{StandardConformingStrings, scan_script};
    use super::*;

    fn catalog(scripts: &[&str]) -> Vec<String> {
        let mut catalog = Catalog::new(b"public");
        for (index, script) in scripts.iter().enumerate() {
            for declaration in scan_script(script.as_bytes(), StandardConformingStrings::On).declarations {
                catalog.apply(&declaration, index);
            }
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let link = |member: &Member<usize>| match &member.link {
            Some((probin, prosrc)) => format!("{}:{}", text(probin), text(prosrc)),
            None => "-".to_owned(),
        };
        catalog.members().map(|m| format!("{} {} {}", text(&m.name), link(m), m.place)).collect()
    }

    const F: &str = "CREATE FUNCTION f(int) RETURNS int LANGUAGE c AS 'x';";

    #[test]
    fn a_later_replacement_moves_the_function() {
        let replaced = "CREATE OR REPLACE FUNCTION public.f(a integer) RETURNS int LANGUAGE c AS 'y', 'g';";
        assert_eq!(catalog(&[F, replaced]), ["f y:g 1"]);
        let other = "CREATE OR REPLACE FUNCTION f(text) RETURNS int LANGUAGE c AS 'y', 'g';";
        assert_eq!(catalog(&[F, other]), ["f x:f 0", "f y:g 1"]);
        let sql = "CREATE OR REPLACE FUNCTION f(int4) RETURNS int LANGUAGE sql AS 'SELECT 1';";
        assert_eq!(catalog(&[F, sql]), ["f - 1"]);
    }

    #[test]
    fn drops_and_renames_follow_the_signature() {
        assert_eq!(catalog(&[F, "DROP FUNCTION f(text)"]), ["f x:f 0"]);
        assert_eq!(catalog(&[F, "DROP ROUTINE IF EXISTS public.f(IN int, OUT text)"]), [""; 0]);
        assert_eq!(catalog(&[F, "DROP FUNCTION f"]), [""; 0]);
        assert_eq!(catalog(&[F, "DROP FUNCTION other.f(int)"]), ["f x:f 0"]);
        assert_eq!(catalog(&[F, "ALTER EXTENSION e DROP FUNCTION f(int)"]), [""; 0]);
        assert_eq!(catalog(&[F, "ALTER FUNCTION f(int) RENAME TO g", "DROP FUNCTION f(int)"]), ["g x:f 0"]);
        assert_eq!(catalog(&[F, "DROP FUNCTION f(int)", F]), ["f x:f 2"]);
    }
}
