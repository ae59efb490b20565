//! Unions and intersections of types.

use super::{Described, Doc, Property, Type};

/// One of several; without variants nothing fits.
///
/// Where only one variant has something to say, as in `X | null`, it says it for the whole;
/// short remarks move up too, so that the union fits in a line.
pub(super) fn union(variants: Vec<Described>) -> Described {
    let mut members: Vec<Described> = Vec::new();
    for variant in variants {
        // A union in a union has its place only while nothing is said about it.
        let inner = match variant {
            Described { ty: Type::Union(inner), doc } if doc.is_empty() => inner,
            variant => vec![variant],
        };
        for member in inner {
            if !members.contains(&member) {
                members.push(member);
            }
        }
    }
    let others_are_null = members.iter().filter(|member| !member.ty.is("null")).count() <= 1;
    let said: Vec<usize> = (0..members.len()).filter(|&index| !members[index].doc.is_empty()).collect();
    let mut doc = Doc::default();
    if let ([index], true) = (&*said, others_are_null) {
        doc = std::mem::take(&mut members[*index].doc);
    } else if members.iter().all(has_remarks_only) {
        for Described { ty, doc: own } in &mut members {
            if let Type::Word(word) = ty {
                doc.notes.extend(std::mem::take(own).notes.iter().map(|note| format!("{word}: {note}")));
            }
        }
    }
    match members.len() {
        0 => Type::never().into(),
        1 => {
            let only = members.remove(0);
            doc.absorb(only.doc);
            Described { ty: only.ty, doc }
        }
        _ => Described { ty: Type::Union(members), doc },
    }
}

fn has_remarks_only(member: &Described) -> bool {
    member.doc.is_empty()
        || matches!(member.ty, Type::Word(_)) && member.doc.lines.is_empty() && member.doc.default.is_none()
}

/// Both at once.
///
/// The result is never much longer than the two: objects are merged, unions of objects are not multiplied.
pub(super) fn intersect(left: Type, right: Type) -> Type {
    match (left, right) {
        (left, right) if left == right => left,
        (any, other) | (other, any) if any.is("any") => other,
        (never, _) | (_, never) if never.is("never") => never,
        (Type::Word(left), Type::Word(right)) => words(left, right),
        (Type::Union(members), Type::Word(word)) => narrow(members, &Type::Word(word)),
        (Type::Word(word), Type::Union(members)) => narrow(members, &Type::Word(word)),
        (Type::Union(left), Type::Union(right)) if all_words(&left) && all_words(&right) => {
            let both = left.into_iter().filter_map(|member| {
                let ty = narrow(right.clone(), &member.ty);
                (!ty.is("never")).then_some(Described { ty, doc: member.doc })
            });
            union(both.collect()).ty
        }
        (object, Type::Union(members)) | (Type::Union(members), object)
            if object == Type::any_object() && members.iter().all(|member| member.ty.is_object()) =>
        {
            Type::Union(members)
        }
        // Variants that only demand keys say nothing that a type could.
        (Type::Union(members), other) | (other, Type::Union(members))
            if members.iter().all(|member| member.ty.is("any")) =>
        {
            other
        }
        (object, other) | (other, object) if object == Type::any_object() && other.is_object() => other,
        (
            Type::Object { properties: mut left, rest: left_rest },
            Type::Object { properties: right, rest: right_rest },
        ) => {
            right.into_iter().for_each(|property| merge_property(&mut left, property));
            Type::Object { properties: left, rest: merge_rest(left_rest, right_rest) }
        }
        (Type::Object { properties, rest }, Type::Record { values, .. })
        | (Type::Record { values, .. }, Type::Object { properties, rest }) => {
            Type::Object { properties, rest: merge_rest(rest, Some(values)) }
        }
        (Type::Array(left), Type::Array(right)) => Type::Array(Box::new(intersect(*left, *right))),
        (tuple @ Type::Tuple { .. }, Type::Array(_)) | (Type::Array(_), tuple @ Type::Tuple { .. }) => tuple,
        (Type::Intersection(mut members), other) | (other, Type::Intersection(mut members)) => {
            members.push(other);
            Type::Intersection(members)
        }
        (left, right) => Type::Intersection(vec![left, right]),
    }
}

/// The members that are a `word`, each narrowed to it.
fn narrow(members: Vec<Described>, word: &Type) -> Type {
    let narrowed = members.into_iter().filter_map(|member| {
        let ty = intersect(member.ty, word.clone());
        (!ty.is("never")).then_some(Described { ty, doc: member.doc })
    });
    match narrowed.collect::<Vec<_>>() {
        members if members.is_empty() => Type::never(),
        mut members if members.len() == 1 => members.remove(0).ty,
        members => Type::Union(members),
    }
}

fn all_words(members: &[Described]) -> bool {
    members.iter().all(|member| matches!(member.ty, Type::Word(_)))
}

/// A literal is narrower than the name of its type; anything else has nothing in common.
fn words(left: String, right: String) -> Type {
    let covers = |name: &str, literal: &str| match name {
        "string" => literal.starts_with('"'),
        "boolean" => literal == "true" || literal == "false",
        "number" => literal.starts_with(|first: char| first == '-' || first.is_ascii_digit()),
        _ => false,
    };
    if covers(&left, &right) {
        Type::Word(right)
    } else if covers(&right, &left) {
        Type::Word(left)
    } else {
        Type::never()
    }
}

fn merge_property(properties: &mut Vec<Property>, other: Property) {
    match properties.iter_mut().find(|property| property.key == other.key) {
        None => properties.push(other),
        Some(property) => {
            property.required |= other.required;
            let ty = std::mem::replace(&mut property.value.ty, Type::any());
            property.value.ty = intersect(ty, other.value.ty);
            property.value.doc.absorb(other.value.doc);
        }
    }
}

fn merge_rest(left: Option<Box<Type>>, right: Option<Box<Type>>) -> Option<Box<Type>> {
    match (left, right) {
        (Some(left), Some(right)) => Some(Box::new(intersect(*left, *right))),
        (left, right) => left.or(right),
    }
}
